//! A tool of the guest program's, seen as a reader and a writer.
//!
//! ```text
//!   pack   --write--> Channel --Stdin--> tool (unpack)
//!   unpack <--read--- Channel <-Stdout-- tool (pack)
//! ```
//!
//! One thread: whoever reads or writes moves the frames. Every wait ends: with a frame, when the caller
//! calls it off, or when the guest has been silent for too long.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read, Write};
use std::time::Duration;

use ignite_wire::agent::{Credits, DATA_CHUNK, ExecRequest, ExitStatus, Frame, Message, Tool};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::{AsFd, BorrowedFd};

use super::CopyError;
use super::said::Said;
use crate::vm::control::{self, Control};
use crate::{Cancel, Progress};

/// The channel of our one tool on this connection.
const CHANNEL: u32 = 1;

/// Bytes queued for the supervisor beyond which no more are taken.
const MAX_QUEUED: usize = 4 * DATA_CHUNK;

/// What the caller of a copy has a say in.
pub(super) struct Terms<'a> {
    pub(super) cancel: &'a Cancel,
    pub(super) progress: &'a dyn Progress,
    /// The id of the progress' step.
    pub(super) step: &'a str,
    /// How long the guest may be silent.
    pub(super) patience: Duration,
}

/// What a wait ended with.
struct Ready {
    any: bool,
    input: bool,
}

pub(super) struct Channel<'a> {
    control: Control,
    credits: Credits,
    terms: &'a Terms<'a>,
    chunks: VecDeque<Vec<u8>>,
    /// Bytes of the first chunk that were read.
    position: usize,
    said: Said,
    exit: Option<ExitStatus>,
    /// Why nothing moves any more.
    failure: Option<CopyError>,
}

impl<'a> Channel<'a> {
    /// Starts the tool.
    pub(super) fn open(
        mut control: Control,
        tool: Tool,
        terms: &'a Terms<'a>,
    ) -> Result<Self, CopyError> {
        let request = ExecRequest {
            stdin: matches!(tool, Tool::Unpack { .. }),
            tool: Some(tool),
            ..ExecRequest::default()
        };
        control.queue(CHANNEL, Message::Exec(request))?;
        // Whatever is waited for next, the guest begins at once.
        control.flush()?;
        Ok(Self {
            control,
            credits: Credits::new(),
            terms,
            chunks: VecDeque::new(),
            position: 0,
            said: Said::default(),
            exit: None,
            failure: None,
        })
    }

    /// Ends the tool's input.
    pub(super) fn end_input(&mut self) -> Result<(), CopyError> {
        if self.exit.is_none() {
            self.control.queue(CHANNEL, Message::StdinEnd)?;
        }
        Ok(())
    }

    /// Waits for the tool's end, whatever it still writes.
    pub(super) fn end(&mut self) -> Result<(), CopyError> {
        while self.exit.is_none() {
            self.step().map_err(|error| self.take_failure(error))?;
            while let Some(chunk) = self.chunks.pop_front() {
                self.consumed(chunk.len())?;
            }
        }
        Ok(())
    }

    /// How the tool ended, if it has.
    pub(super) fn exit(&self) -> Option<&ExitStatus> {
        self.exit.as_ref()
    }

    /// What the tool said on standard error until now.
    pub(super) fn take_said(&mut self) -> Said {
        std::mem::take(&mut self.said)
    }

    /// The reason behind a failure of reading or writing.
    pub(super) fn take_failure(&mut self, error: io::Error) -> CopyError {
        match self.failure.take() {
            Some(failure) => failure,
            None if self.terms.cancel.is_cancelled() => CopyError::Cancelled,
            None => CopyError::Stream(error),
        }
    }

    /// Whether reading or writing failed because of the channel, and not of what it carries.
    pub(super) fn failed(&mut self) -> Option<CopyError> {
        self.failure.take()
    }

    /// Moves frames: those that are there, or waits for one.
    fn step(&mut self) -> io::Result<()> {
        // Who was told once is not let wait again.
        if self.failure.is_none()
            && let Err(error) = self.try_step()
        {
            self.failure = Some(error);
        }
        match self.failure {
            None => Ok(()),
            Some(_) => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    fn try_step(&mut self) -> Result<(), CopyError> {
        if !self.move_frames()? {
            self.wait()?;
            self.take_all()?;
        }
        Ok(())
    }

    /// Takes the frames that have arrived; whether there was one.
    fn take_all(&mut self) -> Result<bool, CopyError> {
        let mut any = false;
        // Past the end there is nothing to come but the connection's own end.
        while self.exit.is_none()
            && let Some(frame) = self.control.receive()?
        {
            any = true;
            self.take(frame)?;
        }
        Ok(any)
    }

    fn take(&mut self, frame: Frame) -> Result<(), CopyError> {
        match frame.message {
            Message::Stdout(bytes) => self.chunks.push_back(bytes),
            Message::Stderr(bytes) => {
                self.said.take(&bytes);
                self.consumed(bytes.len())?;
            }
            Message::Credit { bytes } => self.credits.granted(bytes),
            Message::Exit { status } => self.exit = Some(status),
            Message::Error { message, hint } => {
                return Err(control::Error::Refused { message, hint }.into());
            }
            _ => {}
        }
        Ok(())
    }

    fn consumed(&mut self, bytes: usize) -> Result<(), CopyError> {
        if let Some(bytes) = self.credits.consumed(bytes) {
            self.control.queue(CHANNEL, Message::Credit { bytes })?;
        }
        Ok(())
    }

    /// Waits for `input`, however long that takes; false if the tool ends before. Frames move meanwhile:
    /// why the guest takes nothing is heard before there is anything for it.
    pub(super) fn wait_with(&mut self, input: BorrowedFd<'_>) -> io::Result<bool> {
        loop {
            let ready = self.poll(Some(input), None);
            let moved = ready.and_then(|ready| {
                self.move_frames()?;
                Ok(ready)
            });
            match moved {
                _ if self.exit.is_some() => return Ok(false),
                Ok(ready) if ready.input => return Ok(true),
                Ok(_) => {}
                Err(error) => {
                    self.failure = Some(error);
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
            }
        }
    }

    /// Sends what goes and takes what there is, without waiting; whether there was a frame.
    fn move_frames(&mut self) -> Result<bool, CopyError> {
        self.terms
            .cancel
            .check()
            .map_err(|_| CopyError::Cancelled)?;
        self.control.flush()?;
        self.take_all()
    }

    fn wait(&self) -> Result<(), CopyError> {
        let limit = Timespec::try_from(self.terms.patience).ok();
        if self.poll(None, limit)?.any {
            return Ok(());
        }
        Err(CopyError::Silent {
            seconds: self.terms.patience.as_secs(),
        })
    }

    /// Waits for the socket, for the caller to call it off, and for `input` if there is one.
    fn poll(
        &self,
        input: Option<BorrowedFd<'_>>,
        limit: Option<Timespec>,
    ) -> Result<Ready, CopyError> {
        let event = self.terms.cancel.event();
        let mut socket = PollFlags::IN;
        socket.set(PollFlags::OUT, self.control.queued() > 0);
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.control.as_fd(), socket),
            PollFd::from_borrowed_fd(event.as_fd(), PollFlags::IN),
        ];
        fds.extend(input.map(|input| PollFd::from_borrowed_fd(input, PollFlags::IN)));
        let any = match poll(&mut fds, limit.as_ref()) {
            Ok(ready) => ready > 0,
            Err(rustix::io::Errno::INTR) => {
                return Ok(Ready {
                    any: true,
                    input: false,
                });
            }
            Err(error) => return Err(control::Error::Broken(error.into()).into()),
        };
        let input = fds.get(2).is_some_and(|fd| !fd.revents().is_empty());
        Ok(Ready { any, input })
    }
}

impl BufRead for Channel<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.chunks.is_empty() && self.exit.is_none() {
            self.step()?;
        }
        Ok(self
            .chunks
            .front()
            .map_or(&[][..], |chunk| &chunk[self.position..]))
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
        self.terms.progress.advance(self.terms.step, count as u64);
        let whole = |chunk: &Vec<u8>| chunk.len() <= self.position;
        if self.chunks.front().is_some_and(whole)
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.position = 0;
            // It is queued; what is wrong with the connection comes out when it is waited for.
            let _ = self.consumed(chunk.len());
        }
    }
}

impl Read for Channel<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl Write for Channel<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while self.exit.is_none()
            && (self.credits.available() == 0 || self.control.queued() >= MAX_QUEUED)
        {
            self.step()?;
        }
        if self.exit.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(DATA_CHUNK).min(self.credits.available());
        self.credits.spend(count);
        let data = Message::Stdin(bytes[..count].to_vec());
        let sent = self.control.queue(CHANNEL, data);
        sent.and_then(|()| self.control.flush()).map_err(|error| {
            self.failure = Some(error.into());
            io::Error::from(io::ErrorKind::ConnectionAborted)
        })?;
        self.terms.progress.advance(self.terms.step, count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
