//! The machine behind the API: a guest that is not there, its console, and its end.

use std::io::{ErrorKind, Read, Write, stdin, stdout};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use ignite_host::confine::probe::Held;
use ignite_testkit::firecracker::{Action, Launch, Server};
use ignite_testkit::mischief::{Console, Mischief, Place};
use ignite_wire::guest::{AGENT_VSOCK_PORT, Config, PowerOff, Transport};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Failure;
use super::guest::{Guest, Wish};
use super::options::Options;

/// From the start until the guest is ready, and between two attempts to reach its supervisor.
const BOOT: Duration = Duration::from_millis(10);

/// What the system call filter's victim ends with.
const FILTERED: u8 = 148;

struct Machine {
    server: Server,
    guest: Option<Guest>,
    /// What would be the agent, and is not.
    stranger: Option<Guest>,
    config: Option<Config>,
    /// What it was started with.
    held: Vec<Held>,
    /// When the guest will be ready.
    boots: Option<Instant>,
    /// The console's input has ended.
    deaf: bool,
    /// What the program ends with.
    end: Option<u8>,
}

/// Runs the machine to its end; the program's exit code.
pub fn run(options: Options, held: Vec<Held>) -> Result<u8, Failure> {
    match options.launch {
        Launch::Sound => {}
        Launch::Exit(code) => {
            println!("this machine monitor does not start");
            return Ok(code);
        }
        Launch::Deaf => loop {
            std::thread::park();
        },
    }
    // As the real program does to whoever shares the open file with it.
    for stream in [stdin().as_fd(), stdout().as_fd()] {
        rustix::io::ioctl_fionbio(stream, true)?;
    }
    let mut machine = Machine {
        server: Server::bind(&options.socket, options.version, options.faults)?,
        guest: None,
        stranger: None,
        config: None,
        held,
        boots: None,
        deaf: false,
        end: None,
    };
    machine.say_version(options.log.as_deref())?;
    loop {
        if let Some(code) = machine.end {
            machine.server.machine.flush_metrics();
            return Ok(code);
        }
        machine.wait()?;
        for action in machine.server.turn()? {
            machine.act(action)?;
        }
        machine.echo()?;
        if machine.server.machine.is_running() {
            machine.go_on()?;
        }
    }
}

impl Machine {
    /// The first line of its log, which without one goes to the console.
    fn say_version(&mut self, log: Option<&Path>) -> Result<(), Failure> {
        const LINE: &str = "[stand-in:main:INFO] Running Firecracker v1.16.0";
        let Some(log) = log else {
            return say(&format!("{LINE}\n"));
        };
        self.server.machine.log_to(log)?;
        self.server.machine.log(LINE);
        Ok(())
    }

    fn wait(&self) -> Result<(), Failure> {
        let mut fds = self.server.fds();
        let (input, running) = (stdin(), self.server.machine.is_running());
        fds.extend(Some(input.as_fd()).filter(|_| !self.deaf));
        let guest = self.guest.iter().filter(|guest| running && guest.is_up());
        fds.extend(guest.map(|guest| guest.stream().as_fd()));
        let fds = fds.into_iter();
        let mut fds: Vec<PollFd<'_>> = fds
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        let left = self
            .boots
            .filter(|_| running)
            .map(|at| Timespec::try_from(at.saturating_duration_since(Instant::now())))
            .transpose()?;
        match poll(&mut fds, left.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn act(&mut self, action: Action) -> Result<(), Failure> {
        match action {
            Action::Start => self.start(),
            Action::CtrlAltDel => self.ctrl_alt_del(),
            Action::Pause | Action::Resume => Ok(()),
        }
    }

    fn start(&mut self) -> Result<(), Failure> {
        self.config = Some(configuration(&self.server.machine.read_initramfs()?)?);
        if self.says("standin.dies") {
            self.end = Some(FILTERED);
        } else if self.says("standin.breaks") {
            let line = "[stand-in:fc_vcpu 0:ERROR] Received KVM_EXIT_INTERNAL_ERROR signal";
            self.server.machine.log(line);
            self.end = Some(0);
        } else if !self.says("standin.silent") && !self.says("standin.late") {
            self.boots = Some(Instant::now() + BOOT);
        }
        Ok(())
    }

    fn says(&self, word: &str) -> bool {
        let mut words = self.server.machine.arguments.split(' ');
        words.any(|given| given == word)
    }

    /// The guest's part of a moment.
    fn go_on(&mut self) -> Result<(), Failure> {
        if self.boots.is_some_and(|at| at <= Instant::now()) {
            self.boots = None;
            self.boot()?;
        }
        let Some(guest) = &mut self.guest else {
            return Ok(());
        };
        match guest.listen()? {
            Some(Wish::PowerOff) if self.says("standin.hangs") => Ok(()),
            Some(Wish::PowerOff) => self.power_off(),
            None => Ok(()),
        }
    }

    /// A kernel that is not up yet takes no notice.
    fn ctrl_alt_del(&mut self) -> Result<(), Failure> {
        if self.says("standin.late") && self.guest.is_none() {
            self.boots = Some(Instant::now() + BOOT);
            return Ok(());
        }
        self.reset()
    }

    /// The agent connects to its supervisor, which may not listen yet.
    fn boot(&mut self) -> Result<(), Failure> {
        let path = self.server.machine.vsock_path(AGENT_VSOCK_PORT);
        let over_vsock = self
            .config
            .as_ref()
            .is_some_and(|config| config.agent == Transport::Vsock);
        let Some(path) = path.filter(|_| over_vsock) else {
            return say("stand-in: the agent finds no port\n");
        };
        if self.says("standin.stranger") && self.stranger.is_none() {
            self.stranger = stranger(&path);
        }
        let Ok(stream) = UnixStream::connect(&path) else {
            self.boots = Some(Instant::now() + BOOT);
            return Ok(());
        };
        stream.set_nonblocking(true)?;
        self.make_mischief()?;
        say("stand-in: up\n")?;
        let config = self.config.as_ref();
        let token = config.map_or("", |config| &config.agent_token);
        let guest = self.guest.insert(Guest::new(stream));
        guest.come_up(token)?;
        self.server.machine.activate();
        Ok(())
    }

    fn make_mischief(&mut self) -> Result<(), Failure> {
        let machine = &self.server.machine;
        if let Some(mischief) = Mischief::parse(machine.arguments.split(' ')) {
            mischief.make(Place {
                held: &self.held,
                tap: machine.first_tap()?,
                console: Console::new(stdout().as_fd().try_clone_to_owned()?),
            })?;
        }
        Ok(())
    }

    fn power_off(&mut self) -> Result<(), Failure> {
        let power_off = self.config.as_ref().map(|config| config.power_off);
        if power_off == Some(PowerOff::Reset) && !self.says("standin.halts") {
            return self.reset();
        }
        self.guest = None;
        say("reboot: Power off not available: System halted instead\n")
    }

    fn reset(&mut self) -> Result<(), Failure> {
        self.end = Some(0);
        say("reboot: Restarting system\n")
    }

    /// What is typed comes back, as from a terminal.
    fn echo(&mut self) -> Result<(), Failure> {
        let mut buffer = [0; 1024];
        match stdin().read(&mut buffer) {
            Ok(0) => self.deaf = true,
            Ok(length) => {
                let _ = stdout().write_all(&buffer[..length]);
                stdout().flush()?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// A program of the guest that takes itself for the agent, and does not know its token.
fn stranger(path: &Path) -> Option<Guest> {
    let mut stranger = Guest::new(UnixStream::connect(path).ok()?);
    stranger.come_up("").ok()?;
    Some(stranger)
}

fn say(text: &str) -> Result<(), Failure> {
    let mut console = stdout();
    console.write_all(text.as_bytes())?;
    Ok(console.flush()?)
}

/// The guest's configuration is the last file of the initramfs, and JSON.
fn configuration(initramfs: &[u8]) -> Result<Config, Failure> {
    let start = initramfs
        .windows(2)
        .rposition(|two| two == b"\0{")
        .ok_or("the initramfs holds no configuration")?;
    let mut values = serde_json::Deserializer::from_slice(&initramfs[start + 1..]).into_iter();
    Ok(values.next().ok_or("the configuration is empty")??)
}
