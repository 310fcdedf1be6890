//! Which files get which values: a pure function of controller, version and bounds.

use super::Bounds;
use super::hierarchy::{Controller, Version};

/// Microseconds in which a group may use its share of the processors; the kernel's own choice.
const PERIOD: u64 = 100_000;

/// A file of a group's directory, and what is written to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Write {
    pub file: &'static str,
    pub value: String,
    /// Whether every kernel with the controller has it.
    pub required: bool,
}

fn required(file: &'static str, value: impl ToString) -> Write {
    Write {
        file,
        value: value.to_string(),
        required: true,
    }
}

fn optional(file: &'static str, value: impl ToString) -> Write {
    Write {
        required: false,
        ..required(file, value)
    }
}

/// The writes that bring about `bounds`, in order, on a group new or old.
pub(super) fn writes(controller: Controller, version: Version, bounds: &Bounds) -> Vec<Write> {
    match (controller, version) {
        (Controller::Memory, version) => memory(version, bounds.memory),
        (Controller::Cpu, Version::V1) => vec![
            required("cpu.cfs_period_us", PERIOD),
            required("cpu.cfs_quota_us", quota(bounds)),
        ],
        (Controller::Cpu, Version::V2) => {
            vec![required("cpu.max", format!("{} {PERIOD}", quota(bounds)))]
        }
        (Controller::CpuAccounting, _) => Vec::new(),
        (Controller::Tasks, _) => vec![required("pids.max", bounds.tasks)],
    }
}

/// What goes beyond ends in the group, and does not make the host swap: version 1 bounds memory and
/// swap together, version 2 swap alone. Swap is bounded only where the kernel accounts for it.
fn memory(version: Version, bytes: u64) -> Vec<Write> {
    match version {
        // The sum may never be below memory alone, so it is open while memory changes.
        Version::V1 => vec![
            optional("memory.memsw.limit_in_bytes", -1),
            required("memory.limit_in_bytes", bytes),
            optional("memory.memsw.limit_in_bytes", bytes),
        ],
        // The VMM ends as a whole: without one of its threads it would stand still.
        Version::V2 => vec![
            required("memory.max", bytes),
            optional("memory.swap.max", 0),
            optional("memory.oom.group", 1),
        ],
    }
}

/// Microseconds of processor time in a period. The kernel wants 1000 at least.
fn quota(bounds: &Bounds) -> u64 {
    (u64::from(bounds.cpu_millis) * PERIOD / 1000).max(1000)
}
