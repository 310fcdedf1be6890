//! Signals to this process: those that ask it to end, and that its terminal has another size.
//!
//! ```text
//!   first      `act`; a second one ends the process at once
//!   Inbox::take
//!   then       they go to whoever reads the inbox; one that is not read ends the process all the same
//! ```

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ignite_host::signal::{self, PollFd, PollFlags, Signals};
use rustix::pipe::PipeFlags;

pub(crate) const HUP: i32 = 1;
pub(crate) const INT: i32 = 2;
pub(crate) const TERM: i32 = 15;
pub(crate) const WINCH: i32 = 28;

/// A signal is heard within that time by a session that is not stuck.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often to look whether it was heard.
const PAUSE: Duration = Duration::from_millis(20);

/// Where signals wait to be read by a session.
#[derive(Debug)]
pub struct Inbox {
    pipe: OwnedFd,
    /// What is to be done before the process ends because nobody reads.
    last: Arc<OnceLock<fn()>>,
}

impl Inbox {
    /// Of a process that has nothing to take back. `last` is called before it is ended because nobody
    /// reads. To be called before other threads start.
    pub fn new(last: fn()) -> std::io::Result<Self> {
        let inbox = on_termination(|| {})?;
        inbox.take(last);
        Ok(inbox)
    }

    /// From now on signals come here and nowhere else.
    pub fn take(&self, last: fn()) {
        // Who took it first goes on.
        let _ = self.last.set(last);
    }

    /// The next signal's number; none if there is none now.
    pub(crate) fn next(&self) -> Option<i32> {
        let mut number = [0];
        let read = rustix::io::read(&self.pipe, &mut number);
        (read == Ok(1)).then(|| number[0].into())
    }
}

/// Readable when a signal waits.
impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// Calls `act` at the first SIGINT, SIGTERM or SIGHUP; a second one ends the process at once. Until
/// somebody takes the inbox.
///
/// To be called before other threads start.
pub fn on_termination(act: impl FnOnce() + Send + 'static) -> std::io::Result<Inbox> {
    let signals = Signals::block(&[HUP, INT, TERM, WINCH]).map_err(std::io::Error::other)?;
    let (pipe, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let last = Arc::new(OnceLock::<fn()>::new());
    let taken = Arc::clone(&last);
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut act = Some(act);
            while let Some(number) = wait(&signals) {
                match (taken.get(), act.take()) {
                    (Some(last), _) => deliver(number, &writer, *last),
                    (None, kept) if number == WINCH => act = kept,
                    (None, Some(act)) => act(),
                    (None, None) => std::process::exit(128 + INT),
                }
            }
        })?;
    Ok(Inbox { pipe, last })
}

/// Puts a signal into the inbox. Who does not read one that asks for the end is stuck.
fn deliver(number: i32, writer: &OwnedFd, last: fn()) {
    let byte = u8::try_from(number).unwrap_or(u8::MAX);
    // A full inbox is full of the same.
    let _ = rustix::io::write(writer, &[byte]);
    if number == WINCH {
        return;
    }
    let deadline = Instant::now() + PATIENCE;
    while rustix::io::ioctl_fionread(writer).is_ok_and(|unread| unread > 0) {
        if Instant::now() > deadline {
            last();
            std::process::exit(128 + number);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Waits for the next signal; none when there is no waiting any more.
fn wait(signals: &Signals) -> Option<i32> {
    loop {
        signal::poll(&mut [PollFd::new(signals, PollFlags::IN)], None).ok()?;
        match signals.next() {
            Ok(Some(received)) => return Some(received.signal),
            Ok(None) => {}
            Err(_) => return None,
        }
    }
}
