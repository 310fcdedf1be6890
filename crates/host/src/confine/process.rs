//! How a child process is confined.

use std::os::fd::OwnedFd;

use super::{Filter, Room};

/// How a process is confined; given to [`crate::process::Spec::confine`].
///
/// It becomes the room's user, with the group of the same number, no others and no capabilities (but
/// for [`Privileges`]), and can never get any. IPC and UTS namespaces are always its own. Its program is found by its path in the
/// room, as is its working directory (the root unless said otherwise).
#[derive(Debug)]
pub struct Confine {
    /// What it sees.
    pub room: Room,
    /// Whether it is the first process of a PID namespace: it sees and signals no other, all it
    /// starts end with it, and signals it has no handler for (but SIGKILL from outside) do nothing.
    /// In a room with `/proc` it always is.
    pub pid_namespace: bool,
    /// Its network.
    pub network: Network,
    /// What it may ask of the kernel; anything if none.
    pub filter: Option<Filter>,
    /// The rules of [`super::landlock`].
    pub landlock: Option<OwnedFd>,
    /// What it may do besides what any user may.
    pub privileges: Privileges,
    /// What it may use up.
    pub limits: Limits,
    /// `cgroup.procs` (or `tasks`) of every control group it joins, open for writing.
    pub cgroups: Vec<OwnedFd>,
}

/// What a confined process may do besides what any user may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privileges {
    /// Nothing.
    None,
    /// These capabilities, by their numbers in `linux/capability.h`, and never another: for one that is
    /// root in its room.
    Only(&'static [u32]),
}

impl Privileges {
    /// As the kernel keeps them.
    pub(crate) fn mask(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Only(numbers) => numbers.iter().fold(0, |mask, number| mask | 1 << number),
        }
    }
}

/// The network of a confined process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// An empty network namespace of its own, whatever the [`crate::process::Spec`] names.
    Empty,
    /// The namespace the [`crate::process::Spec`] names, else the parent's.
    Given,
}

/// What a confined process may use up, besides what its control groups say. It leaves no core dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many files it may have open.
    pub open_files: u64,
    /// How many threads its user may have in all.
    pub tasks: u64,
    /// How many bytes a file it writes to may have.
    pub file_bytes: u64,
}

impl Confine {
    /// In this room, with a PID namespace, an empty network, the usual filter and nothing further.
    pub fn new(room: Room, limits: Limits) -> Self {
        Self {
            room,
            pid_namespace: true,
            network: Network::Empty,
            filter: Some(Filter::vmm()),
            landlock: None,
            privileges: Privileges::None,
            limits,
            cgroups: Vec::new(),
        }
    }
}
