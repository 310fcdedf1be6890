//! Every field, changed and unchanged.

use ignite_api::{
    Address, DiskOrigin, InterfaceSpec, Kind, Metadata, PortMapping, RestartPolicy, Size, Ssh, Uid,
    VmmChoice,
};
use ignite_store::{ImageChoice, KernelChoice, State};
use ignite_wire::guest::Process;
use ignite_wire::supervisor::Vmm;
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::vm::create::{self, DEFAULT_CMDLINE};

/// What `create` records of a manifest.
pub(crate) fn recorded(vm: &Vm) -> VmRecord {
    let uid = Uid::random();
    let cmdline = vm.spec.kernel.cmd_line.clone();
    VmRecord {
        uid,
        name: vm
            .metadata
            .name
            .parse()
            .unwrap_or_else(|_| ignite_api::Name::random()),
        created: Timestamp::UNIX_EPOCH,
        labels: vm.metadata.labels.clone(),
        annotations: vm.metadata.annotations.clone(),
        spec: vm.spec.clone(),
        id_prefix: ignite_api::IdPrefix::default(),
        container_id: format!("ignite-{uid}"),
        image: ImageChoice {
            uid,
            digest: "sha256:1".into(),
            name: "alpine:latest".into(),
        },
        kernel: KernelChoice {
            uid,
            version: "6.1".into(),
            name: "kernel:6.1".into(),
        },
        cmdline: cmdline.unwrap_or_else(|| DEFAULT_CMDLINE.into()),
        disk: DiskOrigin::default(),
        vmm_version: None,
        interfaces: create::interfaces(&vm.spec.network.interfaces),
        process: Process::Init {
            path: "/sbin/init".into(),
        },
        network_plugin: ignite_api::NetworkPlugin::Cni,
        auto_remove: false,
        managed: None,
        user: None,
        ports_pending: None,
        update_pending: None,
    }
}

fn paths(changes: &[Change]) -> Vec<&str> {
    changes.iter().map(|change| change.path.as_str()).collect()
}

fn differ(record: &VmRecord, vm: &Vm) -> Difference {
    difference(record, &StatusRecord::default(), vm)
}

pub(crate) fn ports(texts: &[&str]) -> Vec<PortMapping> {
    let parse = |text: &&str| PortMapping::parse(text).expect("a mapping");
    texts.iter().flat_map(parse).collect()
}

pub(crate) fn manifest() -> Vm {
    let metadata = Metadata {
        name: "web".into(),
        ..Metadata::default()
    };
    let mut vm = Vm::new(Kind::Vm, metadata, VmSpec::default());
    vm.spec.image.oci = Some("alpine".parse().expect("a reference"));
    vm.spec.network.ports = ports(&["8080:80", "127.0.0.1:53:53/udp"]);
    vm.spec.env = vec!["A=1".parse().expect("a variable")];
    vm
}

type Edit = fn(&mut Vm);

/// Every field a manifest has, with what a change of it is.
const EDITS: [(&str, Reach, Edit); 30] = [
    ("metadata.name", Reach::Recreate, |vm| {
        vm.metadata.name = "other".into()
    }),
    ("spec.image.oci", Reach::Recreate, |vm| {
        vm.spec.image.oci = "alpine:3".parse().ok()
    }),
    ("spec.kernel.oci", Reach::Recreate, |vm| {
        vm.spec.kernel.oci = "kernel:7".parse().ok()
    }),
    ("spec.kernel.cmdLine", Reach::Recreate, |vm| {
        vm.spec.kernel.cmd_line = Some("quiet".into())
    }),
    ("spec.vmm", Reach::InPlace, |vm| {
        vm.spec.vmm = Some(VmmChoice::Qemu)
    }),
    ("spec.jailer", Reach::InPlace, |vm| vm.spec.jailer = true),
    ("spec.cpus", Reach::Recreate, |vm| vm.spec.cpus += 1),
    ("spec.memory", Reach::Recreate, |vm| {
        vm.spec.memory = Size::from_mib(300)
    }),
    ("spec.diskSize", Reach::Recreate, |vm| {
        vm.spec.disk_size = Size::from_mib(9000)
    }),
    ("spec.storage", Reach::Recreate, |vm| {
        vm.spec.storage.volumes.push(ignite_api::Volume {
            name: "data".into(),
            ..ignite_api::Volume::default()
        });
    }),
    ("spec.copyFiles", Reach::Recreate, |vm| {
        vm.spec.copy_files.push(ignite_api::CopyFile {
            host_path: "/a".into(),
            vm_path: "/b".into(),
        });
    }),
    ("spec.ssh", Reach::Recreate, |vm| {
        vm.spec.ssh = Some(Ssh::Generate)
    }),
    ("spec.command", Reach::Recreate, |vm| {
        vm.spec.command.push("sleep".into())
    }),
    ("spec.dns", Reach::Recreate, |vm| {
        vm.spec.dns.push("10.0.0.1".parse().expect("one"))
    }),
    ("spec.hostname", Reach::Recreate, |vm| {
        vm.spec.hostname = Some("db".parse().expect("one"))
    }),
    ("spec.extraHosts", Reach::Recreate, |vm| {
        vm.spec
            .extra_hosts
            .push("db:10.0.0.1".parse().expect("one"))
    }),
    ("spec.env.A", Reach::Recreate, |vm| {
        vm.spec.env = vec!["A=2".parse().expect("one")]
    }),
    ("spec.env.B", Reach::Recreate, |vm| {
        vm.spec.env.push("B=".parse().expect("one"))
    }),
    ("spec.network.interfaces[0]", Reach::Recreate, |vm| {
        let address: Address = "10.61.0.9".parse().expect("an address");
        vm.spec.network.interfaces = vec![InterfaceSpec {
            addresses: vec![address],
            ..InterfaceSpec::default()
        }];
    }),
    ("spec.network.interfaces[1]", Reach::Recreate, |vm| {
        vm.spec.network.interfaces = vec![InterfaceSpec::default(); 2];
    }),
    ("spec.network.ports", Reach::InPlace, |vm| {
        vm.spec.network.ports = ports(&["8080:81"])
    }),
    ("spec.network.ports", Reach::InPlace, |vm| {
        vm.spec.network.ports.clear()
    }),
    ("spec.balloon", Reach::InPlace, |vm| {
        vm.spec.balloon = Some(Size::default())
    }),
    ("spec.diskRate", Reach::InPlace, |vm| {
        vm.spec.disk_rate = Some("50MB".parse().expect("a rate"))
    }),
    ("spec.network.interfaces[0].rate", Reach::InPlace, |vm| {
        vm.spec.network.rate = Some("10Mbit".parse().expect("a rate"))
    }),
    ("spec.network.interfaces[0].rate", Reach::InPlace, |vm| {
        vm.spec.network.interfaces = vec![InterfaceSpec {
            rate: Some("20Mbit".parse().expect("a rate")),
            ..InterfaceSpec::default()
        }];
    }),
    ("metadata.labels.app", Reach::InPlace, |vm| {
        vm.metadata.labels.insert("app".into(), "web".into());
    }),
    ("metadata.annotations.note", Reach::InPlace, |vm| {
        vm.metadata.annotations.insert("note".into(), String::new());
    }),
    ("spec.restartPolicy", Reach::InPlace, |vm| {
        vm.spec.restart_policy = Some(RestartPolicy::Never);
    }),
    ("spec.recreateOnChange", Reach::InPlace, |vm| {
        vm.spec.recreate_on_change = true
    }),
];

#[test]
fn each_field_is_seen_with_its_reach_and_both_ways() {
    let (plain, record) = (manifest(), recorded(&manifest()));
    assert_eq!(differ(&record, &plain), Difference::default());
    for (path, reach, edit) in EDITS {
        let mut edited = plain.clone();
        edit(&mut edited);
        for difference in [differ(&record, &edited), differ(&recorded(&edited), &plain)] {
            let (same, other) = match reach {
                Reach::InPlace => (&difference.in_place, &difference.recreate),
                Reach::Recreate => (&difference.recreate, &difference.in_place),
            };
            assert_eq!((paths(same), paths(other)), (vec![path], vec![]));
            assert!(
                same[0].from != same[0].to || path == "spec.env.A",
                "{same:?}"
            );
        }
    }
}

#[test]
fn what_a_manifest_leaves_open_is_met_by_anything() {
    let mut vm = manifest();
    let mut record = recorded(&vm);
    vm.metadata.name.clear();
    vm.spec.restart_policy = Some(RestartPolicy::Always);
    vm.spec.network.ports.reverse();
    vm.spec.ssh = Some(Ssh::Off);
    vm.spec.network.interfaces = vec![InterfaceSpec {
        name: "eth0".parse().ok(),
        mac: Some(record.interfaces[0].mac),
        ..InterfaceSpec::default()
    }];
    assert_eq!(differ(&record, &vm), Difference::default());
    // Made by hand: known by what was found for it.
    record.spec.image.oci = None;
    vm.spec.kernel.oci = "kernel:6.1".parse().ok();
    assert_eq!(differ(&record, &vm), Difference::default());
    vm.spec.kernel.oci = "kernel:7".parse().ok();
    assert_eq!(paths(&differ(&record, &vm).recreate), ["spec.kernel.oci"]);
}

#[test]
fn another_command_line_by_default_is_no_change() {
    let (vm, mut record) = (manifest(), recorded(&manifest()));
    record.cmdline = "what an earlier version had".into();
    assert_eq!(differ(&record, &vm), Difference::default());
}

#[test]
fn a_uid_that_is_given_is_compared() {
    let (mut vm, record) = (manifest(), recorded(&manifest()));
    vm.metadata.uid = Some(record.uid);
    assert_eq!(differ(&record, &vm), Difference::default());
    vm.metadata.uid = Some(Uid::random());
    assert_eq!(paths(&differ(&record, &vm).recreate), ["metadata.uid"]);
}

#[test]
fn values_of_variables_are_not_shown() {
    let (mut vm, record) = (manifest(), recorded(&manifest()));
    vm.spec.env = vec!["A=secret".parse().expect("one")];
    let shown = format!("{:?}", differ(&record, &vm));
    assert!(
        shown.contains("spec.env.A") && !shown.contains("secret"),
        "{shown}"
    );
}

#[test]
fn long_values_are_cut() {
    let (mut vm, record) = (manifest(), recorded(&manifest()));
    vm.metadata.labels.insert("a".into(), "ü".repeat(10_000));
    let change = &differ(&record, &vm).in_place[0];
    assert_eq!(change.to.chars().count(), SHOWN + 3);
    // What is cut off is compared all the same.
    let record = recorded(&vm);
    vm.metadata.labels.insert("a".into(), "ü".repeat(10_001));
    assert_eq!(differ(&record, &vm).in_place.len(), 1);
}

#[test]
fn a_run_without_its_ports_differs_until_it_ends() {
    let vm = manifest();
    let mut record = recorded(&vm);
    let mut status = StatusRecord {
        state: State::Running,
        started: Some(Timestamp::UNIX_EPOCH),
        ..StatusRecord::default()
    };
    assert_eq!(difference(&record, &status, &vm), Difference::default());
    let pending = |next_start| PortsPending {
        since: Timestamp::UNIX_EPOCH,
        next_start,
    };
    record.ports_pending = Some(pending(None));
    assert_eq!(paths(&difference(&record, &status, &vm).in_place), [PORTS]);
    let restart = Difference {
        restart: true,
        ..Difference::default()
    };
    let wanted = std::mem::take(&mut record.spec.network.ports);
    record.ports_pending = Some(pending(Some(wanted)));
    assert_eq!(difference(&record, &status, &vm), restart);
    status.started = Some(Timestamp::MAX);
    assert_eq!(difference(&record, &status, &vm), Difference::default());
    status.started = Some(Timestamp::UNIX_EPOCH);
    status.state = State::Stopped;
    assert_eq!(difference(&record, &status, &vm), Difference::default());
}

#[test]
fn another_vmm_needs_a_start_and_a_disk_it_reads() {
    let (mut vm, mut record) = (manifest(), recorded(&manifest()));
    vm.spec.vmm = Some(VmmChoice::Firecracker);
    assert_eq!(paths(&differ(&record, &vm).recreate), ["spec.vmm"]);
    apply(&mut record, &vm);
    assert_eq!(record.spec.vmm, None, "it could not start any more");

    record.disk = DiskOrigin::Copy;
    assert_eq!(paths(&differ(&record, &vm).in_place), ["spec.vmm"]);
    apply(&mut record, &vm);
    let mut status = StatusRecord {
        state: State::Running,
        vmm: Some(ignite_store::VmmRecord {
            kind: Vmm::QemuKvm,
            balloon: false,
            process: ignite_store::ProcessRecord {
                pid: 1,
                start_time: 1,
                boot_id: String::new(),
            },
        }),
        ..StatusRecord::default()
    };
    assert!(difference(&record, &status, &vm).restart);
    record.spec.vmm = Some(VmmChoice::Auto);
    assert!(!difference(&record, &status, &vm).restart);
    record.spec.vmm = Some(VmmChoice::QemuTcg);
    assert!(difference(&record, &status, &vm).restart);
    status.state = State::Stopped;
    assert!(!difference(&record, &status, &vm).restart);
}

proptest! {
    /// Any edits one after the other: an unchanged manifest never differs, and what is changed in
    /// place is as the manifest says afterwards.
    #[test]
    fn what_is_applied_does_not_differ_any_more(picks in prop::collection::vec(0..EDITS.len(), 0..8)) {
        let mut vm = manifest();
        let mut record = recorded(&vm);
        for pick in picks {
            EDITS[pick].2(&mut vm);
            prop_assert_eq!(differ(&recorded(&vm), &vm), Difference::default());
        }
        let recreate = differ(&record, &vm).recreate;
        apply(&mut record, &vm);
        record.spec.network.ports.clone_from(&vm.spec.network.ports);
        record.spec.network.take_rates(&vm.spec.network);
        record.spec.disk_rate = vm.spec.disk_rate;
        record.spec.balloon = vm.spec.balloon;
        prop_assert_eq!(differ(&record, &vm), Difference { recreate, ..Difference::default() });
    }
}
