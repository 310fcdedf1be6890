//! Drivers for virtual machine monitors (VMMs).
//!
//! ```text
//!   wire::Machine + open descriptors --> Driver::start --> a running VMM
//!                                          |  console   bytes of the guest's serial port
//!                                          |  agent     stream of the guest agent
//!                                          |  control   the VMM's own protocol (QMP)
//!                                          '  process   pidfd: readable when it ended
//! ```
//!
//! A driver knows no manifest, no store and no network: it gets a machine and open descriptors, and
//! gives descriptors to poll. Every driver has the same files: `command` (the command line, a pure
//! function), its protocol, and `mod` with the few verbs. [`find`] says which VMM this host can run,
//! [`qcow2`] makes a VM's disk.

mod driver;
mod error;
pub mod find;
pub mod qcow2;
pub mod qemu;

pub use driver::{Driver, Nic, Reason, Report, Reports, Resources};
pub use error::Error;
pub use find::{Choice, Found, find};
