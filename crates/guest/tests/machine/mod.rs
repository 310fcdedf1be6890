//! A machine as Firecracker makes them: virtio on the machine's bus, vsock, no virtio console. QEMU
//! plays it, with the vsock device of `vhost-device-vsock`, which speaks Firecracker's handshake.
//!
//! ```text
//!  directory/root.ext4     one static program, and the directories a root has
//!            initrd        the fixture kernel's initramfs, the guest's configuration behind it
//!            console.log   what the guest says there
//!            vsock         host -> guest: CONNECT
//!            vsock_1024    guest -> host: the agent, if a test listens there
//! ```

mod agent;
mod kernel;

pub use agent::Agent;
pub use kernel::Kernel;

use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use ignite_testkit::place;
use ignite_wire::cpio;
use ignite_wire::guest::{self, CONFIG_PATH, Config};
use tempfile::TempDir;

/// Generous: instructions are translated, on a machine that may be busy.
pub const PATIENCE: Duration = Duration::from_secs(120);

const MEMORY: &str = "128M";

/// Every program in the guest's root.
pub const HELPER: &str = "/bin/testkit-helper";

/// What the agent proves itself with.
const TOKEN: &str = "00112233445566778899aabbccddeeff";

/// A running machine; it ends with this value.
pub struct Machine {
    directory: TempDir,
    device: Child,
    qemu: Child,
    events: Lines<BufReader<ChildStdout>>,
}

/// What a guest is told that runs `argv` on a machine without a virtio console and without a switch.
pub fn config(argv: &[&str]) -> Config {
    let process = guest::Process::Command {
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        env: Vec::new(),
        user: String::new(),
        cwd: String::new(),
        stop_signal: None,
    };
    let mut config = Config {
        agent: guest::Transport::Vsock,
        agent_token: TOKEN.to_owned(),
        power_off: guest::PowerOff::Reset,
        ..Config::new("otter", process)
    };
    config.root.grow = false;
    config
}

impl Machine {
    /// Starts it; `prepare` sees its directory before.
    pub fn start<T>(
        kernel: &Kernel,
        config: &Config,
        prepare: impl FnOnce(&Path) -> T,
    ) -> (Self, T) {
        let directory = tempfile::tempdir().expect("a directory");
        let at = directory.path();
        make_root(at);
        std::fs::write(at.join("initrd"), initrd(kernel, config)).expect("an initrd");
        let prepared = prepare(at);
        let device = start_device(at);
        let mut qemu = start_qemu(at, kernel);
        let mut input = qemu.stdin.take().expect("it is piped");
        // No event is told before.
        input
            .write_all(b"{\"execute\": \"qmp_capabilities\"}\n{\"execute\": \"cont\"}\n")
            .expect("QEMU takes orders");
        // Its end would be the end of QEMU.
        std::mem::forget(input);
        let output = qemu.stdout.take().expect("it is piped");
        let machine = Self {
            directory,
            device,
            qemu,
            events: BufReader::new(output).lines(),
        };
        (machine, prepared)
    }

    /// Waits until the console says `text`.
    pub fn wait_for_console(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.console().contains(text) {
            assert!(
                Instant::now() < deadline,
                "{:?} lacks {text}",
                self.console()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the console said.
    pub fn console(&self) -> String {
        let bytes = std::fs::read(self.directory.path().join("console.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A stream of the host's to the guest's vsock.
    pub fn dial(&self) -> UnixStream {
        let stream = UnixStream::connect(self.directory.path().join("vsock")).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        stream
    }

    /// Where the agent connects to.
    pub fn listen(&self) -> UnixListener {
        listen(self.directory.path())
    }

    /// Nobody listens any more.
    pub fn stop_listening(&self, listener: UnixListener) {
        drop(listener);
        std::fs::remove_file(agent_socket(self.directory.path())).expect("it was there");
    }

    /// Waits for the machine's end; the reason QEMU gives for it.
    pub fn wait_for_end(&mut self) -> String {
        let lines = self.events.by_ref().map_while(Result::ok);
        let mut ends = lines.filter(|line| line.contains("\"SHUTDOWN\""));
        let event = ends.next().unwrap_or_default();
        assert!(self.qemu.wait().expect("our child").success());
        event
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for child in [&mut self.qemu, &mut self.device] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Where the agent connects to, in a machine's directory.
pub fn listen(directory: &Path) -> UnixListener {
    UnixListener::bind(agent_socket(directory)).expect("a socket")
}

fn agent_socket(directory: &Path) -> PathBuf {
    directory.join(format!("vsock_{}", guest::AGENT_VSOCK_PORT))
}

fn make_root(at: &Path) {
    let tree = at.join("root");
    for name in ["bin", "dev", "proc", "sys", "run", "tmp", "etc"] {
        std::fs::create_dir_all(tree.join(name)).expect("a directory");
    }
    let helper = place::helper().expect("it was built");
    std::fs::copy(helper, tree.join(&HELPER[1..])).expect("a program");
    let options = ignite_image::ext4::Options {
        spare: 1 << 20,
        ..Default::default()
    };
    ignite_image::ext4::make(&tree, &at.join("root.ext4"), &options).expect("a file system");
}

/// Segments begin on a boundary of four bytes, on which the kernel's ends.
fn initrd(kernel: &Kernel, config: &Config) -> Vec<u8> {
    let json = serde_json::to_vec(config).expect("plain data");
    let segment = cpio::segment(CONFIG_PATH, &json).expect("a segment");
    [kernel.initramfs(), segment].concat()
}

fn start_device(at: &Path) -> Child {
    let program = place::built("tools/vhost-device-vsock/bin/vhost-device-vsock");
    let program = program.expect("tools/vhost-device-vsock.sh builds it");
    let log = std::fs::File::create(at.join("device.log")).expect("a file");
    let child = Command::new(program)
        .args(["--guest-cid", "3", "--socket"])
        .arg(at.join("vhost"))
        .arg("--uds-path")
        .arg(at.join("vsock"))
        .stderr(log)
        .spawn()
        .expect("it starts");
    let deadline = Instant::now() + PATIENCE;
    while !at.join("vhost").exists() {
        assert!(Instant::now() < deadline, "the device does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

/// The device's process works on the guest's memory: it is shared.
fn start_qemu(at: &Path, kernel: &Kernel) -> Child {
    let path = |name: &str| at.join(name).display().to_string();
    let tsc = ignite_host::cpu::tsc_khz().map(|khz| format!(" tsc_early_khz={khz}"));
    let arguments = "console=ttyS0 panic=-1 quiet 8250.nr_uarts=1 cryptomgr.notests \
                     mitigations=off random.trust_cpu=on";
    let mut command = Command::new("qemu-system-x86_64");
    // The processor is the one VMs have: `TRANSLATED_CPU` of the crate `vmm`.
    command
        .args(["-machine", "microvm,acpi=on,memory-backend=memory"])
        .args([
            "-accel",
            "tcg,tb-size=64",
            "-cpu",
            "max,erms=off,fsrm=off",
            "-m",
            MEMORY,
        ])
        .args([
            "-nodefaults",
            "-no-user-config",
            "-nographic",
            "-no-reboot",
            "-S",
        ])
        .args([
            "-object",
            &format!("memory-backend-memfd,id=memory,size={MEMORY},share=on"),
        ])
        .args([
            "-qmp",
            "stdio",
            "-serial",
            &format!("file:{}", path("console.log")),
        ])
        .args(["-kernel", &kernel.vmlinux().display().to_string()])
        .args(["-initrd", &path("initrd")])
        .args([
            "-append",
            &format!("{arguments}{}", tsc.unwrap_or_default()),
        ])
        .args([
            "-drive",
            &format!("if=none,id=root,format=raw,file={}", path("root.ext4")),
        ])
        .args(["-device", "virtio-blk-device,drive=root"])
        .args([
            "-chardev",
            &format!("socket,id=vsock,path={}", path("vhost")),
        ])
        .args(["-device", "vhost-user-vsock-device,chardev=vsock"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("QEMU is installed")
}
