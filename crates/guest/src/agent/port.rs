//! The agent's end of its stream to the host: the virtio-serial port, or a vsock connection.
//!
//! ```text
//!               end of file                       serial: the host opened its side
//!   Connected ---------------> Absent ---------------------------------------------> Connected
//!       ^                        |  ^
//!       |                        |  | nobody listens
//!       '-------- Connecting <---'--'   vsock: a new socket each time
//! ```

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ignite_host::signal::{PollFd, PollFlags, poll};
use ignite_host::vsock::{self, Connection};
use ignite_wire::agent::{DATA_CHUNK, Decoder, Frame, Message};
use ignite_wire::guest::Transport;
use rustix::io::{Errno, read, write};
use rustix::net::{Shutdown, shutdown};

use crate::boot::AGENT_ADDRESS;
use crate::console;

/// Bytes taken in before they are looked at. The port gives a page for each read.
const READ_SIZE: usize = 256 * 1024;

/// The number in the agent's question whether the host has heard everything.
const HEARD: u64 = u64::from_le_bytes(*b"heard it");

/// Frames out and in; nothing blocks.
pub struct Port {
    stream: OwnedFd,
    transport: Transport,
    state: State,
    decoder: Decoder,
    out: Vec<u8>,
    written: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Connected,
    /// A vsock connection is being made.
    Connecting,
    /// There is nothing to wait for but looking again.
    Absent,
}

impl Port {
    /// A port whose host is there.
    pub fn new(stream: OwnedFd, transport: Transport) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&stream, true)?;
        Ok(Self {
            stream,
            transport,
            state: State::Connected,
            decoder: Decoder::new(),
            out: Vec::new(),
            written: 0,
        })
    }

    /// Whether the host was there when last looked at.
    pub fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    /// What to wait for; none while only looking again helps.
    pub fn interest(&self) -> Option<PollFlags> {
        match self.state {
            State::Connected if self.pending() > 0 => Some(PollFlags::IN | PollFlags::OUT),
            State::Connected => Some(PollFlags::IN),
            State::Connecting => Some(PollFlags::OUT),
            State::Absent => None,
        }
    }

    /// Bytes that the host has yet to take.
    pub fn pending(&self) -> usize {
        self.out.len() - self.written
    }

    /// Queues a frame and sends what the host takes at once.
    pub fn send(&mut self, frame: &Frame) {
        if let Err(error) = frame.encode(&mut self.out) {
            console::warn(&error);
        }
        self.flush();
    }

    /// The same for what a program wrote, in as many frames as it needs.
    pub fn send_output(&mut self, channel: u32, is_error: bool, data: &[u8]) {
        for piece in data.chunks(DATA_CHUNK) {
            Frame::encode_output(channel, is_error, piece, &mut self.out);
        }
        self.flush();
    }

    /// Sends what the host takes now.
    pub fn flush(&mut self) {
        while self.written < self.out.len() {
            match write(&self.stream, &self.out[self.written..]) {
                Ok(count) if count > 0 => self.written += count,
                Err(Errno::INTR) => {}
                // Full, or the host is gone: the next reading tells which.
                _ => break,
            }
        }
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        } else if self.written > self.out.len() / 2 {
            self.out.drain(..self.written);
            self.written = 0;
        }
    }

    /// Sends everything, unless the host does not take it in that time. Frames that come from the
    /// host meanwhile are for the caller.
    ///
    /// What was written to a vsock connection may still be in this machine, and would go with it: the
    /// host is asked whether it has it.
    pub fn deliver(&mut self, within: Duration) -> Vec<Frame> {
        let deadline = Instant::now() + within;
        match self.transport {
            Transport::Serial => self.flush_until(deadline),
            Transport::Vsock if self.is_connected() => {
                self.send(&Frame::link(Message::Ping(HEARD)));
                self.flush_until(deadline);
                return self.wait_until_heard(deadline);
            }
            Transport::Vsock => {}
        }
        Vec::new()
    }

    fn flush_until(&mut self, deadline: Instant) {
        self.flush();
        while self.pending() > 0 && Instant::now() < deadline {
            if !self.wait(PollFlags::OUT, deadline) {
                return;
            }
            self.flush();
        }
    }

    fn wait_until_heard(&mut self, deadline: Instant) -> Vec<Frame> {
        let heard = Frame::link(Message::Pong(HEARD));
        let mut others = Vec::new();
        while Instant::now() < deadline && self.wait(PollFlags::IN, deadline) && self.receive() {
            while let Some(frame) = self.next_frame() {
                if frame == heard {
                    return others;
                }
                others.push(frame);
            }
        }
        others
    }

    /// Waits for one of the events; false if the host is gone.
    fn wait(&self, events: PollFlags, deadline: Instant) -> bool {
        let gone = PollFlags::HUP | PollFlags::ERR;
        let mut fds = [PollFd::new(&self.stream, events)];
        let left = deadline.saturating_duration_since(Instant::now());
        poll(&mut fds, Some(left)).is_ok() && !fds[0].revents().intersects(gone)
    }

    /// Takes in what is there; false if the host closed its side, and nothing was there before that.
    pub fn receive(&mut self) -> bool {
        let buffer = self.decoder.room(READ_SIZE);
        let mut filled = 0;
        let open = loop {
            match read(&self.stream, &mut buffer[filled..]) {
                Ok(0) => break filled > 0,
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break true,
                Err(_) => break filled > 0,
            }
            if filled == buffer.len() {
                break true;
            }
        };
        self.decoder.filled(filled);
        open
    }

    /// The next frame taken in. A stream that is no frames cannot be read any further: it is
    /// complained about, and begins anew with the next bytes.
    pub fn next_frame(&mut self) -> Option<Frame> {
        match self.decoder.next() {
            Ok(frame) => frame,
            Err(error) => {
                self.decoder = Decoder::new();
                let message = console::chain(&error);
                self.send(&Frame::link(Message::Error {
                    message,
                    hint: None,
                }));
                None
            }
        }
    }

    /// Forgets the stream: the host's side is closed.
    pub fn reset(&mut self) {
        self.state = State::Absent;
        self.decoder = Decoder::new();
        self.out.clear();
        self.written = 0;
        if self.transport == Transport::Vsock {
            // The host may have closed one way only. That there is no connection any more is fine.
            let _ = shutdown(&self.stream, Shutdown::Both);
        }
    }

    /// Whether the host is there again.
    pub fn look_for_host(&mut self) -> bool {
        self.state = match (self.transport, self.state) {
            (Transport::Serial, _) => self.serial_state(),
            (Transport::Vsock, State::Connecting) => self.connecting_state(),
            (Transport::Vsock, _) => self.connect(),
        };
        self.is_connected()
    }

    /// The device tells by its events whether the host has its side open.
    fn serial_state(&self) -> State {
        match self.events(PollFlags::IN | PollFlags::OUT) {
            Some(events) if !events.contains(PollFlags::HUP) => State::Connected,
            _ => State::Absent,
        }
    }

    fn connect(&mut self) -> State {
        match vsock::begin(AGENT_ADDRESS) {
            Ok(Connection::Open(stream)) => {
                self.stream = stream;
                State::Connected
            }
            Ok(Connection::Pending(stream)) => {
                self.stream = stream;
                State::Connecting
            }
            Err(_) => State::Absent,
        }
    }

    fn connecting_state(&self) -> State {
        let ended = self.events(PollFlags::OUT).filter(|now| !now.is_empty());
        match ended.map(|_| vsock::outcome(&self.stream)) {
            None => State::Connecting,
            Some(Ok(())) => State::Connected,
            Some(Err(_)) => State::Absent,
        }
    }

    /// What the stream is ready for now.
    fn events(&self, wanted: PollFlags) -> Option<PollFlags> {
        let mut fds = [PollFd::new(&self.stream, wanted)];
        let looked = poll(&mut fds, Some(Duration::ZERO)).is_ok();
        looked.then(|| fds[0].revents())
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
