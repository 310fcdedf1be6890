//! Waiting for the kernel's events, the daemon's commands, and the time, all at once.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Instant;

use ignite_host::signal::{PollFd, PollFlags, poll};
use rustix::event::{EventfdFlags, eventfd};

use crate::source::Command;

/// Why a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The kernel has events.
    Events,
    /// Everything is to be looked at.
    Rescan,
    /// The time has come.
    Time,
    /// The daemon is ending.
    Over,
}

/// Commands of a channel, as something that can be polled.
#[derive(Debug, Clone)]
pub struct Waker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    event: OwnedFd,
    rescan: AtomicBool,
    over: AtomicBool,
}

impl Waker {
    /// Listens to commands, on a thread that ends with them.
    pub fn start(commands: Receiver<Command>) -> io::Result<Self> {
        let inner = Arc::new(Inner {
            event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            rescan: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        let heard = Arc::clone(&inner);
        std::thread::Builder::new()
            .name("commands".into())
            .spawn(move || {
                for command in commands {
                    if command == Command::Rescan {
                        heard.set(&heard.rescan);
                    }
                }
                heard.set(&heard.over);
            })?;
        Ok(Self(inner))
    }

    /// Waits until something happens, or `deadline`. Without `events`, for the rest.
    pub fn wait(&self, events: Option<BorrowedFd<'_>>, deadline: Instant) -> Wake {
        loop {
            if self.0.over.load(Ordering::SeqCst) {
                return Wake::Over;
            }
            if self.0.rescan.swap(false, Ordering::SeqCst) {
                return Wake::Rescan;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let own = PollFd::new(&self.0.event, PollFlags::IN);
            let mut fds = vec![own];
            fds.extend(events.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            // A wait that cannot be is one that is over.
            let ready = poll(&mut fds, Some(left)).unwrap_or(0);
            if ready == 0 {
                return Wake::Time;
            }
            if fds[0].revents().is_empty() {
                return Wake::Events;
            }
            // Only its being readable counts.
            let _ = rustix::io::read(self.0.event.as_fd(), &mut [0; 8]);
        }
    }
}

impl Inner {
    fn set(&self, flag: &AtomicBool) {
        flag.store(true, Ordering::SeqCst);
        // Full means that it was written before: readable all the same.
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
    }
}
