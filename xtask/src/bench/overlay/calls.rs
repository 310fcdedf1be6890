//! System calls of a process, counted by the kernel.
//!
//! A tracer that stops the process at each call would make it another process: what waits meanwhile is
//! taken by fewer calls. So the calls are counted where they are made, by an instance of tracefs with a
//! buffer that may overflow: only the number of its events is read.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::Host;

const TRACEFS: &str = "/sys/kernel/tracing";

/// Counts from when it was made.
pub struct Calls<'h> {
    host: &'h Host,
    directory: String,
}

impl<'h> Calls<'h> {
    /// Of process `pid` of `host`, by its number on the machine; of those threads that it has now.
    pub fn of(host: &'h Host, pid: i32) -> Result<Self> {
        let directory = format!("{TRACEFS}/instances/{}", host.name());
        let threads: Vec<String> = fs::read_dir(format!("/proc/{pid}/task"))?
            .map(|thread| Ok(thread?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_>>()?;
        // The mount is seen by this host alone; an instance outlives a bench that was killed.
        let script = format!(
            "[ -e {TRACEFS}/instances ] || mount -t tracefs tracefs {TRACEFS}
             [ ! -e {directory} ] || rmdir {directory}
             mkdir {directory}
             cd {directory}
             echo 64 >buffer_size_kb
             echo {} >set_event_pid
             echo 1 >events/raw_syscalls/sys_enter/enable",
            threads.join(" ")
        );
        let calls = Self { host, directory };
        host.sh(&script)
            .ok()
            .context("the kernel has to be able to trace system calls (CONFIG_FTRACE_SYSCALLS)")?;
        Ok(calls)
    }

    /// How many there were; ends counting.
    pub fn count(self) -> Result<u64> {
        let script = format!(
            "cd {}; echo 0 >events/raw_syscalls/sys_enter/enable; cat per_cpu/cpu*/stats",
            self.directory
        );
        let text = self.host.sh(&script).ok()?;
        let count = events(&text)?;
        ensure!(count > 0, "no system call was counted:\n{text}");
        Ok(count)
    }
}

impl Drop for Calls<'_> {
    fn drop(&mut self) {
        // The next one with this name would take it away.
        let _ = self.host.command(["rmdir", &self.directory]).output();
    }
}

/// Events by the statistics of every processor's buffer: still there, overwritten, or lost.
fn events(statistics: &str) -> Result<u64> {
    const COUNTED: [&str; 4] = ["entries", "overrun", "commit overrun", "dropped events"];
    let lines = statistics.lines().filter_map(|line| line.split_once(": "));
    lines
        .filter(|(name, _)| COUNTED.contains(name))
        .map(|(_, number)| Ok(number.trim().parse::<u64>()?))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_events_of_all_processors_count() {
        let one = "entries: 142\noverrun: 60\ncommit overrun: 0\nbytes: 9724\n\
            oldest event ts: 38301.268056\nnow ts: 38301.976756\ndropped events: 3\nread events: 0\n";
        assert_eq!(events(&one.repeat(2)).expect("numbers"), 410);
        assert!(events("entries: many").is_err());
    }
}
