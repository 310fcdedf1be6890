//! The guest's serial console, over a socket or two pipes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// Our end of a guest's serial console: what is read was printed, what is written is its input. It
/// does not block.
#[derive(Debug)]
pub struct Console {
    output: File,
    input: File,
}

/// What a pipe of a VMM should hold: a VMM throws away what does not fit.
const PIPE_SIZE: usize = 1 << 20;

/// Widens a pipe a VMM writes to, so that a flood between two looks is not lost. The host may not have
/// it; then the pipe is as it was.
pub(crate) fn widen(pipe: impl AsFd) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_SIZE);
}

impl Console {
    /// Over a stream both ways; the VMM's end.
    pub(crate) fn stream() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let input = OwnedFd::from(ours.try_clone()?);
        let console = Self {
            output: OwnedFd::from(ours).into(),
            input: input.into(),
        };
        Ok((console, theirs.into()))
    }

    /// Over pipes of its own, whose flags the VMM may change; its standard input and output.
    pub(crate) fn pipes() -> io::Result<(Self, OwnedFd, OwnedFd)> {
        let (output, theirs_out) = io::pipe()?;
        widen(&output);
        let (theirs_in, input) = io::pipe()?;
        for end in [output.as_fd(), input.as_fd()] {
            rustix::io::ioctl_fionbio(end, true)?;
        }
        let console = Self {
            output: OwnedFd::from(output).into(),
            input: OwnedFd::from(input).into(),
        };
        Ok((console, theirs_in.into(), theirs_out.into()))
    }
}

impl Console {
    /// To be polled for room for input.
    pub fn input(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }
}

impl Read for &Console {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.output).read(buffer)
    }
}

impl Write for &Console {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.input).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// To be polled for output.
impl AsFd for Console {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_fits() {
        let (console, _stdin, stdout) = Console::pipes().expect("pipes");
        let flood = vec![b'x'; 512 << 10];
        rustix::io::ioctl_fionbio(&stdout, true).expect("a pipe");
        let written = rustix::io::write(&stdout, &flood).expect("room");
        assert_eq!(written, flood.len());
        let mut buffer = [0; 16];
        assert_eq!((&console).read(&mut buffer).expect("there"), 16);
    }
}
