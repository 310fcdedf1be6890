//! Running a program in a guest through its agent.
//!
//! Data flows by credits both ways: a program that writes faster than its output is read waits in the
//! guest, and so does our input when the program does not read it.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use ignite_wire::agent::{Credits, DATA_CHUNK, ExecRequest, ExitStatus, Frame, Message};
use rustix::event::{PollFd, PollFlags, poll};

use super::control::{Control, Error};

/// The channel of our one program on this connection.
const CHANNEL: u32 = 1;

/// Bytes queued for the supervisor beyond which no more input is read.
const MAX_QUEUED: usize = 4 * DATA_CHUNK;

/// Where a program's input comes from and its output goes.
pub struct Streams<'a> {
    /// Input; none for `/dev/null`.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Standard output.
    pub stdout: &'a mut dyn Write,
    /// Standard error.
    pub stderr: &'a mut dyn Write,
}

struct Session<'a> {
    control: Control,
    credits: Credits,
    streams: Streams<'a>,
}

/// Runs `request` to its end.
pub(super) fn run(
    mut control: Control,
    request: ExecRequest,
    streams: Streams<'_>,
) -> Result<ExitStatus, Error> {
    let request = ExecRequest {
        stdin: streams.stdin.is_some(),
        ..request
    };
    control.queue(CHANNEL, Message::Exec(request))?;
    Session {
        control,
        credits: Credits::new(),
        streams,
    }
    .run()
}

impl Session<'_> {
    fn run(mut self) -> Result<ExitStatus, Error> {
        loop {
            while let Some(frame) = self.control.receive()? {
                if let Some(status) = self.take(frame)? {
                    self.streams.stdout.flush().map_err(Error::Broken)?;
                    return Ok(status);
                }
            }
            self.control.flush()?;
            self.wait()?;
        }
    }

    /// Waits for the supervisor, and for input when it may be sent.
    fn wait(&mut self) -> Result<(), Error> {
        let room = self.control.queued() < MAX_QUEUED && self.credits.available() > 0;
        let readable = {
            let mut socket = PollFlags::IN;
            if self.control.queued() > 0 {
                socket |= PollFlags::OUT;
            }
            let mut fds = vec![PollFd::from_borrowed_fd(self.control.as_fd(), socket)];
            if let Some(stdin) = self.streams.stdin.filter(|_| room) {
                fds.push(PollFd::from_borrowed_fd(stdin, PollFlags::IN));
            }
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Error::Broken(error.into())),
            }
            fds.get(1).is_some_and(|fd| !fd.revents().is_empty())
        };
        if readable { self.send_input() } else { Ok(()) }
    }

    fn send_input(&mut self) -> Result<(), Error> {
        let Some(stdin) = self.streams.stdin else {
            return Ok(());
        };
        let mut buffer = vec![0; DATA_CHUNK.min(self.credits.available())];
        match rustix::io::read(stdin, &mut buffer) {
            Ok(0) => {
                self.streams.stdin = None;
                self.control.queue(CHANNEL, Message::StdinEnd)
            }
            Ok(read) => {
                buffer.truncate(read);
                self.credits.spend(read);
                self.control.queue(CHANNEL, Message::Stdin(buffer))
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Ok(()),
            Err(error) => Err(Error::Broken(error.into())),
        }
    }

    /// Takes one frame; the program's end is the session's.
    fn take(&mut self, frame: Frame) -> Result<Option<ExitStatus>, Error> {
        match frame.message {
            Message::Stdout(bytes) => {
                write(self.streams.stdout, &bytes)?;
                self.consumed(bytes.len())?;
            }
            Message::Stderr(bytes) => {
                write(self.streams.stderr, &bytes)?;
                self.consumed(bytes.len())?;
            }
            Message::Credit { bytes } => self.credits.granted(bytes),
            Message::Exit { status } => return Ok(Some(status)),
            Message::Error { message, hint } => return Err(Error::Refused { message, hint }),
            _ => {}
        }
        Ok(None)
    }

    fn consumed(&mut self, bytes: usize) -> Result<(), Error> {
        match self.credits.consumed(bytes) {
            Some(bytes) => self.control.queue(CHANNEL, Message::Credit { bytes }),
            None => Ok(()),
        }
    }
}

fn write(to: &mut dyn Write, bytes: &[u8]) -> Result<(), Error> {
    to.write_all(bytes)
        .and_then(|()| to.flush())
        .map_err(|source| match source.kind() {
            io::ErrorKind::BrokenPipe => Error::Ended,
            _ => Error::Broken(source),
        })
}
