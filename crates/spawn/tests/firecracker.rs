//! The supervisor with Firecracker, from its plan to the record of the end. A stand-in takes the VMM's
//! place (`make helper`); network, confinement and everything else are real.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ignite_host::cgroup::{Group, of_vm};
use ignite_host::link::Netlink;
use ignite_host::netns::Namespace;
use ignite_host::process::{self, Child, Spec, Stdio};
use ignite_store::StatusRecord;
use ignite_wire::agent::{Decoder, Frame, Message, SupervisorStatus};
use ignite_wire::guest::{self, Config};
use ignite_wire::supervisor::{
    Attachment, Confinement, Disk, DiskFormat, End, Event, Machine, Plan, Vmm,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// No account's.
const USER: u32 = 2_080_374_785;

/// Number of the pipe for events.
const NOTIFY: i32 = 3;

fn stand_in() -> PathBuf {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build/testkit/stand-in/firecracker");
    path.canonicalize()
        .expect("the stand-in for Firecracker is made by `make helper`")
}

fn config() -> Config {
    Config {
        version: guest::CONFIG_VERSION,
        hostname: "vm".to_owned(),
        clock_ns: 1,
        interfaces: Vec::new(),
        dns: guest::Dns::default(),
        hosts: Vec::new(),
        ssh_keys: Vec::new(),
        root: guest::Root {
            device: "/dev/vda".to_owned(),
            filesystem: "ext4".to_owned(),
            grow: true,
        },
        modules: None,
        process: guest::Process::Init {
            path: "/sbin/init".to_owned(),
        },
        agent: guest::Transport::Vsock,
        agent_token: String::new(),
        power_off: guest::PowerOff::Reset,
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
fn plan(directory: &Path, uid: &str, fate: &str, confined: bool) -> Plan {
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
            program: stand_in(),
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
            }],
        },
        guest: config(),
        attachments: vec![attachment()],
        holder: None,
        boot_timeout_ms: 30_000,
        console_limit: 1 << 20,
        release: vec!["/bin/true".to_owned()],
        confinement: confined.then_some(Confinement {
            user: USER,
            memory: 256 << 20,
            cpu_millis: 1500,
            tasks: 129,
            file_bytes: 1 << 30,
            jailer: None,
        }),
    }
}

/// A supervisor, and what it says.
struct Vm {
    directory: tempfile::TempDir,
    supervisor: Child,
    events: BufReader<std::io::PipeReader>,
}

impl Vm {
    fn start(uid: &str, fate: &str, confined: bool) -> Self {
        Self::start_as(|directory| plan(directory, uid, fate, confined))
    }

    fn start_as(plan: impl FnOnce(&Path) -> Plan) -> Self {
        let directory = tempfile::tempdir().expect("tempdir");
        let plan = plan(directory.path());
        let path = directory.path().join("run/plan.json");
        std::fs::write(&path, serde_json::to_vec(&plan).expect("plain data")).expect("write");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let spec = Spec::new(env!("CARGO_BIN_EXE_ignite-spawn"))
            .arg(&path)
            .args(["--notify-fd".to_owned(), NOTIFY.to_string()])
            .pass_fd(writer.into(), NOTIFY)
            .stderr(Stdio::Inherit);
        Self {
            directory,
            supervisor: process::spawn(spec).expect("it starts"),
            events: BufReader::new(reader),
        }
    }

    fn event(&mut self) -> Event {
        let mut line = String::new();
        self.events.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).expect("an event")
    }

    fn wait_until_ready(&mut self) {
        assert!(matches!(self.event(), Event::Started { .. }));
        assert_eq!(self.event(), Event::Ready);
    }

    fn control(&self) -> Client {
        let path = self.directory.path().join("run/control.sock");
        let stream = UnixStream::connect(path).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Client {
            stream,
            decoder: Decoder::new(),
        }
    }

    /// Waits for the supervisor's end; the record of the VM's.
    fn ended(&self) -> StatusRecord {
        let ended = self.supervisor.wait_timeout(PATIENCE).expect("our child");
        assert!(ended.expect("it ends").success());
        let path = self.directory.path().join("vm/status.json");
        serde_json::from_slice(&std::fs::read(path).expect("a record")).expect("a record")
    }

    fn left(&self) -> Vec<std::ffi::OsString> {
        let entries = std::fs::read_dir(self.directory.path().join("run")).expect("readable");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
        let mut left: Vec<_> = entries.map(name).collect();
        left.retain(|name| name != "plan.json");
        left
    }
}

struct Client {
    stream: UnixStream,
    decoder: Decoder,
}

impl Client {
    fn ask(&mut self, message: Message) -> Message {
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

    fn status(&mut self) -> SupervisorStatus {
        match self.ask(Message::Status) {
            Message::StatusReply(status) => status,
            other => panic!("{other:?}"),
        }
    }
}

/// Runs in a sandbox with an `eth0`, which is as before afterwards.
fn in_sandbox(work: impl FnOnce() + Send) {
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

#[test]
fn a_vm_is_stopped_in_order_and_has_powered_off() {
    for (uid, confined) in [("00c0ffee00000001", false), ("00c0ffee00000002", true)] {
        in_sandbox(|| {
            let mut vm = Vm::start(uid, "", confined);
            vm.wait_until_ready();
            let mut client = vm.control();
            let deadline = Instant::now() + PATIENCE;
            // At the start, and then when asked for.
            while client.status().vmm.is_none_or(|vmm| vmm.disk_reads < 2) {
                assert!(Instant::now() < deadline, "nothing is counted");
            }
            assert_eq!(client.ask(Message::Pause), Message::Done { changed: true });
            assert!(client.status().paused);
            client.ask(Message::Stop { grace_ms: 20_000 });
            let record = vm.ended();
            assert_eq!((record.end, record.message), (Some(End::PoweredOff), None));
            assert_eq!(vm.left(), [""; 0]);
        });
    }
}

#[test]
fn a_balloon_is_changed_and_told_of() {
    const BALLOON: Message = Message::Balloon { bytes: 32 << 20 };
    in_sandbox(|| {
        let mut vm = Vm::start_as(|directory| {
            let mut plan = plan(directory, "00c0ffee00000009", "", true);
            plan.machine.balloon = Some(64 << 20);
            plan
        });
        vm.wait_until_ready();
        let mut client = vm.control();
        let mut holds = |bytes| {
            let deadline = Instant::now() + PATIENCE;
            while client.status().balloon != Some(bytes) {
                assert!(Instant::now() < deadline, "{bytes} is not told");
            }
            client.ask(BALLOON)
        };
        assert_eq!(holds(64 << 20), Message::Done { changed: true });
        assert_eq!(holds(32 << 20), Message::Done { changed: false });
        client.ask(Message::Stop { grace_ms: 20_000 });
        vm.ended();
    });
    in_sandbox(|| {
        let mut vm = Vm::start("00c0ffee0000000a", "", false);
        vm.wait_until_ready();
        let Message::Error { message, .. } = vm.control().ask(BALLOON) else {
            panic!("it has none");
        };
        assert!(message.contains("without a balloon"), "{message}");
        assert_eq!(vm.control().status().balloon, None);
        vm.control().ask(Message::Kill);
        vm.ended();
    });
}

#[test]
fn what_the_jailer_confines_leaves_no_jail_and_no_group() {
    const UID: &str = "00c0ffee00000006";
    in_sandbox(|| {
        let mut vm = Vm::start_as(|directory| {
            let mut plan = plan(directory, UID, "", true);
            let confinement = plan.confinement.as_mut().expect("confined");
            confinement.jailer = Some(stand_in().with_file_name("jailer"));
            // As a supervisor that was killed leaves it.
            std::fs::create_dir_all(plan.vm_dir.join("jail/firecracker/old")).expect("mkdir");
            plan
        });
        vm.wait_until_ready();
        let jail = vm.directory.path().join("vm/jail");
        let root = jail.join("firecracker").join(UID).join("root");
        assert!(root.join("dev/kvm").exists() && !jail.join("firecracker/old").exists());
        vm.control().ask(Message::Stop { grace_ms: 20_000 });
        let record = vm.ended();
        assert_eq!((record.end, record.message), (Some(End::PoweredOff), None));
        assert!(!jail.exists());
        assert_eq!(vm.left(), [""; 0]);
        let group = Group::find(&of_vm(UID)).expect("readable");
        assert!(!group.exists());
    });
}

#[test]
fn a_guest_that_cannot_reset_itself_is_ended_quickly_and_without_a_complaint() {
    in_sandbox(|| {
        let mut vm = Vm::start("00c0ffee00000003", "standin.halts", false);
        vm.wait_until_ready();
        let begun = Instant::now();
        vm.control().ask(Message::Stop { grace_ms: 60_000 });
        let record = vm.ended();
        assert_eq!((record.end, record.message), (Some(End::PoweredOff), None));
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "its grace period"
        );
    });
}

#[test]
fn a_stop_reaches_an_agent_that_comes_after_it() {
    in_sandbox(|| {
        let mut vm = Vm::start("00c0ffee00000006", "standin.late", false);
        assert!(matches!(vm.event(), Event::Started { .. }));
        let begun = Instant::now();
        vm.control().ask(Message::Stop { grace_ms: 40_000 });
        assert_eq!(vm.ended().end, Some(End::PoweredOff));
        assert!(begun.elapsed() < Duration::from_secs(20), "the button");
    });
}

#[test]
fn a_guest_that_hangs_is_stopped_by_its_button() {
    in_sandbox(|| {
        let mut vm = Vm::start("00c0ffee00000007", "standin.hangs", false);
        vm.wait_until_ready();
        vm.control().ask(Message::Stop { grace_ms: 8_000 });
        assert_eq!(vm.ended().end, Some(End::PoweredOff));
    });
}

#[test]
fn a_stranger_does_not_become_the_agent() {
    in_sandbox(|| {
        // Another program connects before the agent, and says what an agent says.
        let mut vm = Vm::start("00c0ffee00000008", "standin.stranger", false);
        vm.wait_until_ready();
        vm.control().ask(Message::Stop { grace_ms: 20_000 });
        let record = vm.ended();
        assert_eq!((record.end, record.message), (Some(End::PoweredOff), None));
    });
}

#[test]
fn a_kill_is_a_kill() {
    in_sandbox(|| {
        let mut vm = Vm::start("00c0ffee00000004", "", false);
        vm.wait_until_ready();
        vm.control().ask(Message::Kill);
        assert_eq!(vm.ended().end, Some(End::Killed));
        assert_eq!(vm.left(), [""; 0]);
    });
}

#[test]
fn a_vmm_that_breaks_is_told_with_its_words() {
    for (fate, words) in [
        ("standin.breaks", "KVM_EXIT_INTERNAL_ERROR"),
        ("standin.dies", "system call filter"),
    ] {
        in_sandbox(|| {
            let mut vm = Vm::start("00c0ffee00000005", fate, false);
            let failed = loop {
                match vm.event() {
                    Event::Started { .. } => {}
                    event => break event,
                }
            };
            let Event::Failed { message, .. } = failed else {
                panic!("{failed:?}");
            };
            assert!(message.contains(words), "{message}");
            assert_eq!(vm.ended().end, Some(End::VmmFailed));
        });
    }
}
