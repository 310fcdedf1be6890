//! A way for the caller to call an operation off.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// Shared between who works and who may call it off.
#[derive(Debug, Clone)]
pub struct Cancel(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cancelled: AtomicBool,
    // Never read: once written it stays readable and wakes every waiter.
    event: Arc<OwnedFd>,
}

/// The operation was called off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Cancelled;

impl Cancel {
    /// A handle nobody has used yet.
    pub fn new() -> rustix::io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(Inner {
            cancelled: AtomicBool::new(false),
            event: Arc::new(event),
        })))
    }

    /// Calls the operation off.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        // Full means that it was written before: readable all the same.
        let _ = rustix::io::write(&self.0.event, &1u64.to_ne_bytes());
    }

    /// Whether it was called off.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// An error if it was called off.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() {
            Err(Cancelled)
        } else {
            Ok(())
        }
    }

    /// Readable once the operation is called off, for who waits elsewhere. Not to be read.
    pub(crate) fn event(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.0.event)
    }

    /// Waits until `fd` is readable (true), the time is over (false), or the operation is called off.
    pub fn wait_readable(
        &self,
        fd: BorrowedFd<'_>,
        timeout: Option<std::time::Duration>,
    ) -> Result<bool, Cancelled> {
        self.check()?;
        let timeout = timeout.map(|t| Timespec {
            tv_sec: i64::try_from(t.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: t.subsec_nanos().into(),
        });
        let mut fds = [
            PollFd::from_borrowed_fd(fd, PollFlags::IN),
            PollFd::from_borrowed_fd(self.0.event.as_fd(), PollFlags::IN),
        ];
        // An interrupted poll is an early time-out: callers ask again.
        let ready = poll(&mut fds, timeout.as_ref()).unwrap_or(0);
        self.check()?;
        Ok(ready > 0 && !fds[0].revents().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn wakes_a_waiter() {
        let cancel = Cancel::new().expect("an eventfd");
        let (read, _write) = rustix::pipe::pipe().expect("a pipe");
        assert_eq!(
            cancel.wait_readable(read.as_fd(), Some(Duration::ZERO)),
            Ok(false)
        );
        let other = cancel.clone();
        let waker = std::thread::spawn(move || other.cancel());
        assert_eq!(cancel.wait_readable(read.as_fd(), None), Err(Cancelled));
        waker.join().expect("the thread ends");
        assert_eq!(cancel.check(), Err(Cancelled));
    }
}
