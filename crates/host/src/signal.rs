//! Signals and waiting as descriptors, for single-threaded poll loops.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

pub use rustix::event::{PollFd, PollFlags};

use crate::error::Context;
pub use crate::error::SystemError as Error;

/// Signals that are read instead of handled.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

/// A signal that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub signal: i32,
    /// The process that sent it; for SIGCHLD the child.
    pub pid: u32,
}

impl Signals {
    /// Blocks `signals` in the calling thread (and those it starts later) and opens a descriptor,
    /// readable without blocking, that tells of them.
    ///
    /// Call it before other threads start: one that does not block a signal may get it instead.
    /// Children started by [`crate::process`] begin with no signal blocked.
    pub fn block(signals: &[i32]) -> Result<Self, Error> {
        let set = signal_set(signals);
        // SAFETY: `set` is an initialised signal set; the old mask is not asked for.
        let result =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if result != 0 {
            return Err(Error::new(
                "block signals",
                io::Error::from_raw_os_error(result),
            ));
        }
        // SAFETY: -1 asks for a new descriptor; `set` is an initialised signal set.
        let fd =
            unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(Error::new(
                "open a signal descriptor",
                io::Error::last_os_error(),
            ));
        }
        // SAFETY: the kernel just gave us this descriptor, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd })
    }

    /// The next signal that arrived, none if there is none now.
    pub fn next(&self) -> Result<Option<Received>, Error> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the kernel writes at most `size` bytes, which is what `info` has room for.
        let read = unsafe { libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        if read < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
                _ => Err(Error::new("read a signal", error)),
            };
        }
        // SAFETY: a signal descriptor gives whole records only, so `info` was written to its end.
        let info = unsafe { info.assume_init() };
        Ok(Some(Received {
            signal: i32::try_from(info.ssi_signo).expect("signal numbers are small"),
            pid: info.ssi_pid,
        }))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Waits until one of `fds` is ready, at most `limit`; how many are. Zero when the time is over.
pub fn poll(fds: &mut [PollFd<'_>], limit: Option<Duration>) -> Result<usize, Error> {
    let deadline = limit.map(|limit| std::time::Instant::now() + limit);
    loop {
        let left =
            deadline.map(|deadline| deadline.saturating_duration_since(std::time::Instant::now()));
        let timeout = left.and_then(|left| rustix::event::Timespec::try_from(left).ok());
        match rustix::event::poll(fds, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.context(|| "wait for descriptors".to_owned()),
        }
    }
}

fn signal_set(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the whole set; sigaddset refuses numbers that are no signal.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for &signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_blocked_signal_once() {
        let signals = Signals::block(&[libc::SIGUSR2]).expect("block");
        assert_eq!(signals.next().expect("read"), None);
        let thread = rustix::thread::gettid();
        // SAFETY: a signal to this very thread, which blocks it.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_tgkill,
                std::process::id(),
                thread.as_raw_nonzero().get(),
                libc::SIGUSR2,
            )
        };
        assert_eq!(sent, 0);
        let mut fds = [PollFd::new(&signals, PollFlags::IN)];
        assert_eq!(
            poll(&mut fds, Some(Duration::from_secs(5))).expect("poll"),
            1
        );
        let received = signals.next().expect("read").expect("there");
        assert_eq!(
            (received.signal, received.pid),
            (libc::SIGUSR2, std::process::id())
        );
        assert_eq!(signals.next().expect("read"), None);
    }

    #[test]
    fn waiting_ends_with_the_time() {
        assert_eq!(
            poll(&mut [], Some(Duration::from_millis(1))).expect("poll"),
            0
        );
    }
}
