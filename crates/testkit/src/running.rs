//! A command of a host that runs beside the test.

use std::io::BufReader;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::command::{Output, drain};

/// How long the programs may take that lead to a command.
const BEGINS_WITHIN: Duration = Duration::from_secs(30);

/// A started command. Dropping it ends it and its whole process group.
pub struct Running {
    child: Child,
    argv: String,
    lines: Receiver<String>,
    seen: String,
    stderr: Option<JoinHandle<String>>,
    ended: bool,
}

impl Running {
    pub(crate) fn new(mut child: Child, argv: String) -> Self {
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                read_lines(BufReader::new(stdout), |line| sender.send(line).is_ok())
            });
        }
        let stderr = child.stderr.take().map(drain);
        Self {
            child,
            argv,
            lines,
            seen: String::new(),
            stderr,
            ended: false,
        }
    }

    /// The pipe to its stdin, once.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Waits for a line of its stdout that contains `word`.
    ///
    /// # Errors
    /// If it ends first or says nothing of it within `limit`.
    pub fn wait_for(&mut self, word: &str, limit: Duration) -> Result<String> {
        let end = Instant::now() + limit;
        loop {
            let line = match self
                .lines
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    bail!(
                        "{} did not say {word:?} in {limit:?}, but:\n{}",
                        self.argv,
                        self.seen
                    )
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let errors = self.errors();
                    bail!(
                        "{} ended without saying {word:?}, but:\n{}\n{errors}",
                        self.argv,
                        self.seen
                    )
                }
            };
            self.seen += &line;
            if line.contains(word) {
                return Ok(line.trim_end().to_owned());
            }
        }
    }

    /// The next line of its stdout, which is not kept.
    ///
    /// # Errors
    /// If it ends, or says nothing within `limit`.
    pub fn line(&mut self, limit: Duration) -> Result<String> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => bail!("{} said nothing in {limit:?}", self.argv),
            Err(RecvTimeoutError::Disconnected) => {
                let errors = self.errors();
                bail!("{} ended: {errors}", self.argv)
            }
        }
    }

    /// What it has written to stdout until now.
    pub fn said(&mut self) -> &str {
        self.seen.extend(self.lines.try_iter());
        &self.seen
    }

    /// Sends a signal to it and its process group, as a terminal does.
    ///
    /// # Errors
    /// If it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process_group(self.inner()?, signal)
            .with_context(|| format!("cannot signal {}", self.argv))
    }

    /// Sends a signal to it alone.
    ///
    /// # Errors
    /// If it is gone.
    pub fn signal_alone(&self, signal: Signal) -> Result<()> {
        kill_process(self.inner()?, signal).with_context(|| format!("cannot signal {}", self.argv))
    }

    /// Lets it go on after it was stopped by a signal; `nsenter`, its parent,
    /// stops with it.
    pub fn resume(&self) {
        let parent = Pid::from_raw(self.child.id().cast_signed());
        for pid in parent.into_iter().chain(self.inner()) {
            // One that is gone needs no more.
            let _ = kill_process(pid, Signal::CONT);
        }
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// If that cannot be told.
    pub fn is_over(&mut self) -> Result<bool> {
        Ok(self
            .child
            .try_wait()
            .context("cannot wait for a child")?
            .is_some())
    }

    /// Waits for its end; kills it at the limit.
    ///
    /// # Errors
    /// If the limit was reached.
    pub fn wait(mut self, limit: Duration) -> Result<Output> {
        let end = Instant::now() + limit;
        let mut pause = Duration::from_millis(1);
        let status = loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for a child")? {
                break status;
            }
            if Instant::now() > end {
                self.end();
                bail!(
                    "killed; it had said:\n{}\n{}",
                    self.said().to_owned(),
                    self.errors()
                );
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        };
        self.ended = true;
        // What the command left running may hold its pipes open: what comes
        // within a moment is the command's, more is not waited for.
        self.collect(Duration::from_secs(2));
        Ok(Output {
            argv: self.argv.clone(),
            code: code(status),
            stdout: std::mem::take(&mut self.seen),
            stderr: self.errors(),
        })
    }

    fn collect(&mut self, limit: Duration) {
        let end = Instant::now() + limit;
        while let Ok(line) = self
            .lines
            .recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            self.seen += &line;
        }
    }

    /// Everything from stderr, if it ends soon; a service that outlives the
    /// command must not hold it open, which is said instead.
    fn errors(&mut self) -> String {
        let Some(reader) = self.stderr.take() else {
            return String::new();
        };
        let end = Instant::now() + Duration::from_secs(2);
        while !reader.is_finished() && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
        if !reader.is_finished() {
            return "(stderr is held open by a process it left running)".to_owned();
        }
        reader.join().unwrap_or_default()
    }

    /// The command itself: the child of `nsenter`, which cannot be signalled
    /// in its stead. It is a session of its own, once it has begun; who comes
    /// before that waits for it.
    fn inner(&self) -> Result<Pid> {
        let end = Instant::now() + BEGINS_WITHIN;
        loop {
            match crate::host::only_child(self.child.id()) {
                Ok(pid) if has_begun(pid) => return Ok(pid),
                Err(error) if crate::host::has_ended(self.child.id()) => {
                    return Err(error.context(format!("{} is gone", self.argv)));
                }
                _ if Instant::now() > end => bail!("{} does not begin", self.argv),
                _ => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn end(&mut self) {
        if let Ok(pid) = self.inner() {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.ended = true;
    }
}

/// Whether a process is the command, and no more one of the programs that lead
/// to it. In the middle of an exec it has no words at all.
fn has_begun(pid: Pid) -> bool {
    let path = format!("/proc/{}/cmdline", pid.as_raw_nonzero());
    let words = std::fs::read(path).unwrap_or_default();
    let ways: [&[u8]; 3] = [b"nsenter\0-t\0", b"setsid\0env\0", b"env\0-i\0-C\0"];
    !words.is_empty() && !ways.iter().any(|way| words.starts_with(way))
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.end();
        }
    }
}

fn read_lines(mut from: impl std::io::BufRead, mut send: impl FnMut(String) -> bool) {
    let mut bytes = Vec::new();
    while from
        .read_until(b'\n', &mut bytes)
        .is_ok_and(|length| length > 0)
    {
        if !send(String::from_utf8_lossy(&bytes).into_owned()) {
            return;
        }
        bytes.clear();
    }
}

/// The exit code as a shell counts.
fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(-1)
}
