//! A session: a program in a guest through its agent, or a guest's console, and the streams it has here.
//!
//! Data flows by credits both ways: a program that writes faster than its output is read waits in the
//! guest, and so does our input when the program does not read it. A console waits for nobody.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use ignite_api::DetachKeys;
use ignite_wire::agent::{
    Credits, DATA_CHUNK, ExecRequest, ExitStatus, Frame, Message, TerminalSize,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::tcgetwinsize;

use super::control::{Control, Error};
use super::keyboard::Keyboard;
use crate::termination::{Inbox, WINCH};

/// The channel of our one program on this connection.
pub(super) const CHANNEL: u32 = 1;

/// Bytes queued for the supervisor beyond which no more input is read.
const MAX_QUEUED: usize = 4 * DATA_CHUNK;

/// Frames taken in before input and signals are looked at again.
const MOST_FRAMES: usize = 16;

/// What a terminal takes for the end of input (Ctrl-D).
const END_OF_TRANSMISSION: u8 = 4;

/// Where a program's input comes from and its output goes.
pub struct Streams<'a> {
    /// Input; none for `/dev/null`.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Standard output.
    pub stdout: &'a mut dyn Write,
    /// Standard error.
    pub stderr: &'a mut dyn Write,
}

/// What else there is at the near end of a session.
#[derive(Default)]
pub struct Local<'a> {
    /// The terminal that the input is, if it is one, in raw mode.
    pub terminal: Option<BorrowedFd<'a>>,
    /// The keys that leave the session, looked for where there is a terminal.
    pub detach: Option<&'a DetachKeys>,
    /// Signals to this process. A program that has no terminal gets the first of each; any other ends the
    /// session.
    pub signals: Option<&'a Inbox>,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The program ended, or the VM with its command.
    Exit(ExitStatus),
    /// The person left; the other end goes on.
    Detached,
    /// A signal to this process ended it.
    Signal(i32),
}

/// What is at the far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Far {
    /// A program; whether it has a terminal.
    Program { terminal: bool },
    /// A guest's console.
    Console,
}

/// A session under way.
pub(super) struct Session<'s, 'l> {
    control: Control,
    far: Far,
    credits: Credits,
    streams: Streams<'s>,
    local: Local<'l>,
    keyboard: Keyboard<'l>,
    /// Signals the program was sent.
    passed: Vec<i32>,
    /// Whether frames may be there that were taken in already.
    more: bool,
    /// Whether the program was told that there is no more input.
    ended: bool,
}

/// What is there to be done.
struct Ready {
    socket: bool,
    stdin: bool,
    signals: bool,
}

/// Runs `request` to its end.
pub(super) fn run(
    mut control: Control,
    request: ExecRequest,
    streams: Streams<'_>,
    local: Local<'_>,
) -> Result<Ended, Error> {
    let request = ExecRequest {
        stdin: streams.stdin.is_some(),
        ..request
    };
    let far = Far::Program {
        terminal: request.terminal.is_some(),
    };
    control.queue(CHANNEL, Message::Exec(request))?;
    Session::new(control, far, streams, local).run()
}

impl<'s, 'l> Session<'s, 'l> {
    /// Over a connection on which the other end was asked for.
    pub(super) fn new(control: Control, far: Far, streams: Streams<'s>, local: Local<'l>) -> Self {
        // A program without input was not promised any.
        let streams_end = streams.stdin.is_none();
        let keyboard = Keyboard::new(local.detach.filter(|_| local.terminal.is_some()));
        Self {
            control,
            far,
            credits: Credits::new(),
            streams,
            local,
            keyboard,
            passed: Vec::new(),
            ended: streams_end,
            more: false,
        }
    }

    /// Until one of the ends leaves.
    pub(super) fn run(mut self) -> Result<Ended, Error> {
        self.tell_size()?;
        loop {
            self.send_input()?;
            self.control.flush()?;
            let ready = self.wait()?;
            if ready.signals
                && let Some(signal) = self.hear_signals()?
            {
                return Ok(Ended::Signal(signal));
            }
            if ready.stdin && self.read_input()? {
                return self.detach();
            }
            if (ready.socket || self.more)
                && let Some(status) = self.receive()?
            {
                self.streams.stdout.flush().map_err(Error::Output)?;
                return Ok(Ended::Exit(status));
            }
        }
    }

    /// Waits for the supervisor, for input when it may be read, and for signals.
    fn wait(&mut self) -> Result<Ready, Error> {
        let mut socket = PollFlags::IN;
        socket.set(PollFlags::OUT, self.control.queued() > 0);
        let mut fds = vec![PollFd::from_borrowed_fd(self.control.as_fd(), socket)];
        let stdin = self.streams.stdin.filter(|_| self.wants_input());
        let signals = self.local.signals.map(AsFd::as_fd);
        for fd in [stdin, signals].into_iter().flatten() {
            fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
        }
        let at_once = self.more.then(Timespec::default);
        match poll(&mut fds, at_once.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Error::Broken(error.into())),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut next = |there: bool| there && ready.next().unwrap_or(false);
        Ok(Ready {
            socket: next(true),
            stdin: next(stdin.is_some()),
            signals: next(signals.is_some()),
        })
    }

    /// A person is always heard; what comes from elsewhere waits there.
    fn wants_input(&self) -> bool {
        self.local.terminal.is_some() || (self.keyboard.waiting() == 0 && self.has_room())
    }

    /// Whether input may be sent.
    fn has_room(&self) -> bool {
        self.control.queued() < MAX_QUEUED && self.credits.available() > 0
    }

    /// Reads input once; whether the person leaves.
    fn read_input(&mut self) -> Result<bool, Error> {
        let Some(stdin) = self.streams.stdin else {
            return Ok(false);
        };
        let mut buffer = [0; DATA_CHUNK];
        match rustix::io::read(stdin, &mut buffer) {
            // A terminal that hung up fails.
            Ok(0) | Err(Errno::IO) => {
                self.streams.stdin = None;
                self.end_input()?;
                Ok(false)
            }
            Ok(read) => Ok(self.keyboard.typed(&buffer[..read])),
            Err(Errno::INTR | Errno::AGAIN) => Ok(false),
            Err(error) => Err(Error::Input(error.into())),
        }
    }

    /// A console's reader knows the end of input by a character, as at any terminal.
    fn end_input(&mut self) -> Result<(), Error> {
        match self.far {
            Far::Console if self.local.terminal.is_none() => {
                self.keyboard.typed(&[END_OF_TRANSMISSION]);
            }
            Far::Console | Far::Program { .. } => {}
        }
        self.send_input()
    }

    /// Sends what may be sent of what was read, and behind the last of it that this was all.
    fn send_input(&mut self) -> Result<(), Error> {
        while self.keyboard.waiting() > 0 && self.has_room() {
            let piece = self.keyboard.take(DATA_CHUNK.min(self.credits.available()));
            self.credits.spend(piece.len());
            self.control.queue(CHANNEL, Message::Stdin(piece))?;
        }
        let over = self.streams.stdin.is_none() && self.keyboard.waiting() == 0;
        if over && self.far != Far::Console && !std::mem::replace(&mut self.ended, true) {
            self.control.queue(CHANNEL, Message::StdinEnd)?;
        }
        Ok(())
    }

    /// What signals there are: those the program is to have it gets. The one that ends the session, if
    /// there is one.
    fn hear_signals(&mut self) -> Result<Option<i32>, Error> {
        while let Some(signal) = self.local.signals.and_then(Inbox::next) {
            if signal == WINCH {
                self.tell_size()?;
                continue;
            }
            let passes = self.far == Far::Program { terminal: false };
            if !passes || self.passed.contains(&signal) {
                return Ok(Some(signal));
            }
            self.passed.push(signal);
            self.control
                .queue(CHANNEL, Message::Signal { number: signal })?;
        }
        Ok(None)
    }

    /// The far end's terminal becomes as large as ours.
    fn tell_size(&mut self) -> Result<(), Error> {
        let size = self.local.terminal.and_then(size_of);
        match size {
            Some(size) if self.far != (Far::Program { terminal: false }) => {
                self.control.queue(CHANNEL, Message::Resize(size))
            }
            _ => Ok(()),
        }
    }

    /// Leaves the other end alone. What was typed before is still sent.
    fn detach(mut self) -> Result<Ended, Error> {
        self.send_input()?;
        self.control.queue(CHANNEL, Message::Detach)?;
        self.control.deliver()?;
        Ok(Ended::Detached)
    }

    /// Takes in some frames; the program's end is the session's.
    fn receive(&mut self) -> Result<Option<ExitStatus>, Error> {
        for _ in 0..MOST_FRAMES {
            let Some(frame) = self.control.receive()? else {
                self.more = false;
                return Ok(None);
            };
            if let Some(status) = self.take(frame)? {
                return Ok(Some(status));
            }
        }
        self.more = true;
        Ok(None)
    }

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

/// How large a terminal is; none where it does not say.
pub fn size_of(terminal: BorrowedFd<'_>) -> Option<TerminalSize> {
    let size = tcgetwinsize(terminal).ok()?;
    let known = size.ws_row > 0 && size.ws_col > 0;
    known.then_some(TerminalSize {
        rows: size.ws_row,
        columns: size.ws_col,
    })
}

fn write(to: &mut dyn Write, bytes: &[u8]) -> Result<(), Error> {
    to.write_all(bytes)
        .and_then(|()| to.flush())
        .map_err(|source| match source.kind() {
            io::ErrorKind::BrokenPipe => Error::Ended,
            _ => Error::Output(source),
        })
}
