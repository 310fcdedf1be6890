//! The processes of a host, as the machine sees them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::Host;

/// A process of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number on the machine.
    pub pid: Pid,
    /// Its words.
    pub argv: Vec<String>,
    /// Whether a signal has stopped it, or it waits for the one to go on.
    pub stopped: bool,
}

impl Process {
    /// Sends it a signal; one that is gone needs none.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(self.pid, signal);
    }

    /// The name of its program, or of the script it interprets.
    pub fn name(&self) -> &str {
        let last = |word: &'_ str| word.rfind('/').map_or(0, |at| at + 1);
        let program = self.argv.first().map_or("", String::as_str);
        let word = match (&program[last(program)..], self.argv.get(1)) {
            ("sh", Some(script)) => script,
            _ => program,
        };
        &word[last(word)..]
    }
}

impl Host {
    /// Its processes but the first, in the order of their numbers.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn processes(&self) -> Result<Vec<Process>> {
        let own = namespace(self.pid()).context("the host is gone")?;
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let directory = entry.path();
            if is_below(&own, &directory) {
                found.extend(read(&directory).filter(|process| process.pid != self.holder));
            }
        }
        found.sort_by_key(|process| process.pid.as_raw_nonzero());
        Ok(found)
    }
}

fn namespace(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

/// Whether a process is in the PID namespace `own`, or in one that a process there has made, as a
/// confined VMM is. What ends in this moment is no process any more.
fn is_below(own: &Path, directory: &Path) -> bool {
    let number = || directory.file_name()?.to_str()?.parse().ok();
    let mut next: Option<i32> = number();
    while let Some(pid) = next.filter(|pid| *pid > 0) {
        if namespace(pid).is_some_and(|namespace| namespace == own) {
            return true;
        }
        next = stat(&PathBuf::from(format!("/proc/{pid}"))).map(|(_, parent)| parent);
    }
    false
}

/// State and parent.
fn stat(directory: &Path) -> Option<(char, i32)> {
    let stat = fs::read_to_string(directory.join("stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// A process that has not ended.
fn read(directory: &Path) -> Option<Process> {
    let number = directory.file_name()?.to_str()?.parse().ok()?;
    let (state, _) = stat(directory)?;
    let words = fs::read_to_string(directory.join("cmdline")).ok()?;
    (state != 'Z' && state != 'X').then_some(())?;
    Some(Process {
        pid: Pid::from_raw(number)?,
        argv: words.split_terminator('\0').map(str::to_owned).collect(),
        stopped: state == 'T' || waits(directory),
    })
}

/// Whether it blocks SIGURG and nothing else: the first process of a PID namespace cannot be stopped by
/// itself, and waits at a step for SIGCONT, known by this.
fn waits(directory: &Path) -> bool {
    let status = fs::read_to_string(directory.join("status")).unwrap_or_default();
    let mut lines = status.lines();
    let blocked = lines.find_map(|line| line.strip_prefix("SigBlk:"));
    blocked.is_some_and(|set| u64::from_str_radix(set.trim(), 16) == Ok(1 << 22))
}
