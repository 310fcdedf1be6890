//! Plans, a sandbox, and a supervisor at work in it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ignite_host::cgroup::{Group, of_vm};
use ignite_host::link::Netlink;
use ignite_host::netns::Namespace;
use ignite_host::process::{self, Child, Spec, Stdio};
use ignite_store::StatusRecord;
use ignite_wire::agent::{Decoder, Frame, Message, SupervisorStatus};
use ignite_wire::guest::{Config, PowerOff, Process, Transport};
use ignite_wire::supervisor::{
    Attachment, Confinement, Disk, DiskFormat, Event, Machine, Plan, Vmm,
};

pub const PATIENCE: Duration = Duration::from_secs(60);

/// No account's, and no other VM's: each has its own by the end of its uid.
pub fn user(uid: &str) -> u32 {
    let number = u32::from_str_radix(&uid[uid.len() - 2..], 16).expect("a uid of ours");
    2_080_374_784 + number
}

/// Its program.
pub const SUPERVISOR: &str = env!("CARGO_BIN_EXE_ignite-spawn");

/// Number of the pipe for events.
const NOTIFY: i32 = 3;

/// The stand-in of this name.
pub fn stand_in(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build/testkit/stand-in");
    let path = directory.join(name).canonicalize();
    path.expect("stand-ins are made by `make helper`")
}

fn config() -> Config {
    let path = "/sbin/init".to_owned();
    Config {
        agent: Transport::Vsock,
        power_off: PowerOff::Reset,
        ..Config::new("vm", Process::Init { path })
    }
}

fn attachment() -> Attachment {
    Attachment {
        interface: "eth0".to_owned(),
        tap: "tap0".to_owned(),
        mac: "02:00:00:00:00:01".to_owned(),
        mtu: 1400,
        addresses: vec!["10.61.0.2/16".parse().expect("a network")],
        allow: Vec::new(),
        dhcp: None,
        ipv6: None,
        rate: None,
    }
}

/// The plan of a VM in this directory.
pub fn plan(directory: &Path, uid: &str, fate: &str, confined: bool) -> Plan {
    let path = |name: &str| directory.join(name);
    for name in ["vm", "run"] {
        std::fs::create_dir(path(name)).expect("mkdir");
    }
    for (name, text) in [("vmlinux", "\x7fELF"), ("initramfs", ""), ("disk", "disk")] {
        std::fs::write(path(name), text).expect("write");
    }
    Plan {
        uid: uid.to_owned(),
        name: "web".to_owned(),
        vm_dir: path("vm"),
        run_dir: path("run"),
        machine: Machine {
            vmm: Vmm::Firecracker,
            program: stand_in("firecracker"),
            cpus: 1,
            memory: 128 << 20,
            balloon: None,
            kernel: path("vmlinux"),
            initramfs: path("initramfs"),
            cmdline: fate.to_owned(),
            disks: vec![Disk {
                path: path("disk"),
                format: DiskFormat::Raw,
                read_only: false,
                rate: None,
                volume: None,
            }],
            shares: Vec::new(),
        },
        guest: config(),
        attachments: vec![attachment()],
        holder: None,
        boot_timeout_ms: 30_000,
        console_limit: 1 << 20,
        release: vec!["/bin/true".to_owned()],
        confinement: confined.then_some(Confinement {
            user: user(uid),
            memory: 256 << 20,
            cpu_millis: 1500,
            tasks: 129,
            file_bytes: 1 << 30,
            jailer: None,
        }),
    }
}

/// A supervisor, and what it says.
pub struct Vm {
    pub directory: tempfile::TempDir,
    pub supervisor: Child,
    pub events: BufReader<std::io::PipeReader>,
}

impl Vm {
    pub fn start(uid: &str, fate: &str, confined: bool) -> Self {
        Self::start_as(|directory| plan(directory, uid, fate, confined))
    }

    pub fn start_as(plan: impl FnOnce(&Path) -> Plan) -> Self {
        Self::start_by(plan, |spec| spec)
    }

    /// As the command says that is made of the supervisor's own.
    pub fn start_by(plan: impl FnOnce(&Path) -> Plan, command: impl FnOnce(Spec) -> Spec) -> Self {
        let directory = tempfile::tempdir().expect("tempdir");
        let plan = plan(directory.path());
        let path = directory.path().join("run/plan.json");
        std::fs::write(&path, serde_json::to_vec(&plan).expect("plain data")).expect("write");
        Self::start_in(directory, command(Spec::new(SUPERVISOR)))
    }

    /// The same VM once more.
    pub fn again(self) -> Self {
        Self::start_in(self.directory, Spec::new(SUPERVISOR))
    }

    fn start_in(directory: tempfile::TempDir, command: Spec) -> Self {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let spec = command
            .arg(directory.path().join("run/plan.json"))
            .args(["--notify-fd".to_owned(), NOTIFY.to_string()])
            .pass_fd(writer.into(), NOTIFY)
            .stderr(Stdio::Inherit);
        Self {
            directory,
            supervisor: process::spawn(spec).expect("it starts"),
            events: BufReader::new(reader),
        }
    }

    pub fn event(&mut self) -> Event {
        let mut line = String::new();
        self.events.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).expect("an event")
    }

    pub fn wait_until_ready(&mut self) {
        assert!(matches!(self.event(), Event::Started { .. }));
        assert_eq!(self.event(), Event::Ready);
    }

    pub fn control(&self) -> Client {
        let path = self.directory.path().join("run/control.sock");
        let stream = UnixStream::connect(path).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Client {
            stream,
            decoder: Decoder::new(),
        }
    }

    /// Waits for the supervisor's end; the record of the VM's.
    pub fn ended(&self) -> StatusRecord {
        let ended = self.supervisor.wait_timeout(PATIENCE).expect("our child");
        assert!(ended.expect("it ends").success());
        let path = self.directory.path().join("vm/status.json");
        serde_json::from_slice(&std::fs::read(path).expect("a record")).expect("a record")
    }

    pub fn left(&self) -> Vec<std::ffi::OsString> {
        let entries = std::fs::read_dir(self.directory.path().join("run")).expect("readable");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
        let mut left: Vec<_> = entries.map(name).collect();
        left.retain(|name| name != "plan.json");
        left
    }
}

/// Nothing runs as the VM's user any more, in its control group or anywhere else.
pub fn nobody_left(uid: &str) -> bool {
    !Group::find(&of_vm(uid)).expect("readable").exists() && processes_of(user(uid)).is_empty()
}

/// The `/proc` directories of a user's processes that have not ended.
pub fn processes_of(user: u32) -> Vec<PathBuf> {
    let is_theirs = |directory: &PathBuf| {
        let status = std::fs::read_to_string(directory.join("status")).unwrap_or_default();
        status.contains(&format!("\nUid:\t{user}\t")) && !status.contains("\nState:\tZ")
    };
    let entries = std::fs::read_dir("/proc").expect("mounted").flatten();
    entries
        .map(|entry| entry.path())
        .filter(is_theirs)
        .collect()
}

pub struct Client {
    stream: UnixStream,
    decoder: Decoder,
}

impl Client {
    pub fn ask(&mut self, message: Message) -> Message {
        let mut bytes = Vec::new();
        Frame::link(message).encode(&mut bytes).expect("small");
        self.stream.write_all(&bytes).expect("room");
        loop {
            if let Some(frame) = self.decoder.next().expect("frames") {
                return frame.message;
            }
            let mut buffer = [0; 4096];
            let length = self.stream.read(&mut buffer).expect("in time");
            assert!(length > 0, "the supervisor closed");
            self.decoder.push(&buffer[..length]);
        }
    }

    pub fn status(&mut self) -> SupervisorStatus {
        match self.ask(Message::Status) {
            Message::StatusReply(status) => status,
            other => panic!("{other:?}"),
        }
    }
}

/// Runs in a sandbox with an `eth0`, which is as before afterwards.
pub fn in_sandbox(work: impl FnOnce() + Send) {
    let namespace = Namespace::anonymous().expect("root makes namespaces");
    namespace
        .run(|| {
            let netlink = Netlink::open().expect("netlink");
            netlink.create_veth("eth0", "peer", None).expect("veth");
            work();
            assert_eq!(netlink.link("tap0").expect("links"), None);
        })
        .expect("a thread");
}
