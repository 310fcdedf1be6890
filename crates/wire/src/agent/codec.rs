//! Frames to bytes and back.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::message::{Message, TerminalSize};

/// Bytes before the payload.
pub const HEADER_LEN: usize = 9;

/// Largest payload in bytes.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// A message and the channel it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// 0 for the link itself, else a program's.
    pub channel: u32,
    /// What is said.
    pub message: Message,
}

/// Why bytes are no frame, or a frame cannot be bytes. After a decoding error the stream is lost.
#[derive(Debug, Error)]
pub enum Error {
    /// The payload is too long.
    #[error("a frame of kind {kind} has a payload of {length} bytes, more than {MAX_PAYLOAD}")]
    TooLong {
        /// Kind of the frame.
        kind: u8,
        /// Its payload's length.
        length: usize,
    },
    /// Nobody knows this kind.
    #[error("unknown kind of frame {kind}")]
    UnknownKind {
        /// The kind.
        kind: u8,
    },
    /// A payload of fixed length has another.
    #[error("a frame of kind {kind} has a payload of {length} bytes")]
    WrongLength {
        /// Kind of the frame.
        kind: u8,
        /// Its payload's length.
        length: usize,
    },
    /// A payload is not the JSON it should be.
    #[error("cannot read the payload of a frame of kind {kind}")]
    Payload {
        /// Kind of the frame.
        kind: u8,
        /// The reason.
        source: serde_json::Error,
    },
}

/// The kinds, on the wire for good: numbers are never used again for something else.
mod kind {
    pub(super) const HELLO: u8 = 1;
    pub(super) const READY: u8 = 2;
    pub(super) const ENDED: u8 = 3;
    pub(super) const GOING: u8 = 4;
    pub(super) const EXEC: u8 = 5;
    pub(super) const STDIN: u8 = 6;
    pub(super) const STDIN_END: u8 = 7;
    pub(super) const STDOUT: u8 = 8;
    pub(super) const STDERR: u8 = 9;
    pub(super) const EXIT: u8 = 10;
    pub(super) const SIGNAL: u8 = 11;
    pub(super) const CREDIT: u8 = 12;
    pub(super) const CLOSE: u8 = 13;
    pub(super) const SHUTDOWN: u8 = 14;
    pub(super) const STOP: u8 = 15;
    pub(super) const KILL: u8 = 16;
    pub(super) const STATUS: u8 = 17;
    pub(super) const STATUS_REPLY: u8 = 18;
    pub(super) const ERROR: u8 = 19;
    pub(super) const PING: u8 = 20;
    pub(super) const PONG: u8 = 21;
    pub(super) const PAUSE: u8 = 22;
    pub(super) const RESUME: u8 = 23;
    pub(super) const LIMIT: u8 = 24;
    pub(super) const DONE: u8 = 25;
    pub(super) const BALLOON: u8 = 26;
    pub(super) const RESIZE: u8 = 27;
    pub(super) const DETACH: u8 = 28;
    pub(super) const ATTACH: u8 = 29;
}

impl Frame {
    /// A frame of the link itself.
    pub fn link(message: Message) -> Self {
        Self {
            channel: 0,
            message,
        }
    }

    /// Appends the frame's bytes. Fails, leaving `out` as it was, if the payload is too long.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        let kind = encode_payload(&self.message, out);
        let length = out.len() - start - HEADER_LEN;
        if length > MAX_PAYLOAD {
            out.truncate(start);
            return Err(Error::TooLong { kind, length });
        }
        let header = &mut out[start..start + HEADER_LEN];
        header.copy_from_slice(&self::header(length, kind, self.channel));
        Ok(())
    }

    /// Appends a program's output as a frame of `Stdout` or `Stderr`, without making one first.
    ///
    /// `data` is no longer than a payload may be: [`DATA_CHUNK`](super::DATA_CHUNK) is a good length.
    pub fn encode_output(channel: u32, is_error: bool, data: &[u8], out: &mut Vec<u8>) {
        assert!(data.len() <= MAX_PAYLOAD, "output longer than a frame");
        let kind = if is_error { kind::STDERR } else { kind::STDOUT };
        out.extend_from_slice(&header(data.len(), kind, channel));
        out.extend_from_slice(data);
    }
}

fn header(length: usize, kind: u8, channel: u32) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..4].copy_from_slice(&(length as u32).to_le_bytes());
    header[4] = kind;
    header[5..].copy_from_slice(&channel.to_le_bytes());
    header
}

fn encode_payload(message: &Message, out: &mut Vec<u8>) -> u8 {
    match message {
        Message::Hello { version, token } => {
            out.extend_from_slice(&version.to_le_bytes());
            bytes(kind::HELLO, token, out)
        }
        Message::Ready => kind::READY,
        Message::Ended { code } => bytes(kind::ENDED, &code.to_le_bytes(), out),
        Message::Going { action } => json(kind::GOING, action, out),
        Message::Exec(request) => json(kind::EXEC, request, out),
        Message::Stdin(data) => bytes(kind::STDIN, data, out),
        Message::StdinEnd => kind::STDIN_END,
        Message::Stdout(data) => bytes(kind::STDOUT, data, out),
        Message::Stderr(data) => bytes(kind::STDERR, data, out),
        Message::Exit { status } => json(kind::EXIT, status, out),
        Message::Signal { number } => bytes(kind::SIGNAL, &number.to_le_bytes(), out),
        Message::Credit { bytes: n } => bytes(kind::CREDIT, &n.to_le_bytes(), out),
        Message::Close => kind::CLOSE,
        Message::Resize(TerminalSize { rows, columns }) => {
            out.extend_from_slice(&rows.to_le_bytes());
            bytes(kind::RESIZE, &columns.to_le_bytes(), out)
        }
        Message::Detach => kind::DETACH,
        Message::Attach => kind::ATTACH,
        Message::Shutdown { grace_ms } => bytes(kind::SHUTDOWN, &grace_ms.to_le_bytes(), out),
        Message::Stop { grace_ms } => bytes(kind::STOP, &grace_ms.to_le_bytes(), out),
        Message::Kill => kind::KILL,
        Message::Pause => kind::PAUSE,
        Message::Resume => kind::RESUME,
        Message::Limit(limits) => json(kind::LIMIT, limits, out),
        Message::Balloon { bytes: n } => bytes(kind::BALLOON, &n.to_le_bytes(), out),
        Message::Done { changed } => json(kind::DONE, changed, out),
        Message::Status => kind::STATUS,
        Message::StatusReply(status) => json(kind::STATUS_REPLY, status, out),
        Message::Error { message, hint } => json(kind::ERROR, &(message, hint), out),
        Message::Ping(number) => bytes(kind::PING, &number.to_le_bytes(), out),
        Message::Pong(number) => bytes(kind::PONG, &number.to_le_bytes(), out),
    }
}

fn bytes(kind: u8, payload: &[u8], out: &mut Vec<u8>) -> u8 {
    out.extend_from_slice(payload);
    kind
}

fn json<T: Serialize>(kind: u8, value: &T, out: &mut Vec<u8>) -> u8 {
    serde_json::to_writer(out, value).expect("strings, numbers and enums always make JSON");
    kind
}

fn decode_payload(kind: u8, payload: &[u8]) -> Result<Message, Error> {
    Ok(match kind {
        kind::HELLO => hello(payload)?,
        kind::READY => empty(kind, payload, Message::Ready)?,
        kind::ENDED => Message::Ended {
            code: i32::from_le_bytes(fixed(kind, payload)?),
        },
        kind::GOING => Message::Going {
            action: parse(kind, payload)?,
        },
        kind::EXEC => Message::Exec(parse(kind, payload)?),
        kind::STDIN => Message::Stdin(payload.to_vec()),
        kind::STDIN_END => empty(kind, payload, Message::StdinEnd)?,
        kind::STDOUT => Message::Stdout(payload.to_vec()),
        kind::STDERR => Message::Stderr(payload.to_vec()),
        kind::EXIT => Message::Exit {
            status: parse(kind, payload)?,
        },
        kind::SIGNAL => Message::Signal {
            number: i32::from_le_bytes(fixed(kind, payload)?),
        },
        kind::CREDIT => Message::Credit {
            bytes: u32::from_le_bytes(fixed(kind, payload)?),
        },
        kind::CLOSE => empty(kind, payload, Message::Close)?,
        kind::RESIZE => Message::Resize(size(payload)?),
        kind::DETACH => empty(kind, payload, Message::Detach)?,
        kind::ATTACH => empty(kind, payload, Message::Attach)?,
        kind::SHUTDOWN => Message::Shutdown {
            grace_ms: u64::from_le_bytes(fixed(kind, payload)?),
        },
        kind::STOP => Message::Stop {
            grace_ms: u64::from_le_bytes(fixed(kind, payload)?),
        },
        kind::KILL => empty(kind, payload, Message::Kill)?,
        kind::PAUSE => empty(kind, payload, Message::Pause)?,
        kind::RESUME => empty(kind, payload, Message::Resume)?,
        kind::LIMIT => Message::Limit(parse(kind, payload)?),
        kind::BALLOON => Message::Balloon {
            bytes: u64::from_le_bytes(fixed(kind, payload)?),
        },
        kind::DONE => Message::Done {
            changed: parse(kind, payload)?,
        },
        kind::STATUS => empty(kind, payload, Message::Status)?,
        kind::STATUS_REPLY => Message::StatusReply(parse(kind, payload)?),
        kind::ERROR => {
            let (message, hint) = parse(kind, payload)?;
            Message::Error { message, hint }
        }
        kind::PING => Message::Ping(u64::from_le_bytes(fixed(kind, payload)?)),
        kind::PONG => Message::Pong(u64::from_le_bytes(fixed(kind, payload)?)),
        _ => return Err(Error::UnknownKind { kind }),
    })
}

/// The version, and the token in the rest.
fn hello(payload: &[u8]) -> Result<Message, Error> {
    let (version, token) = payload.split_at(payload.len().min(size_of::<u32>()));
    Ok(Message::Hello {
        version: u32::from_le_bytes(fixed(kind::HELLO, version)?),
        token: token.to_vec(),
    })
}

/// Rows, then columns.
fn size(payload: &[u8]) -> Result<TerminalSize, Error> {
    let [r0, r1, c0, c1] = fixed(kind::RESIZE, payload)?;
    Ok(TerminalSize {
        rows: u16::from_le_bytes([r0, r1]),
        columns: u16::from_le_bytes([c0, c1]),
    })
}

fn empty(kind: u8, payload: &[u8], message: Message) -> Result<Message, Error> {
    fixed::<0>(kind, payload).map(|_| message)
}

fn fixed<const N: usize>(kind: u8, payload: &[u8]) -> Result<[u8; N], Error> {
    payload.try_into().map_err(|_| Error::WrongLength {
        kind,
        length: payload.len(),
    })
}

fn parse<T: DeserializeOwned>(kind: u8, payload: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(payload).map_err(|source| Error::Payload { kind, source })
}

/// Takes bytes as they come and gives frames. Call [`next`](Self::next) until it gives `None`
/// after every [`push`](Self::push) or [`filled`](Self::filled): then no more than one frame and what
/// was added last is ever kept.
#[derive(Debug, Default)]
pub struct Decoder {
    /// What came is at `taken..end`; room for more behind it.
    buffer: Vec<u8>,
    taken: usize,
    end: usize,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
        self.filled(bytes.len());
    }

    /// Where the next `size` bytes of the stream can be read to; [`filled`](Self::filled) tells how many
    /// were.
    pub fn room(&mut self, size: usize) -> &mut [u8] {
        if self.taken == self.end {
            (self.taken, self.end) = (0, 0);
        }
        if self.buffer.len() < self.end + size {
            if self.taken > 0 {
                self.buffer.copy_within(self.taken..self.end, 0);
            }
            self.end -= std::mem::take(&mut self.taken);
            let wanted = self.end + size;
            self.buffer.resize(wanted.max(self.buffer.len()), 0);
        }
        &mut self.buffer[self.end..self.end + size]
    }

    /// That many bytes of the [`room`](Self::room) are the stream's.
    pub fn filled(&mut self, count: usize) {
        debug_assert!(count <= self.buffer.len() - self.end, "more than the room");
        self.end = self.buffer.len().min(self.end + count);
    }

    /// The next whole frame, if there is one.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Frame>, Error> {
        let here = &self.buffer[self.taken..self.end];
        let Some((header, rest)) = here.split_first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let [l0, l1, l2, l3, kind, c0, c1, c2, c3] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > MAX_PAYLOAD {
            return Err(Error::TooLong { kind, length });
        }
        let Some(payload) = rest.get(..length) else {
            return Ok(None);
        };
        let message = decode_payload(kind, payload)?;
        self.taken += HEADER_LEN + length;
        Ok(Some(Frame {
            channel: u32::from_le_bytes([c0, c1, c2, c3]),
            message,
        }))
    }
}

#[cfg(test)]
mod tests;
