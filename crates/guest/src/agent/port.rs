//! The agent's end of the virtio-serial port.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ignite_host::signal::{PollFd, PollFlags, poll};
use ignite_wire::agent::{Decoder, Frame, Message};
use rustix::io::{Errno, read, write};

use crate::console;

const READ_SIZE: usize = 32 * 1024;

/// Frames out and in; nothing blocks.
///
/// The device tells by its events and by an end of file when the host has closed its side; then
/// there is nothing to wait for but looking again.
pub struct Port {
    device: OwnedFd,
    connected: bool,
    decoder: Decoder,
    out: Vec<u8>,
    written: usize,
    buffer: Vec<u8>,
}

impl Port {
    /// A port whose host is there.
    pub fn new(device: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&device, true)?;
        Ok(Self {
            device,
            connected: true,
            decoder: Decoder::new(),
            out: Vec::new(),
            written: 0,
            buffer: vec![0; READ_SIZE],
        })
    }

    /// Whether the host had its side open when last looked at.
    pub fn is_connected(&self) -> bool {
        self.connected
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

    /// Sends what the host takes now.
    pub fn flush(&mut self) {
        while self.written < self.out.len() {
            match write(&self.device, &self.out[self.written..]) {
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

    /// Sends everything, unless the host does not take it in that time.
    pub fn flush_within(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        self.flush();
        while self.pending() > 0 && Instant::now() < deadline {
            let mut fds = [PollFd::new(&self.device, PollFlags::OUT)];
            let left = deadline.saturating_duration_since(Instant::now());
            if poll(&mut fds, Some(left)).is_err() || fds[0].revents().contains(PollFlags::HUP) {
                return;
            }
            self.flush();
        }
    }

    /// Takes in what is there; false if the host closed its side.
    pub fn receive(&mut self) -> bool {
        match read(&self.device, &mut self.buffer[..]) {
            Ok(0) => false,
            Ok(count) => {
                self.decoder.push(&self.buffer[..count]);
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => true,
            Err(_) => false,
        }
    }

    /// The next frame taken in. A stream that is no frames cannot be read any further: it is
    /// complained about, and begins anew with the next bytes.
    pub fn next(&mut self) -> Option<Frame> {
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
        self.connected = false;
        self.decoder = Decoder::new();
        self.out.clear();
        self.written = 0;
    }

    /// Whether the host opened its side again.
    pub fn look_for_host(&mut self) -> bool {
        let mut fds = [PollFd::new(&self.device, PollFlags::IN | PollFlags::OUT)];
        let looked = poll(&mut fds, Some(Duration::ZERO)).is_ok();
        self.connected = looked && !fds[0].revents().contains(PollFlags::HUP);
        self.connected
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}
