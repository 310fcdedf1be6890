//! The QEMU driver: `-M microvm` with hardware virtualisation (KVM) or without (TCG).
//!
//! ```text
//!   command  the command line, a pure function
//!   files    what the machine is made of, opened
//!   room     what a confined QEMU sees
//!   share    the servers of shared directories
//!   server   one of them that runs
//!   qmp      the control protocol
//!   version  what depends on QEMU's
//!   mod      the process and its streams
//! ```

pub mod command;
mod files;
pub mod qmp;
mod room;
mod server;
mod share;
mod version;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use ignite_host::process::{self, Child, Spec, Stdio};
use ignite_wire::agent::DiskCounters;
use ignite_wire::supervisor::{Machine, Rate, Vmm};

use crate::{Console, Error, Reports, Request, Resources, Tap};
use command::{Interface, Translation, fd};
pub(crate) use files::kind_of;
use server::Server;

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
    /// The servers of its directories, which end when QEMU closes their sockets.
    servers: Vec<Server>,
    console: Console,
    agent: UnixStream,
    control: UnixStream,
    decoder: qmp::Decoder,
    outgoing: VecDeque<u8>,
    /// Bytes of the guest's memory.
    memory: u64,
    /// How often it was asked what passed to and from the disks.
    counted: u64,
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
        let program = room::program(machine);
        let translation = Translation {
            is_parallel: machine.cpus == 1
                || machine.vmm == Vmm::QemuTcg && version::is_parallel(&program),
            tsc_khz,
        };
        let arguments = command::command_line(machine, &interfaces, translation)?;
        let files = files::open(machine)?;
        let servers = share::serve(machine, &resources)?;
        let (console, console_end) = Console::stream().map_err(|source| Error::Stream {
            what: "console",
            source,
        })?;
        let (agent, agent_end) = stream("agent")?;
        let (control, control_end) = stream("control")?;
        let confine = resources
            .confinement
            .map(|confinement| {
                let plan = room::plan(machine)?;
                confinement.furnish(&plan, &[files.kernel.as_fd()])
            })
            .transpose()?;
        let mut spec = Spec::new(program)
            .args(arguments)
            .env_clear()
            .parent_death_signal(SIGKILL)
            .process_group()
            .pass_fd(console_end, fd::CONSOLE)
            .pass_fd(agent_end, fd::AGENT)
            .pass_fd(control_end, fd::CONTROL)
            .pass_fd(resources.initramfs, fd::INITRAMFS)
            .pass_fd(files.kernel, fd::KERNEL);
        if let Some(confine) = confine {
            spec = spec.confine(confine);
        }
        if let Some(live) = resources.live {
            spec = spec.pass_fd(live, fd::LIVE);
        }
        if let Some(log) = resources.log {
            spec = spec.stderr(Stdio::Fd(log));
        }
        let (nics, disks) = (resources.nics.len(), files.disks.len());
        let first_file = command::first_file(nics);
        for (target, nic) in (fd::FIRST_TAP..).zip(resources.nics) {
            let Tap::Open(tap) = nic.tap else {
                return Err(Error::BadMachine {
                    reason: "QEMU takes taps that are open".to_owned(),
                });
            };
            spec = spec.pass_fd(tap, target);
        }
        for (target, file) in (first_file..).zip(files.disks) {
            spec = spec.pass_fd(file, target);
        }
        let first_share = command::first_share(nics, disks);
        let (servers, sockets): (Vec<_>, Vec<_>) = servers.into_iter().unzip();
        for (target, socket) in (first_share..).zip(sockets) {
            spec = spec.pass_fd(socket, target);
        }
        let process = process::spawn(spec)?;
        let mut qemu = Self {
            process,
            servers,
            console,
            agent,
            control,
            decoder: qmp::Decoder::new(machine.memory),
            outgoing: VecDeque::new(),
            memory: machine.memory,
            counted: 0,
        };
        qemu.execute("qmp_capabilities");
        for (number, disk) in machine.disks.iter().enumerate() {
            if disk.rate.is_some() {
                let device = command::drive(number);
                qemu.send(&qmp::throttle(&device, disk.rate, false));
            }
        }
        if let Some(bytes) = machine.balloon {
            // Kept by the device until the guest's driver looks.
            qemu.send(&qmp::balloon(qemu.left_by(bytes), false));
        }
        qemu.execute("cont");
        Ok(qemu)
    }

    pub(crate) fn process(&self) -> &Child {
        &self.process
    }

    pub(crate) fn console(&self) -> &Console {
        &self.console
    }

    pub(crate) fn agent(&self) -> &UnixStream {
        &self.agent
    }

    /// The control stream, which may have to be written to, and what the servers are heard by.
    pub(crate) fn control(&self) -> Vec<(BorrowedFd<'_>, bool)> {
        let servers = self.servers.iter().flat_map(Server::descriptors);
        let control = (self.control.as_fd(), !self.outgoing.is_empty());
        let servers = servers.map(|descriptor| (descriptor, false));
        [control].into_iter().chain(servers).collect()
    }

    pub(crate) fn pause(&mut self) {
        self.send(&qmp::request(Request::Pause, "stop"));
    }

    pub(crate) fn resume(&mut self) {
        self.send(&qmp::request(Request::Resume, "cont"));
    }

    pub(crate) fn limit_disk(&mut self, disk: usize, rate: Option<Rate>) {
        self.send(&qmp::throttle(&command::drive(disk), rate, true));
    }

    pub(crate) fn inflate(&mut self, bytes: u64) {
        self.send(&qmp::balloon(self.left_by(bytes), true));
    }

    /// Asks what passed to and from the disks, unless it was and has not answered yet.
    pub(crate) fn count(&mut self) {
        if self.decoder.disks().1 == self.counted {
            self.counted += 1;
            self.send(&qmp::disks());
        }
    }

    /// What passed to and from the disks, as last told.
    pub(crate) fn disks(&self) -> Option<DiskCounters> {
        self.decoder.disks().0
    }

    /// QEMU is told what the guest keeps.
    fn left_by(&self, balloon: u64) -> u64 {
        self.memory.saturating_sub(balloon)
    }

    /// Asks for something without arguments whose success nobody waits for.
    pub(crate) fn execute(&mut self, command: &str) {
        self.send(&qmp::command(command));
    }

    /// Queues a line and sends what can be sent. That it failed is seen at the next look.
    fn send(&mut self, line: &str) {
        self.outgoing.extend(line.bytes());
        let _ = self.flush();
    }

    /// The servers are looked at first: one that fails makes QEMU fail.
    pub(crate) fn reports(&mut self) -> Result<Reports, Error> {
        let mut reports = Reports::default();
        let mut broken = false;
        for server in &mut self.servers {
            broken |= server.look(&mut reports.reports);
        }
        if broken {
            self.execute("quit");
        }
        match self.hear(&mut reports) {
            Err(error) if !broken => Err(error),
            _ => Ok(reports),
        }
    }

    fn hear(&mut self, reports: &mut Reports) -> Result<(), Error> {
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
        Ok(())
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

#[cfg(test)]
mod tests;
