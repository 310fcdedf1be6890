//! One enum over the drivers, with the few verbs a supervisor needs.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Instant;

use ignite_host::process::{Child, Status};
use ignite_wire::agent::{DiskCounters, VmmCounters};
use ignite_wire::supervisor::{Machine, Rate, Vmm};

use crate::firecracker::Firecracker;
use crate::firecracker::request::Request as Call;
use crate::qemu::Qemu;
use crate::{Confinement, Console, Error};

/// Open descriptors a VMM needs; all of them are the VMM's once it runs.
#[derive(Debug)]
pub struct Resources {
    /// One for each network interface of the guest, in its order.
    pub nics: Vec<Nic>,
    /// The whole initramfs, the guest's configuration included, in a memfd.
    pub initramfs: OwnedFd,
    /// The VM's liveness lock: held as long as the VMM lives.
    pub live: Option<OwnedFd>,
    /// Where the VMM's own messages go.
    pub log: Option<OwnedFd>,
    /// What the VMM may use and may not leave; none where it runs as the caller does.
    pub confinement: Option<Confinement>,
    /// Where a VMM that talks through files keeps them; without one it takes none.
    pub work: Option<Work>,
}

/// Where a VMM keeps its pipes and sockets, and what it is called there.
#[derive(Debug)]
pub struct Work {
    /// The VMM's name: letters, digits and hyphens, 64 at most.
    pub id: String,
    /// A directory of the VM's own; one that is confined has another in its room.
    pub directory: PathBuf,
}

/// One network interface of the guest.
#[derive(Debug)]
pub struct Nic {
    /// Its other end.
    pub tap: Tap,
    /// MAC address, lower-case, colon-separated.
    pub mac: String,
    /// MTU in bytes.
    pub mtu: u32,
}

/// A tap, as its VMM takes it.
#[derive(Debug)]
pub enum Tap {
    /// Open.
    Open(OwnedFd),
    /// Closed, and there all the same: the VMM opens it by its name.
    Named {
        /// The interface's name.
        name: String,
        /// Its index, which tells it from another of that name.
        index: u32,
    },
}

/// The way to the guest's agent; does not block.
#[derive(Debug)]
pub enum Agent {
    /// A stream that is there as long as the VMM; [`Report::AgentPort`] tells of the agent.
    Stream(UnixStream),
    /// Every connection is an agent's, which is gone when it closes.
    Listener(UnixListener),
}

/// What a VMM tells of its guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The guest's machine stops, and the VMM ends next.
    Shutdown(Reason),
    /// The guest's kernel told of a panic through a device for that.
    Panicked,
    /// The guest opened (true) or closed the agent's port.
    AgentPort {
        /// Whether it is open now.
        open: bool,
    },
    /// The host's disk is full, and the guest's processors stand still until [`Driver::resume`]; or
    /// it fails, which the guest sees.
    DiskError {
        /// The node that fails.
        device: String,
        /// The VMM's words.
        message: String,
    },
    /// The guest has given back that much of its memory, as it says itself.
    Balloon {
        /// Bytes.
        bytes: u64,
    },
    /// What was asked for is done, or refused, in the VMM's words. Requests of one kind are answered in
    /// their order.
    Answer(Request, Result<(), String>),
    /// The VMM refused what it was asked, or does not answer.
    Refused {
        /// The VMM's words.
        message: String,
    },
    /// The VMM or the host's processor broke under the guest.
    Broken {
        /// How it shows.
        message: String,
    },
    /// The VMM has something to say to people.
    Said {
        /// One line.
        line: String,
    },
}

/// What a VMM is asked for and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// [`Driver::pause`].
    Pause,
    /// [`Driver::resume`].
    Resume,
    /// [`Driver::limit_disk`].
    LimitDisk,
    /// [`Driver::inflate`].
    Inflate,
}

/// Why a guest's machine stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It powered itself off.
    GuestPowerOff,
    /// It reset itself: a reboot, a panic with `panic=-1`, a triple fault.
    GuestReset,
    /// The VMM saw its panic.
    GuestPanic,
    /// The VMM was asked to quit over its control stream.
    Quit,
    /// A signal to the VMM.
    Signal,
    /// Something else of the VMM's.
    Other,
}

/// A running VMM.
#[derive(Debug)]
pub enum Driver {
    /// QEMU, `-M microvm`.
    Qemu(Qemu),
    /// Firecracker.
    Firecracker(Box<Firecracker>),
}

impl Driver {
    /// Starts the VMM and the guest in it. The VMM gets SIGKILL when the calling thread ends.
    ///
    /// `tsc_khz` is the rate of the host's time stamp counter, which a guest needs to be told where
    /// instructions are translated ([`Driver::needs_tsc`]).
    pub fn start(
        machine: &Machine,
        resources: Resources,
        tsc_khz: Option<u32>,
    ) -> Result<Self, Error> {
        match machine.vmm {
            Vmm::QemuTcg | Vmm::QemuKvm => Qemu::start(machine, resources, tsc_khz).map(Self::Qemu),
            Vmm::Firecracker => {
                let firecracker = Firecracker::start(machine, resources)?;
                Ok(Self::Firecracker(Box::new(firecracker)))
            }
        }
    }

    /// Whether [`Driver::start`] wants the rate of the host's time stamp counter.
    pub fn needs_tsc(vmm: Vmm) -> bool {
        match vmm {
            Vmm::QemuTcg => true,
            Vmm::QemuKvm | Vmm::Firecracker => false,
        }
    }

    /// The VMM's process.
    pub fn process(&self) -> &Child {
        match self {
            Self::Qemu(qemu) => qemu.process(),
            Self::Firecracker(firecracker) => firecracker.process(),
        }
    }

    /// How the VMM ended, if it did.
    pub fn try_wait(&self) -> Result<Option<Status>, Error> {
        Ok(self.process().try_wait()?)
    }

    /// What it means that the VMM ended like this, where the VMM did not say it before; with the last
    /// it had to say. To be asked once, after the last [`Driver::reports`].
    pub fn ended(&mut self, status: Status) -> Vec<Report> {
        match self {
            Self::Qemu(_) => Vec::new(),
            Self::Firecracker(firecracker) => firecracker.ended(status),
        }
    }

    /// The guest's serial console.
    pub fn console(&self) -> &Console {
        match self {
            Self::Qemu(qemu) => qemu.console(),
            Self::Firecracker(firecracker) => firecracker.console(),
        }
    }

    /// The way to the agent, by a descriptor of its own.
    pub fn agent(&self) -> Result<Agent, Error> {
        let agent = match self {
            Self::Qemu(qemu) => qemu.agent().try_clone().map(Agent::Stream),
            Self::Firecracker(firecracker) => {
                firecracker.listener().try_clone().map(Agent::Listener)
            }
        };
        agent.map_err(|source| Error::Stream {
            what: "agent",
            source,
        })
    }

    /// To be polled for being readable, and where it says so for being writable: then
    /// [`Driver::reports`] has something to do.
    pub fn control(&self) -> Vec<(BorrowedFd<'_>, bool)> {
        match self {
            Self::Qemu(qemu) => qemu.control(),
            Self::Firecracker(firecracker) => firecracker.control(),
        }
    }

    /// When [`Driver::reports`] has something to do though nothing is heard.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Qemu(_) => None,
            Self::Firecracker(firecracker) => firecracker.deadline(),
        }
    }

    /// Sends what waits, and reads what the VMM has told; does not block. After an error or
    /// [`Reports::closed`] the control stream has nothing more to say.
    pub fn reports(&mut self) -> Result<Reports, Error> {
        match self {
            Self::Qemu(qemu) => qemu.reports(),
            Self::Firecracker(firecracker) => Ok(firecracker.reports()),
        }
    }

    /// What the VMM counted, if it does.
    pub fn counters(&self) -> Option<VmmCounters> {
        match self {
            Self::Qemu(_) => None,
            Self::Firecracker(firecracker) => Some(firecracker.counters()),
        }
    }

    /// What passed to and from all disks, as last counted; none where that was never told.
    pub fn disks(&self) -> Option<DiskCounters> {
        match self {
            Self::Qemu(qemu) => qemu.disks(),
            Self::Firecracker(firecracker) => {
                let counters = firecracker.counters();
                Some(DiskCounters {
                    read_bytes: counters.disk_read_bytes,
                    written_bytes: counters.disk_written_bytes,
                    reads: counters.disk_reads,
                    writes: counters.disk_writes,
                })
            }
        }
    }

    /// Presses the power button, or Ctrl-Alt-Del where there is none, for guests that listen to it.
    pub fn power_button(&mut self) {
        match self {
            Self::Qemu(qemu) => qemu.execute("system_powerdown"),
            Self::Firecracker(firecracker) => firecracker.ask(Call::CtrlAltDel),
        }
    }

    /// Stops the guest's processors; answered.
    pub fn pause(&mut self) {
        match self {
            Self::Qemu(qemu) => qemu.pause(),
            Self::Firecracker(firecracker) => firecracker.ask(Call::Pause),
        }
    }

    /// Lets the guest's processors go on; answered.
    pub fn resume(&mut self) {
        match self {
            Self::Qemu(qemu) => qemu.resume(),
            Self::Firecracker(firecracker) => firecracker.ask(Call::Resume),
        }
    }

    /// Bounds how fast the disk of this number may be, reads and writes together; answered.
    pub fn limit_disk(&mut self, disk: usize, rate: Option<Rate>) {
        match self {
            Self::Qemu(qemu) => qemu.limit_disk(disk, rate),
            Self::Firecracker(firecracker) => {
                firecracker.ask(Call::LimitDrive { number: disk, rate });
            }
        }
    }

    /// Has the guest's balloon take that many bytes, a multiple of 1 MiB; answered as soon as the guest
    /// is told, or where it cannot be. What it takes is told by [`Report::Balloon`].
    pub fn inflate(&mut self, bytes: u64) {
        match self {
            Self::Qemu(qemu) => qemu.inflate(bytes),
            Self::Firecracker(firecracker) => firecracker.ask(Call::Inflate {
                amount_mib: bytes >> 20,
            }),
        }
    }

    /// Has the VMM write down what it counts; [`Driver::counters`] and [`Driver::disks`] know it soon
    /// after, and so is the balloon told of.
    pub fn count(&mut self) {
        match self {
            Self::Qemu(qemu) => qemu.count(),
            Self::Firecracker(firecracker) => firecracker.count(),
        }
    }

    /// Asks the VMM to end now, its disks flushed.
    pub fn quit(&mut self) {
        match self {
            Self::Qemu(qemu) => qemu.execute("quit"),
            Self::Firecracker(firecracker) => firecracker.quit(),
        }
    }

    /// Ends the VMM at once.
    pub fn kill(&self) -> Result<(), Error> {
        const SIGKILL: i32 = 9;
        Ok(self.process().signal(SIGKILL)?)
    }
}

/// What one look at the control stream gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reports {
    /// In the order they came.
    pub reports: Vec<Report>,
    /// Whether the VMM closed the stream.
    pub closed: bool,
}
