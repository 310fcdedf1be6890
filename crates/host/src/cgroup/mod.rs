//! Control groups: what a process and its children may use of memory, processors and tasks.
//!
//! A group has one name, `ignite/<uid>`, and a directory of that name in every hierarchy that has
//! one of its [`Controller`]s: version 2, or version 1 where only that is mounted, each controller
//! where it is. A controller that is nowhere is told, and is no error. A process joins by writing
//! `0` to the descriptors of [`Group::joints`] before it executes its program.
//!
//! ```text
//!  hierarchy  /proc/self/mountinfo -> where each controller is
//!  plan       controller, version, bounds -> files and values     (pure)
//!  group      made, found, changed, removed with all that is in it
//!  usage      files -> what was used
//! ```

mod error;
mod group;
mod hierarchy;
mod plan;
mod usage;

use std::collections::BTreeSet;

pub use error::Error;
pub use group::Group;
pub use hierarchy::{Controller, Version};
pub use usage::Usage;

/// What the processes of a group may use together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Memory in bytes.
    pub memory: u64,
    /// Processor time, in thousandths of a processor.
    pub cpu_millis: u32,
    /// Processes and threads.
    pub tasks: u32,
}

/// The parent of all groups of VMs.
const OF_VMS: &str = "ignite";

/// The name of the group in which the VMM of the VM with this uid runs.
pub fn of_vm(uid: &str) -> String {
    format!("{OF_VMS}/{uid}")
}

/// The uids that have a group, in any hierarchy.
pub fn vms() -> Result<BTreeSet<String>, Error> {
    let mut found = BTreeSet::new();
    for hierarchy in hierarchy::mounted()? {
        // Where none was ever made there is no parent.
        let Ok(entries) = std::fs::read_dir(hierarchy.root.join(OF_VMS)) else {
            continue;
        };
        let groups = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        found.extend(groups.filter_map(|entry| entry.file_name().into_string().ok()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
