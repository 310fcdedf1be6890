//! A running child, held by its pidfd, so that its number cannot mean another process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus};

use super::Error;

/// A child process. Dropping it neither ends nor waits for it.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Status {
    /// Whether it exited with code 0.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

impl Child {
    pub(super) fn new(pid: Pid, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// A descriptor that is readable once the process has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Waits until it ends and takes it off the process table.
    pub fn wait(&self) -> Result<Status, Error> {
        loop {
            if let Some(status) = self.reap(WaitIdOptions::EXITED)? {
                return Ok(status);
            }
        }
    }

    /// How it ended, if it did; does not wait.
    pub fn try_wait(&self) -> Result<Option<Status>, Error> {
        self.reap(WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    }

    /// How it ended, if it did; it stays on the process table.
    pub(super) fn peek(&self) -> Result<Option<Status>, Error> {
        self.reap(WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)
    }

    /// Whether anybody is in the process group it led. Once nobody is, the number may come to be
    /// another's.
    pub(super) fn has_group(&self) -> bool {
        rustix::process::test_kill_process_group(self.pid).is_ok()
    }

    /// Waits at most `limit`; none if it still runs then.
    pub fn wait_timeout(&self, limit: Duration) -> Result<Option<Status>, Error> {
        let deadline = std::time::Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            let timeout = Timespec::try_from(left).ok();
            let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) => return self.try_wait(),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(self.error("wait for", errno)),
            }
        }
    }

    /// Sends a signal to the process. One that has ended already is fine.
    pub fn signal(&self, signal: i32) -> Result<(), Error> {
        let signal = Signal::from_named_raw(signal)
            .ok_or_else(|| self.error("signal", rustix::io::Errno::INVAL))?;
        match rustix::process::pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(self.error("signal", errno)),
        }
    }

    /// Ends the process group it leads, at once. Only for a child that leads one and was not waited
    /// for yet: until then its number is its own.
    pub fn kill_group(&self) -> Result<(), Error> {
        match rustix::process::kill_process_group(self.pid, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(self.error("end the process group of", errno)),
        }
    }

    fn reap(&self, options: WaitIdOptions) -> Result<Option<Status>, Error> {
        match rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
            Ok(status) => Ok(status.as_ref().and_then(Status::from_wait)),
            Err(rustix::io::Errno::INTR) => Ok(None),
            Err(errno) => Err(self.error("wait for", errno)),
        }
    }

    pub(super) fn error(&self, action: &'static str, source: impl Into<io::Error>) -> Error {
        Error::Follow {
            action,
            pid: self.pid(),
            source: source.into(),
        }
    }
}

impl Status {
    fn from_wait(status: &WaitIdStatus) -> Option<Self> {
        if let Some(code) = status.exit_status() {
            return Some(Self::Code(code));
        }
        status.terminating_signal().map(Self::Signal)
    }
}
