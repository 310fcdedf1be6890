//! VMs on a host in a directory, with plugins that write down what they are asked.

mod balloon;
mod instead;
mod lives;
mod ports;
mod rates;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use ignite_api::{PortMapping, Uid, Vm};
use ignite_cni::runtime::Runtime;
use ignite_store::{
    AttachmentRecord, AttachmentState, Liveness, NetworkRecord, Paths, ProcessRecord, State,
    StatusRecord, VmRecord,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::diff::tests::{manifest, ports as mappings, recorded};
use super::*;
use crate::{Config, Engine, Error, Silent};

/// Adds a word and the ports it is told of to `calls`; fails at the ports that `refused` names.
const PLUGIN: &str = r#"#!/bin/sh
input=$(cat)
told=$(echo "$input" | grep -o '"hostPort":[0-9]*' | cut -d: -f2 | tr '\n' ' ')
echo "$CNI_COMMAND $told" >> "$0.calls"
[ "$CNI_COMMAND" = ADD ] || exit 0
for port in $(cat "$0.refused" 2>/dev/null); do
    case " $told" in *" $port "*) echo '{"code":111,"msg":"not that one"}'; exit 1;; esac
done
echo '{"cniVersion":"1.0.0"}'
"#;

struct Scene {
    root: tempfile::TempDir,
    engine: Engine,
}

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("tempdir");
        let plugins = root.path().join("plugins");
        fs::create_dir(&plugins).expect("made");
        for name in ["maker", "publisher"] {
            fs::write(plugins.join(name), PLUGIN).expect("written");
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(plugins.join(name), mode).expect("executable");
        }
        let config = Config {
            paths: Paths::under(root.path()),
            vmm_programs: ignite_vmm::Programs {
                firecracker: Some("/nonexistent/firecracker".into()),
                jailer: None,
            },
            cni: Runtime {
                bin_dirs: vec![plugins, PathBuf::from("/nonexistent")],
                cache_dir: root.path().join("cache"),
                ..Runtime::default()
            },
            ..Config::default()
        };
        let engine = Engine::reader(config).expect("an engine");
        fs::create_dir_all(&engine.config.paths.run).expect("made");
        Self { root, engine }
    }

    /// A network whose `publisher` publishes, or nobody.
    fn network(&self, publishes: bool) -> String {
        let network = json!({"cniVersion": "1.0.0", "name": "lan", "plugins": [
            {"type": "maker"},
            {"type": "publisher", "capabilities": {"portMappings": publishes}},
        ]});
        network.to_string()
    }

    fn create(&self, vm: &Vm) -> Uid {
        let record = recorded(vm);
        drop(self.engine.vms.create(&record).expect("a VM"));
        record.uid
    }

    /// Makes the VM one that runs with its ports on the network: attached, its supervisor this test.
    fn run(&self, uid: Uid, config: &str) -> Liveness {
        let lock = self.engine.vms.lock(uid).expect("its lock");
        let live = Liveness::try_acquire(&self.engine.config.paths, uid);
        let live = live.expect("its liveness").expect("free");
        let status = StatusRecord {
            state: State::Running,
            started: Some(Timestamp::UNIX_EPOCH),
            supervisor: Some(own_process()),
            ..StatusRecord::default()
        };
        lock.write_status(&status, &live).expect("its status");
        let record = lock.record().expect("its record");
        let network = NetworkRecord {
            attachments: vec![attached(&record, config)],
            ..NetworkRecord::default()
        };
        lock.write_network(&network).expect("its network");
        live
    }

    fn calls(&self, plugin: &str) -> Vec<String> {
        let path = self.root.path().join(format!("plugins/{plugin}.calls"));
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    fn refuse(&self, ports: &str) {
        let path = self.root.path().join("plugins/publisher.refused");
        fs::write(path, ports).expect("written");
    }

    /// The host's ports that the record of the attachment names.
    fn published(&self, uid: Uid) -> Vec<u64> {
        let network = self.engine.vms.network(uid).expect("read");
        let mappings = &network.attachments[0].capabilities["portMappings"];
        let mappings = mappings.as_array().expect("a list");
        mappings
            .iter()
            .filter_map(|it| it["hostPort"].as_u64())
            .collect()
    }

    fn ports(&self, uid: Uid) -> Vec<u16> {
        let record = self.engine.vms.get(uid).expect("read");
        record
            .spec
            .network
            .ports
            .iter()
            .map(|it| it.host_port)
            .collect()
    }
}

fn attached(record: &VmRecord, config: &str) -> AttachmentRecord {
    let mapping = |port: &PortMapping| json!({"hostPort": port.host_port, "containerPort": port.vm_port, "protocol": "tcp"});
    let mappings: Vec<Value> = record.spec.network.ports.iter().map(mapping).collect();
    let interface = &record.interfaces[0];
    AttachmentRecord {
        network: "lan".into(),
        config_file: "/nonexistent".into(),
        config: config.into(),
        interface: interface.name.clone(),
        mac: interface.mac,
        container_id: record.container_id.clone(),
        netns: "/nonexistent".into(),
        args: Vec::new(),
        capabilities: [("portMappings".to_owned(), json!(mappings))]
            .into_iter()
            .collect(),
        state: AttachmentState::Attached,
        result: Some(json!({"cniVersion": "1.0.0"})),
        addresses: Vec::new(),
        gateway: None,
    }
}

/// This very process, as it is recorded.
fn own_process() -> ProcessRecord {
    let stat = fs::read_to_string("/proc/self/stat").expect("every process has one");
    let (_, rest) = stat.rsplit_once(')').expect("a name");
    let start_time = rest.split_whitespace().nth(19).expect("field 22");
    ProcessRecord {
        pid: i32::try_from(std::process::id()).expect("a pid"),
        start_time: start_time.parse().expect("a number"),
        boot_id: String::new(),
    }
}

/// Ports of this host that nobody has at this moment.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| std::net::TcpListener::bind("0.0.0.0:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("bound").port())
}

fn with_ports(wanted: &[u16]) -> Vm {
    let texts: Vec<String> = wanted.iter().map(|port| format!("{port}:80")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut vm = manifest();
    vm.spec.network.ports = mappings(&texts);
    vm
}
