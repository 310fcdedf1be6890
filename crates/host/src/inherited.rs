//! Descriptors that a process was started with, known by number.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// A descriptor of our own to what was inherited under `number`: the same open file, closed on exec.
/// What is open under the number stays open.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: duplicates an open descriptor, or fails; no memory is passed.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Has every descriptor from `first` on closed when this process executes another program, whoever
/// opened it (Linux 5.11).
pub fn close_on_exec(first: RawFd) -> io::Result<()> {
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: sets a flag of descriptors, and closes none; no memory is passed.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, i32::MAX, flags) };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn it_is_the_same_file_and_stays() {
        let (one, _other) = UnixStream::pair().expect("a pair");
        let copy = UnixStream::from(inherited(one.as_raw_fd()).expect("open"));
        drop(one);
        (&copy).write_all(b"x").expect("still open");
        assert!(inherited(987_654).is_err());
    }
}
