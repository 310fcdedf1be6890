//! A socket that never blocks, with a bounded queue of what waits to be sent.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use ignite_wire::agent::{Decoder, Frame};

/// Bytes of one read.
const READ_SIZE: usize = 64 * 1024;

/// Memory of a queue that was used is given back above this.
const KEPT: usize = 64 * 1024;

/// What became of reading.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// There may be more later.
    Open,
    /// The peer closed.
    Closed,
}

/// A stream of frames.
#[derive(Debug)]
pub struct FrameStream {
    socket: UnixStream,
    decoder: Decoder,
    queue: VecDeque<u8>,
    scratch: Vec<u8>,
    limit: usize,
}

impl FrameStream {
    /// Over a socket that does not block; no more than `limit` bytes wait to be sent.
    pub fn new(socket: UnixStream, limit: usize) -> Self {
        Self {
            socket,
            decoder: Decoder::new(),
            queue: VecDeque::new(),
            scratch: Vec::new(),
            limit,
        }
    }

    /// Queues a frame and sends what can be sent. Fails if the peer is gone or reads too slowly.
    pub fn send(&mut self, frame: &Frame) -> io::Result<()> {
        self.scratch.clear();
        frame.encode(&mut self.scratch).map_err(io::Error::other)?;
        if self.queue.len() + self.scratch.len() > self.limit {
            return Err(io::Error::other("the peer does not read what it is sent"));
        }
        self.queue.extend(&self.scratch);
        self.scratch.shrink_to(KEPT);
        self.flush()
    }

    /// Sends what can be sent.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.queue.is_empty() {
            let (bytes, _) = self.queue.as_slices();
            match self.socket.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => drop(self.queue.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.queue.shrink_to(KEPT);
        Ok(())
    }

    /// Bytes that wait to be sent.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Reads once and appends the frames that are whole to `frames`.
    pub fn receive(&mut self, frames: &mut Vec<Frame>) -> io::Result<Received> {
        let mut buffer = [0; READ_SIZE];
        let length = match self.socket.read(&mut buffer) {
            Ok(0) => return Ok(Received::Closed),
            Ok(length) => length,
            Err(error) => {
                return match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(Received::Open),
                    io::ErrorKind::ConnectionReset => Ok(Received::Closed),
                    _ => Err(error),
                };
            }
        };
        self.decoder.push(&buffer[..length]);
        while let Some(frame) = self.decoder.next().map_err(io::Error::other)? {
            frames.push(frame);
        }
        Ok(Received::Open)
    }

    /// Forgets a frame that was begun: the peer starts anew.
    pub fn restart(&mut self) {
        self.decoder = Decoder::new();
    }
}

impl AsFd for FrameStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_wire::agent::Message;

    fn pair(limit: usize) -> (FrameStream, FrameStream) {
        let (one, other) = UnixStream::pair().expect("a pair");
        one.set_nonblocking(true).expect("nonblocking");
        other.set_nonblocking(true).expect("nonblocking");
        (FrameStream::new(one, limit), FrameStream::new(other, limit))
    }

    #[test]
    fn frames_arrive_and_the_end_is_seen() {
        let (mut one, mut other) = pair(1 << 20);
        let sent: Vec<Frame> = (0..100).map(|n| Frame::link(Message::Ping(n))).collect();
        for frame in &sent {
            one.send(frame).expect("room");
        }
        drop(one);
        let mut frames = Vec::new();
        while other.receive(&mut frames).expect("valid") == Received::Open {}
        assert_eq!(frames, sent);
    }

    #[test]
    fn a_peer_that_does_not_read_is_noticed() {
        let (mut one, _other) = pair(100_000);
        let frame = Frame::link(Message::Stdout(vec![0; 10_000]));
        let failed = (0..1000).find(|_| one.send(&frame).is_err());
        assert!(failed.is_some());
        assert!(one.waiting() <= 100_000);
    }

    #[test]
    fn garbage_is_an_error() {
        let (one, mut other) = pair(1000);
        (&one.socket).write_all(&[0xff; 100]).expect("room");
        assert!(other.receive(&mut Vec::new()).is_err());
    }
}
