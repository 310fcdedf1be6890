//! The way to the guest's agent: a stream that is there as long as the VMM, or connections the guest
//! makes, one at a time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;

use ignite_vmm::Agent;
use ignite_wire::agent::Frame;

use crate::stream::{FrameStream, Received};

/// Bytes that may wait for the agent.
const QUEUE: usize = 8 << 20;

/// Reads of the stream of somebody who goes, or whose place another wants: more than its socket holds.
pub const FAREWELL_READS: usize = 32;

/// The link to the agent.
#[derive(Debug)]
pub struct Link {
    stream: Option<FrameStream>,
    listener: Option<UnixListener>,
    /// The agent takes nothing more.
    mute: bool,
    /// What an agent proves itself with.
    token: String,
}

impl Link {
    /// Over what the driver has, to an agent that knows this token.
    pub fn new(agent: Agent, token: String) -> Self {
        let (stream, listener) = match agent {
            Agent::Stream(socket) => (Some(FrameStream::new(socket, QUEUE)), None),
            Agent::Listener(listener) => (None, Some(listener)),
        };
        Self {
            stream,
            listener,
            mute: false,
            token,
        }
    }

    /// Whether it is the agent who says this token.
    pub fn is_agents(&self, token: &[u8]) -> bool {
        token == self.token.as_bytes()
    }

    /// Whether an agent can be spoken to, as far as is known.
    pub fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Whether an agent that went away may come back by itself.
    pub fn is_listening(&self) -> bool {
        self.listener.is_some()
    }

    /// The stream, to be polled.
    pub fn stream(&self) -> Option<BorrowedFd<'_>> {
        self.stream.as_ref().map(AsFd::as_fd)
    }

    /// Where agents arrive, to be polled.
    pub fn listener(&self) -> Option<BorrowedFd<'_>> {
        self.listener.as_ref().map(AsFd::as_fd)
    }

    /// Takes the next agent that has arrived; one that comes while another is here, and `proven` to be
    /// the agent, is sent away. Who has not proved it keeps nobody else away.
    pub fn accept(&mut self, proven: bool) -> io::Result<()> {
        let Some(listener) = &self.listener else {
            return Ok(());
        };
        let (socket, _) = listener.accept()?;
        if self.stream.is_none() || !proven {
            socket.set_nonblocking(true)?;
            self.stream = Some(FrameStream::new(socket, QUEUE));
            self.mute = false;
        }
        Ok(())
    }

    /// The agent is gone.
    pub fn close(&mut self) {
        self.stream = None;
    }

    /// Nobody is listened to any more.
    pub fn give_up(&mut self) {
        (self.stream, self.listener) = (None, None);
    }

    /// What an agent that takes nothing more had said before; from now on it is told nothing.
    pub fn farewell(&mut self) -> Vec<Frame> {
        self.mute = true;
        let mut frames = Vec::new();
        for _ in 0..FAREWELL_READS {
            match self.receive(&mut frames) {
                Ok(Received::Open) => {}
                Ok(Received::Closed) | Err(_) => break,
            }
        }
        frames
    }

    /// Queues a frame and sends what can be sent; `NotConnected` if nobody is there who takes it.
    pub fn send(&mut self, frame: &Frame) -> io::Result<()> {
        match &mut self.stream {
            Some(stream) if !self.mute => stream.send(frame),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Sends what can be sent.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stream.as_mut().map_or(Ok(()), FrameStream::flush)
    }

    /// Bytes that wait to be sent.
    pub fn waiting(&self) -> usize {
        self.stream.as_ref().map_or(0, FrameStream::waiting)
    }

    /// Reads once and appends the frames that are whole to `frames`.
    pub fn receive(&mut self, frames: &mut Vec<Frame>) -> io::Result<Received> {
        match &mut self.stream {
            Some(stream) => stream.receive(frames),
            None => Ok(Received::Open),
        }
    }

    /// Another agent speaks on the stream than before.
    pub fn restart(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.restart();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_wire::agent::Message;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn receive(link: &mut Link) -> (Vec<Frame>, Received) {
        let mut frames = Vec::new();
        let received = link.receive(&mut frames).expect("frames");
        (frames, received)
    }

    #[test]
    fn one_agent_at_a_time_as_often_as_it_likes() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("agent");
        let listener = UnixListener::bind(&path).expect("free");
        let mut link = Link::new(Agent::Listener(listener), "t0ken".to_owned());
        assert!(link.is_agents(b"t0ken") && !link.is_agents(b""));
        assert!(!link.is_open() && link.is_listening());
        let frame = Frame::link(Message::Ping(1));
        assert!(link.send(&frame).is_err(), "nobody is there");
        let first = UnixStream::connect(&path).expect("it listens");
        link.accept(false).expect("one waits");
        let mut second = UnixStream::connect(&path).expect("it listens");
        link.accept(true).expect("one waits");
        assert_eq!(second.read(&mut [0]).expect("closed"), 0, "sent away");
        link.send(&frame).expect("room");
        let mut bytes = Vec::new();
        frame.encode(&mut bytes).expect("small");
        (&first).write_all(&bytes).expect("room");
        drop(first);
        assert!(link.send(&frame).is_err(), "it takes nothing more");
        assert_eq!(link.farewell(), std::slice::from_ref(&frame));
        let error = link.send(&frame).expect_err("nobody hears it");
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
        link.close();
        let third = UnixStream::connect(&path).expect("it listens");
        link.accept(false).expect("one waits");
        assert!(link.is_open());
        let _fourth = UnixStream::connect(&path).expect("it listens");
        link.accept(false).expect("one waits");
        assert_eq!((&third).read(&mut [0]).expect("closed"), 0, "it gives way");
        link.give_up();
        assert!(!link.is_open() && !link.is_listening());
        assert_eq!(receive(&mut link), (Vec::new(), Received::Open));
    }
}
