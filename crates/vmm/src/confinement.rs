//! What a VMM may use and may not leave.
//!
//! Whoever starts a driver says as whom the VMM runs and which control groups bound it; what the VMM
//! needs to see is the driver's own knowledge. Put together they are the host's [`Confine`].

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use ignite_host::confine::{self, Confine, Limits, Plan, Room};

use ignite_wire::supervisor::{Machine, Vmm};

use crate::Error;

/// How many files a VMM has open: its disks, taps, streams, and an event descriptor for each queue of
/// its devices make some two hundred.
const OPEN_FILES: u64 = 1024;

/// Bytes of memory this machine's VMM needs besides its guest's, with room.
///
/// QEMU 7.2 was seen with 87 MiB of its own under translation, 64 of them the cache of translated
/// code, and 75 MiB of files it has mapped, which the kernel can drop. What it writes to disks is
/// counted, too, until it is written.
pub fn own_memory(machine: &Machine) -> u64 {
    const MIB: u64 = 1 << 20;
    /// Stacks, and the tables a translated processor looks addresses up in.
    const EACH_CPU: u64 = 8 * MIB;
    /// The host's page tables and the guest's second ones take a 512th each; twice that is left.
    const TABLES: u64 = 128;
    let base = match machine.vmm {
        Vmm::QemuTcg => 256 * MIB,
        Vmm::QemuKvm => 128 * MIB,
        Vmm::Firecracker => 32 * MIB,
    };
    /// Of whoever serves a directory: what it knows of the files its guest knows of.
    const EACH_SHARE: u64 = 64 * MIB;
    let shares = machine.shares.len() as u64 * EACH_SHARE;
    base + u64::from(machine.cpus) * EACH_CPU + machine.memory / TABLES + shares
}

/// Bytes the file of a disk of `size` bytes may have, whatever its format: qcow2 has tables of about
/// an 8000th besides, and a table of a few clusters to begin with.
pub fn file_bytes(size: u64) -> u64 {
    const LEAST: u64 = 64 << 20;
    size.saturating_add(size / 1024).saturating_add(LEAST)
}

/// A user, and what bounds it.
#[derive(Debug)]
pub struct Confinement {
    /// User and group, which no account and no other VM has.
    pub user: u32,
    /// Threads and processes it may have.
    pub tasks: u32,
    /// Bytes a file it writes to may have: [`file_bytes`] of the machine's largest writable disk.
    pub file_bytes: u64,
    /// `tasks` or `cgroup.procs` of every control group the VMM joins, open for writing.
    pub cgroups: Vec<OwnedFd>,
    /// Firecracker's jailer, where it confines instead of us.
    pub jailer: Option<Jailer>,
}

/// Firecracker's jailer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jailer {
    /// Its program.
    pub program: PathBuf,
    /// The directory in which it makes its jail, and nobody anything else: it comes and goes with the
    /// jail. On the file system of the machine's disks, which are linked into the jail.
    pub base: PathBuf,
}

impl Confinement {
    /// Makes the room that the driver planned. What the VMM opens again by `/proc/self/fd/<n>` is
    /// named in `reopened`; for memory files that is not needed.
    pub(crate) fn furnish(
        self,
        plan: &Plan,
        reopened: &[BorrowedFd<'_>],
    ) -> Result<Confine, confine::Error> {
        let room = Room::make(plan, self.user)?;
        let limits = Limits {
            open_files: OPEN_FILES,
            tasks: self.tasks.into(),
            file_bytes: self.file_bytes,
        };
        Ok(Confine {
            landlock: confine::landlock(plan, &room, reopened)?,
            cgroups: self.cgroups,
            ..Confine::new(room, limits)
        })
    }
}

impl From<confine::Error> for Error {
    fn from(source: confine::Error) -> Self {
        Self::Confine(Box::new(source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_room_for_its_tables() {
        for size in [0, 1 << 20, 10 << 30, 1 << 40] {
            let clusters = u64::div_ceil(size, 1 << 16);
            // Of each cluster an address of 8 bytes and a count of 2.
            let tables = clusters * 10;
            assert!(file_bytes(size) >= size + tables + (1 << 20), "{size}");
            assert!(file_bytes(size) <= size + size / 100 + (1 << 27), "{size}");
        }
        assert_eq!(file_bytes(u64::MAX), u64::MAX);
    }
}
