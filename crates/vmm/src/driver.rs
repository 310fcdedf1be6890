//! One enum over the drivers, with the few verbs a supervisor needs.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use ignite_host::process::{Child, Status};
use ignite_wire::supervisor::{Machine, Vmm};

use crate::Error;
use crate::qemu::Qemu;

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
}

/// One network interface of the guest.
#[derive(Debug)]
pub struct Nic {
    /// The open tap.
    pub tap: OwnedFd,
    /// MAC address, lower-case, colon-separated.
    pub mac: String,
    /// MTU in bytes.
    pub mtu: u32,
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
    /// The VMM refused what it was asked.
    Refused {
        /// The VMM's words.
        message: String,
    },
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
        }
    }

    /// Whether [`Driver::start`] wants the rate of the host's time stamp counter.
    pub fn needs_tsc(vmm: Vmm) -> bool {
        match vmm {
            Vmm::QemuTcg => true,
            Vmm::QemuKvm => false,
        }
    }

    /// The VMM's process.
    pub fn process(&self) -> &Child {
        match self {
            Self::Qemu(qemu) => qemu.process(),
        }
    }

    /// How the VMM ended, if it did.
    pub fn try_wait(&self) -> Result<Option<Status>, Error> {
        Ok(self.process().try_wait()?)
    }

    /// The guest's serial console: does not block; bytes written are the console's input.
    pub fn console(&self) -> &UnixStream {
        match self {
            Self::Qemu(qemu) => qemu.console(),
        }
    }

    /// The agent's stream; does not block.
    pub fn agent(&self) -> &UnixStream {
        match self {
            Self::Qemu(qemu) => qemu.agent(),
        }
    }

    /// To be polled: readable when [`Driver::reports`] has something, writable when
    /// [`Driver::wants_write`] says so.
    pub fn control(&self) -> BorrowedFd<'_> {
        match self {
            Self::Qemu(qemu) => qemu.control().as_fd(),
        }
    }

    /// Whether requests wait until [`Driver::control`] is writable.
    pub fn wants_write(&self) -> bool {
        match self {
            Self::Qemu(qemu) => qemu.wants_write(),
        }
    }

    /// Sends what waits, and reads what the VMM has told; does not block. After an error or
    /// [`Reports::closed`] the control stream has nothing more to say.
    pub fn reports(&mut self) -> Result<Reports, Error> {
        match self {
            Self::Qemu(qemu) => qemu.reports(),
        }
    }

    /// Presses the power button, for guests that listen to it.
    pub fn power_button(&mut self) {
        match self {
            Self::Qemu(qemu) => qemu.execute("system_powerdown"),
        }
    }

    /// Stops the guest's processors.
    pub fn pause(&mut self) {
        match self {
            Self::Qemu(qemu) => qemu.execute("stop"),
        }
    }

    /// Lets the guest's processors go on.
    pub fn resume(&mut self) {
        match self {
            Self::Qemu(qemu) => qemu.execute("cont"),
        }
    }

    /// Asks the VMM to end now, its disks flushed.
    pub fn quit(&mut self) {
        match self {
            Self::Qemu(qemu) => qemu.execute("quit"),
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
