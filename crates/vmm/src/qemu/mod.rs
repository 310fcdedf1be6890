//! The QEMU driver: `-M microvm` with hardware virtualisation (KVM) or without (TCG).
//!
//! ```text
//!   command  the command line, a pure function
//!   qmp      the control protocol
//!   mod      the process and its streams
//! ```

pub mod command;
pub mod qmp;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use ignite_host::process::{self, Child, Spec, Stdio};
use ignite_wire::supervisor::Machine;

use crate::{Error, Reports, Resources};
use command::{Interface, fd};

/// Bytes of one read of the control stream.
const READ_SIZE: usize = 4096;

/// Reads of the control stream at one look, so that it keeps nobody waiting.
const MAX_READS: usize = 16;

/// The signal QEMU gets when its parent ends.
const SIGKILL: i32 = 9;

/// A running QEMU.
#[derive(Debug)]
pub struct Qemu {
    process: Child,
    console: UnixStream,
    agent: UnixStream,
    control: UnixStream,
    decoder: qmp::Decoder,
    outgoing: VecDeque<u8>,
}

impl Qemu {
    /// Starts QEMU; see [`crate::Driver::start`].
    pub fn start(
        machine: &Machine,
        resources: Resources,
        tsc_khz: Option<u32>,
    ) -> Result<Self, Error> {
        let interfaces: Vec<Interface<'_>> = resources
            .nics
            .iter()
            .map(|nic| Interface {
                mac: &nic.mac,
                mtu: nic.mtu,
            })
            .collect();
        let arguments = command::command_line(machine, &interfaces, tsc_khz)?;
        let (console, console_end) = stream("console")?;
        let (agent, agent_end) = stream("agent")?;
        let (control, control_end) = stream("control")?;
        let mut spec = Spec::new(&machine.program)
            .args(arguments)
            .env_clear()
            .parent_death_signal(SIGKILL)
            .process_group()
            .pass_fd(console_end, fd::CONSOLE)
            .pass_fd(agent_end, fd::AGENT)
            .pass_fd(control_end, fd::CONTROL)
            .pass_fd(resources.initramfs, fd::INITRAMFS);
        if let Some(live) = resources.live {
            spec = spec.pass_fd(live, fd::LIVE);
        }
        if let Some(log) = resources.log {
            spec = spec.stderr(Stdio::Fd(log));
        }
        for (target, nic) in (fd::FIRST_TAP..).zip(resources.nics) {
            spec = spec.pass_fd(nic.tap, target);
        }
        let process = process::spawn(spec)?;
        let mut qemu = Self {
            process,
            console,
            agent,
            control,
            decoder: qmp::Decoder::default(),
            outgoing: VecDeque::new(),
        };
        qemu.execute("qmp_capabilities");
        qemu.execute("cont");
        Ok(qemu)
    }

    pub(crate) fn process(&self) -> &Child {
        &self.process
    }

    pub(crate) fn console(&self) -> &UnixStream {
        &self.console
    }

    pub(crate) fn agent(&self) -> &UnixStream {
        &self.agent
    }

    pub(crate) fn control(&self) -> &UnixStream {
        &self.control
    }

    pub(crate) fn wants_write(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Queues a command and sends what can be sent. That it failed is seen at the next look.
    pub(crate) fn execute(&mut self, command: &str) {
        self.outgoing.extend(qmp::command(command).bytes());
        let _ = self.flush();
    }

    pub(crate) fn reports(&mut self) -> Result<Reports, Error> {
        let mut reports = Reports::default();
        // Reading goes on though writing fails: the last words of a QEMU that ended are in there.
        let flushed = self.flush();
        let mut buffer = [0; READ_SIZE];
        for _ in 0..MAX_READS {
            match self.control.read(&mut buffer) {
                Ok(0) => reports.closed = true,
                Ok(length) => {
                    self.decoder.push(&buffer[..length], &mut reports.reports)?;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    flushed.map_err(Error::Control)?;
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    reports.closed = true;
                }
                Err(error) => return Err(Error::Control(error)),
            }
            break;
        }
        Ok(reports)
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            let (bytes, _) = self.outgoing.as_slices();
            match self.control.write(bytes) {
                Ok(sent) => drop(self.outgoing.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.outgoing.clear();
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// A pair of connected sockets: ours, which does not block, and QEMU's.
fn stream(what: &'static str) -> Result<(UnixStream, OwnedFd), Error> {
    let pair = UnixStream::pair().and_then(|(ours, theirs)| {
        ours.set_nonblocking(true)?;
        Ok((ours, OwnedFd::from(theirs)))
    });
    pair.map_err(|source| Error::Stream { what, source })
}
