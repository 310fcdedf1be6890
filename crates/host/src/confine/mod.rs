//! Rooms for programs that may turn hostile: what they see, what they may ask of the kernel.
//!
//! ```text
//!  room (mount namespace)        process, from inside out
//!  /            tmpfs, read-only   seccomp      no new processes, namespaces, mounts, sockets but unix ones, ...
//!  |- program   bound, r-x         landlock     the room's rights once more, where the kernel has it
//!  |- lib, ...  bound, r-x         user         one of its own, no capabilities, none to be had
//!  |- dev/kvm   its own node       namespaces   mount, PID, IPC, UTS, and network where it needs none
//!  |- proc      itself alone       cgroups      what it may use up
//!  `- run       its own tmpfs, which the host holds open, too
//! ```
//!
//! A [`Plan`] says what a room shows, [`Room::make`] builds it, [`Confine`] puts the child of a
//! [`crate::process::Spec`] into it. A room has no name and leaves no trace: it ends with the last
//! descriptor and process that hold it.
//!
//! Control groups are made elsewhere; here they are only joined.

mod elf;
mod error;
mod filter;
mod landlock;
mod libraries;
mod plan;
#[cfg(any(test, feature = "probe"))]
pub mod probe;
mod process;
mod room;

pub use error::Error;
pub use filter::Filter;
pub use landlock::landlock;
pub use libraries::{Libraries, libraries};
pub use plan::{Access, Bind, Block, Link, Plan, Work};
pub use process::{Confine, Limits, Network, Privileges};
pub use room::Room;

#[cfg(test)]
mod tests;
