//! Drivers for virtual machine monitors (VMMs).
//!
//! ```text
//!   wire::Machine + open descriptors --> Driver::start --> a running VMM
//!                                          |  console   bytes of the guest's serial port
//!                                          |  agent     stream of the guest agent, or where it arrives
//!                                          |  control   the VMM's own protocol (QMP, HTTP)
//!                                          '  process   pidfd: readable when it ended
//! ```
//!
//! A driver knows no manifest, no store and no network: it gets a machine and open descriptors, and
//! gives descriptors to poll. Every driver has the same files: `command` (the command line, a pure
//! function), `room` (what a confined VMM sees), its protocol, and `mod` with the few verbs.
//! [`find`] says which VMM this host can run, [`disk`] makes a VM's disk.

mod confinement;
mod console;
pub mod disk;
mod driver;
mod error;
pub mod find;
pub mod firecracker;
mod kernel;
pub mod qemu;
mod words;

pub use confinement::{Confinement, Jailer, file_bytes, own_memory};
pub use console::Console;
pub use driver::{Agent, Driver, Nic, Reason, Report, Reports, Request, Resources, Tap, Work};
pub use error::Error;
pub use find::{Choice, Found, Programs, find, find_among};
