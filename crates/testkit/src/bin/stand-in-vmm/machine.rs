//! QMP, and the machine's beginning and end.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ignite_host::confine::probe::Held;
use ignite_testkit::mischief::{Console, Mischief, Place};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Failure;
use super::guest::{Guest, Wish};
use super::noise;
use super::options::{Fate, Options};

/// From `cont` until the guest is ready.
const BOOT: Duration = Duration::from_millis(10);

const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": "stand-in"}, "capabilities": []}}"#;

/// Why a machine stops, as QEMU says it.
#[derive(Debug, Clone, Copy)]
enum End {
    PoweredOff,
    Quit,
}

struct Machine {
    control: UnixStream,
    console: UnixStream,
    guest: Guest,
    fate: Fate,
    mischief: Option<Mischief>,
    held: Vec<Held>,
    tap: Option<OwnedFd>,
    outlives: bool,
    /// From when the guest is ready, nothing is said but noise.
    noisy: bool,
    mute: bool,
    line: Vec<u8>,
    /// When the guest will be ready.
    boots: Option<Instant>,
    end: Option<End>,
    /// Its processors do: the guest neither hears nor says anything.
    stands_still: bool,
    _disk: File,
}

/// Runs the machine to its end.
pub fn run(options: Options) -> Result<(), Failure> {
    let mut machine = Machine {
        control: options.control,
        console: options.console,
        guest: Guest::new(options.agent),
        fate: options.fate,
        outlives: options.mischief == Some(Mischief::Outlive),
        noisy: options.mischief == Some(Mischief::Noise),
        mute: false,
        mischief: options.mischief,
        held: options.held,
        tap: options.tap,
        line: Vec::new(),
        boots: None,
        end: None,
        stands_still: false,
        _disk: options.disk,
    };
    machine.tell(GREETING)?;
    while machine.end.is_none() {
        machine.wait()?;
        machine.commands()?;
        machine.boot()?;
        if machine.stands_still {
            continue;
        }
        match machine.listen()? {
            Some(Wish::PowerOff) => machine.end = Some(End::PoweredOff),
            None => {}
        }
    }
    machine.shut_down()
}

impl Machine {
    fn wait(&self) -> Result<(), Failure> {
        let mut fds = vec![PollFd::new(&self.control, PollFlags::IN)];
        if self.guest.is_up() && !self.stands_still {
            fds.push(PollFd::new(self.guest.stream(), PollFlags::IN));
        }
        let left = self
            .boots
            .map(|at| at.saturating_duration_since(Instant::now()));
        let left = left.map(Timespec::try_from).transpose()?;
        match poll(&mut fds, left.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Does what the supervisor asks for over QMP.
    fn commands(&mut self) -> Result<(), Failure> {
        let mut buffer = [0; 4096];
        match self.control.read(&mut buffer) {
            Ok(0) if self.outlives => loop {
                std::thread::park();
            },
            Ok(0) => return Err("the supervisor closed the control stream".into()),
            Ok(length) => self.line.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        while let Some(end) = self.line.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            let command: serde_json::Value = serde_json::from_slice(&line)?;
            let name = command["execute"].as_str().unwrap_or_default();
            self.execute(name, command.get("id"))?;
        }
        Ok(())
    }

    fn execute(&mut self, command: &str, id: Option<&serde_json::Value>) -> Result<(), Failure> {
        match command {
            "qmp_capabilities" | "block_set_io_throttle" => {}
            "stop" => self.stands_still = true,
            "cont" if self.boots.is_none() && !self.guest.is_up() => {
                self.boots = Some(Instant::now() + BOOT);
            }
            "cont" => self.stands_still = false,
            "system_powerdown" => self.end = Some(End::PoweredOff),
            "quit" => self.end = Some(End::Quit),
            _ => {
                let class = "CommandNotFound";
                return self.tell(&format!(
                    r#"{{"error": {{"class": "{class}", "desc": "no {command}"}}}}"#
                ));
            }
        }
        match id {
            None => self.tell(r#"{"return": {}}"#),
            Some(id) => self.tell(&format!(r#"{{"return": {{}}, "id": {id}}}"#)),
        }
    }

    fn boot(&mut self) -> Result<(), Failure> {
        if self.boots.is_none_or(|at| Instant::now() < at) {
            return Ok(());
        }
        self.boots = None;
        if let Some(mischief) = self.mischief.take() {
            mischief.make(Place {
                held: &self.held,
                tap: self.tap.take(),
                console: Console::new(self.console.try_clone()?.into()),
            })?;
        }
        match self.fate {
            Fate::Dies => Err("this machine does not start".into()),
            Fate::Silent => Ok(()),
            Fate::Boots => {
                self.console.write_all(b"stand-in: up\n")?;
                self.event("VSERPORT_CHANGE", r#"{"open": true, "id": "agent"}"#)?;
                self.guest.come_up("")?;
                match self.noisy {
                    true => self.make_noise(),
                    false => Ok(()),
                }
            }
        }
    }

    /// What the guest wants after what it was told. Where it cannot answer it is told one thing only.
    fn listen(&mut self) -> Result<Option<Wish>, Failure> {
        match self.mute {
            true => match self.guest.stream().read(&mut [0; 4096]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                told => Ok(told.map(|_| Some(Wish::PowerOff))?),
            },
            false => self.guest.listen(),
        }
    }

    fn make_noise(&mut self) -> Result<(), Failure> {
        self.mute = true;
        noise::make(
            self.console.try_clone()?,
            self.control.try_clone()?,
            self.guest.stream().try_clone()?,
        );
        Ok(())
    }

    fn shut_down(mut self) -> Result<(), Failure> {
        let (guest, reason) = match self.end {
            Some(End::PoweredOff) => (true, "guest-shutdown"),
            Some(End::Quit) | None => (false, "host-qmp-quit"),
        };
        self.event(
            "SHUTDOWN",
            &format!(r#"{{"guest": {guest}, "reason": "{reason}"}}"#),
        )
    }

    fn event(&mut self, name: &str, data: &str) -> Result<(), Failure> {
        self.tell(&format!(
            r#"{{"timestamp": {{"seconds": 0, "microseconds": 0}}, "event": "{name}", "data": {data}}}"#
        ))
    }

    fn tell(&mut self, line: &str) -> Result<(), Failure> {
        if self.mute {
            return Ok(());
        }
        Ok(self.control.write_all(format!("{line}\r\n").as_bytes())?)
    }
}
