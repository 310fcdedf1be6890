//! What the processes of a group have used, from the files of either version.

use std::path::Path;
use std::time::Duration;

use super::hierarchy::{Controller, Version};
use crate::fs::read_bounded;

/// Bytes of a file of counters.
const LONGEST: u64 = 64 << 10;

/// What was used so far; none where no controller counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of memory now.
    pub memory: Option<u64>,
    /// The most so far.
    pub memory_peak: Option<u64>,
    /// Bytes of it that are copies of files nobody looked at lately.
    pub memory_idle: Option<u64>,
    /// The most there may be, where there is a bound.
    pub memory_limit: Option<u64>,
    /// Processes the kernel ended because the group's memory was used up.
    pub oom_kills: Option<u64>,
    /// Processor time.
    pub cpu: Option<Duration>,
    /// Periods in which the group's processor time was used up.
    pub throttled: Option<u64>,
    /// Processes and threads now.
    pub tasks: Option<u64>,
}

impl Usage {
    /// Adds what `controller` counts in `directory`.
    pub(super) fn read(&mut self, controller: Controller, version: Version, directory: &Path) {
        let number = |file| number(&text(directory, file)?);
        let counter = |file, key| counter(&text(directory, file)?, key);
        match (controller, version) {
            (Controller::Memory, Version::V1) => {
                self.memory = number("memory.usage_in_bytes");
                self.memory_peak = number("memory.max_usage_in_bytes");
                self.memory_idle = counter("memory.stat", "total_inactive_file");
                // Version 1 has a number for no bound, the greatest multiple of a page.
                let limit = number("memory.limit_in_bytes");
                self.memory_limit = limit.filter(|limit| *limit < 1 << 62);
                self.oom_kills = counter("memory.oom_control", "oom_kill");
            }
            (Controller::Memory, Version::V2) => {
                self.memory = number("memory.current");
                self.memory_peak = number("memory.peak");
                self.memory_idle = counter("memory.stat", "inactive_file");
                self.memory_limit = number("memory.max");
                self.oom_kills = counter("memory.events", "oom_kill");
            }
            (Controller::Cpu, _) => self.throttled = counter("cpu.stat", "nr_throttled"),
            (Controller::CpuAccounting, Version::V1) => {
                self.cpu = number("cpuacct.usage").map(Duration::from_nanos);
            }
            (Controller::CpuAccounting, Version::V2) => {
                self.cpu = counter("cpu.stat", "usage_usec").map(Duration::from_micros);
            }
            (Controller::Tasks, _) => self.tasks = number("pids.current"),
        }
    }
}

/// A file that cannot be read counts nothing: an older kernel has fewer.
fn text(directory: &Path, file: &str) -> Option<String> {
    String::from_utf8(read_bounded(&directory.join(file), LONGEST).ok()?).ok()
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The value of `key` in lines of a name and a number each.
fn counter(text: &str, key: &str) -> Option<u64> {
    let value = |line: &str| number(line.strip_prefix(key)?.strip_prefix(' ')?);
    text.lines().find_map(value)
}
