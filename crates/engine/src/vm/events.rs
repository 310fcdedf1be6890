//! What a supervisor says while its VM starts: one JSON object a line.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use ignite_wire::supervisor::Event;

use crate::{Cancel, Error};

/// More than any event; a supervisor that says more is not ours.
const MAX_LINE: usize = 1 << 20;

/// The engine's end of the notification pipe.
pub(super) struct Events(OwnedFd);

impl Events {
    pub(super) fn new(pipe: OwnedFd) -> Self {
        Self(pipe)
    }

    /// The events up to a deadline, or until the caller calls the operation off.
    pub(super) fn iter<'a>(&'a self, cancel: &'a Cancel, deadline: Instant) -> Waiting<'a> {
        Waiting {
            pipe: &self.0,
            cancel,
            deadline,
            buffer: Vec::new(),
        }
    }
}

pub(super) struct Waiting<'a> {
    pipe: &'a OwnedFd,
    cancel: &'a Cancel,
    deadline: Instant,
    buffer: Vec<u8>,
}

impl Waiting<'_> {
    /// The next event; none when the supervisor closed the pipe, or said something else.
    pub(super) fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(serde_json::from_slice(&line).ok());
            }
            if self.buffer.len() > MAX_LINE || !self.read()? {
                return Ok(None);
            }
        }
    }

    /// Reads on; false at the end or past the deadline.
    fn read(&mut self) -> Result<bool, Error> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left == Duration::ZERO {
            return Ok(false);
        }
        if !self.cancel.wait_readable(self.pipe.as_fd(), Some(left))? {
            return Ok(true);
        }
        let mut chunk = [0; 4096];
        match rustix::io::read(self.pipe, &mut chunk) {
            Ok(0) => Ok(false),
            Ok(read) => {
                self.buffer.extend_from_slice(&chunk[..read]);
                Ok(true)
            }
            Err(rustix::io::Errno::INTR) => Ok(true),
            Err(errno) => {
                tracing::debug!(%errno, "the notification pipe broke");
                Ok(false)
            }
        }
    }
}
