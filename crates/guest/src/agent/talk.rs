//! One program's channel: what is said on it, its windows, and the program's input and output. Nothing
//! here knows of processes.

use std::os::fd::BorrowedFd;

use ignite_host::signal::PollFlags;
use ignite_wire::agent::{Credits, DATA_CHUNK, Message};

use super::wires::Wires;

/// A descriptor of a program to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Room for input.
    Stdin,
    /// Output.
    Stdout,
    /// Error output.
    Stderr,
    /// The end of the program.
    End,
}

impl Stream {
    /// What to wait for.
    pub fn flags(self) -> PollFlags {
        match self {
            Self::Stdin => PollFlags::OUT,
            Self::Stdout | Self::Stderr | Self::End => PollFlags::IN,
        }
    }
}

/// What there is to tell of a program.
pub enum Answer {
    /// The client may send that many bytes more.
    Credit(u32),
    /// The client broke the protocol.
    Error(String),
    /// What it wrote, longer than a message may be.
    Output {
        /// The bytes.
        data: Vec<u8>,
        /// Whether to its error output.
        is_error: bool,
    },
}

/// Bytes of output read at once: a program that writes much waits for its reader, and each such wait is
/// a turn of the processor's.
const OUTPUT_READ: usize = 128 * 1024;

/// A channel as long as it is open.
pub struct Talk {
    wires: Wires,
    credits: Credits,
    /// The program has ended: what it left behind is all there is.
    ended: bool,
    /// Nobody listens, and it goes on.
    detached: bool,
}

impl Talk {
    /// Of a program that was just started.
    pub fn new(wires: Wires) -> Self {
        Self {
            wires,
            credits: Credits::new(),
            ended: false,
            detached: false,
        }
    }

    /// What to wait for; output only if there is `room` for it and the client granted some, or nobody
    /// is to get it.
    pub fn streams(&self, room: bool) -> [Option<Stream>; 4] {
        let readable = self.detached || (room && self.credits.available() > 0);
        let output = |stream| (readable && self.descriptor(stream).is_some()).then_some(stream);
        [
            self.wires.is_feeding().then_some(Stream::Stdin),
            output(Stream::Stdout),
            output(Stream::Stderr),
            (!self.ended).then_some(Stream::End),
        ]
    }

    /// The descriptor of a stream of the program's, while it is open.
    pub fn descriptor(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        self.wires.descriptor(stream)
    }

    /// Passes on what a stream is ready for; gives what there is to tell.
    pub fn serve(&mut self, stream: Stream) -> Option<Answer> {
        match stream {
            Stream::Stdin => self.feed(),
            Stream::Stdout | Stream::Stderr => self.forward(stream),
            Stream::End => None,
        }
    }

    /// Does what the client says. Input is taken, and given to the program when it is fed, or before it
    /// meets anything else.
    pub fn obey(&mut self, message: Message) -> Option<Answer> {
        let other = match message {
            Message::Stdin(data) => return self.take_input(data),
            Message::Credit { bytes } => {
                self.credits.granted(bytes);
                return None;
            }
            other => other,
        };
        let credit = self.feed();
        match other {
            Message::StdinEnd => self.wires.end_input(),
            Message::Resize(size) => self.wires.resize(size),
            Message::Detach => self.detach(),
            _ => {}
        }
        credit.filter(|_| !self.detached)
    }

    /// Gives the program the input it takes now.
    pub fn feed(&mut self) -> Option<Answer> {
        let fed = self.wires.feed();
        self.consumed(fed)
    }

    /// Whether it goes on with nobody listening.
    pub fn is_detached(&self) -> bool {
        self.detached
    }

    /// Whether all output of the program was passed on.
    pub fn is_drained(&self) -> bool {
        self.wires.is_drained()
    }

    /// The program is gone.
    pub fn program_ended(&mut self) {
        self.ended = true;
        self.wires.program_ended();
        if self.detached {
            self.wires.discard();
        }
    }

    /// The next piece of what an ended program left in its pipes.
    pub fn left_over(&mut self) -> Option<Answer> {
        if !self.ended {
            return None;
        }
        [Stream::Stdout, Stream::Stderr]
            .into_iter()
            .find_map(|stream| self.forward(stream))
    }

    fn detach(&mut self) {
        self.detached = true;
        if self.ended {
            self.wires.discard();
        }
    }

    fn take_input(&mut self, data: Vec<u8>) -> Option<Answer> {
        if let Err(overrun) = self.credits.received(data.len()) {
            return Some(Answer::Error(overrun.to_string()));
        }
        let taken = self.wires.take_input(data);
        self.consumed(taken)
    }

    fn consumed(&mut self, bytes: usize) -> Option<Answer> {
        let grant = self.credits.consumed(bytes)?;
        (!self.detached).then_some(Answer::Credit(grant))
    }

    /// Reads output as far as the client granted.
    fn forward(&mut self, stream: Stream) -> Option<Answer> {
        if self.detached {
            // So that it does not wait for a reader who never comes.
            self.wires.read(stream, DATA_CHUNK, self.ended);
            return None;
        }
        let most = OUTPUT_READ.min(self.credits.available());
        if most == 0 {
            return None;
        }
        let data = self.wires.read(stream, most, self.ended)?;
        self.credits.spend(data.len());
        Some(Answer::Output {
            data,
            is_error: stream == Stream::Stderr,
        })
    }
}
