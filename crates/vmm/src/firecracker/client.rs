//! The connection to Firecracker's API: one request under way, the others wait.
//!
//! There is one connection in a VMM's life, made before its guest runs: a path in a directory the VMM
//! may write to is not followed again.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::answer::{Answer, Decoder};
use super::error::Error;
use super::request::Request;

/// How long an answer is waited for: a start reads the whole kernel, perhaps from a slow disk.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Requests that may wait.
const MAX_WAITING: usize = 64;

/// Bytes of one read.
const READ_SIZE: usize = 4096;

/// Reads at one look, so that it keeps nobody waiting.
const MAX_READS: usize = 16;

/// A request and what became of it.
pub(super) type Answered = (Request, Answer);

/// The connection.
#[derive(Debug)]
pub(super) struct Client {
    socket: UnixStream,
    decoder: Decoder,
    waiting: VecDeque<Request>,
    under_way: Option<(Request, Instant)>,
    outgoing: Vec<u8>,
    /// What the next look tells.
    failed: Option<Error>,
}

impl Client {
    /// Over a connected socket.
    pub(super) fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            decoder: Decoder::default(),
            waiting: VecDeque::new(),
            under_way: None,
            outgoing: Vec::new(),
            failed: None,
        })
    }

    /// Queues a request; false if too many wait already.
    pub(super) fn ask(&mut self, request: Request) -> bool {
        if self.waiting.len() >= MAX_WAITING {
            return false;
        }
        self.waiting.push_back(request);
        true
    }

    /// Whether something waits until the socket is writable.
    pub(super) fn wants_write(&self) -> bool {
        !self.outgoing.is_empty() || (self.under_way.is_none() && !self.waiting.is_empty())
    }

    /// Whether this was asked for and not answered.
    pub(super) fn has_asked(&self, request: &Request) -> bool {
        let under_way = self.under_way.iter().map(|(request, _)| request);
        under_way.chain(&self.waiting).any(|asked| asked == request)
    }

    /// All that was asked for and not answered.
    pub(super) fn unanswered(&self) -> Vec<Request> {
        let under_way = self.under_way.iter().map(|(request, _)| request);
        under_way.chain(&self.waiting).cloned().collect()
    }

    /// When the request under way has waited too long; at once if the connection is of no use.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.failed.is_some() {
            return Some(Instant::now());
        }
        self.under_way.as_ref().map(|(_, sent)| *sent + PATIENCE)
    }

    /// Sends what can be sent and takes what has come; does not block. After an error the connection
    /// is of no use; answers that came before it are given first, and it at the next look.
    pub(super) fn look(&mut self, now: Instant) -> Result<Vec<Answered>, Error> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut answered = Vec::new();
        if let Err(error) = self.exchange(now, &mut answered) {
            if answered.is_empty() {
                return Err(error);
            }
            self.failed = Some(error);
        }
        Ok(answered)
    }

    fn exchange(&mut self, now: Instant, answered: &mut Vec<Answered>) -> Result<(), Error> {
        // Reading goes on though writing fails: why the VMM closed may be in there.
        let sent = self.send(now);
        if self.receive(answered)? {
            return Err(Error::Closed {
                attempt: self.attempt(),
            });
        }
        sent?;
        self.send(now)?;
        match self.deadline() {
            Some(deadline) if deadline <= now => Err(Error::Silent {
                attempt: self.attempt(),
                patience: PATIENCE,
            }),
            _ => Ok(()),
        }
    }

    /// What is under way, for messages.
    pub(super) fn attempt(&self) -> String {
        match &self.under_way {
            Some((request, _)) => request.purpose(),
            None => "keep the connection to Firecracker".to_owned(),
        }
    }

    fn send(&mut self, now: Instant) -> Result<(), Error> {
        if self.under_way.is_none() {
            let Some(request) = self.waiting.pop_front() else {
                return Ok(());
            };
            self.outgoing = request.encode();
            self.under_way = Some((request, now));
        }
        while !self.outgoing.is_empty() {
            match self.socket.write(&self.outgoing) {
                Ok(sent) => drop(self.outgoing.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.broken(source)),
            }
        }
        Ok(())
    }

    /// Reads on; whether the VMM closed the connection.
    fn receive(&mut self, answered: &mut Vec<Answered>) -> Result<bool, Error> {
        let mut buffer = [0; READ_SIZE];
        for _ in 0..MAX_READS {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Ok(true),
                Ok(length) => self.decode(&buffer[..length], answered)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(true),
                Err(source) => return Err(self.broken(source)),
            }
        }
        Ok(false)
    }

    fn decode(&mut self, bytes: &[u8], answered: &mut Vec<Answered>) -> Result<(), Error> {
        let mut answers = Vec::new();
        let decoded = self.decoder.push(bytes, &mut answers);
        for answer in answers {
            // An answer to nothing is a refused connection (503), or a VMM that has lost its way.
            let Some((request, _)) = self.under_way.take() else {
                return Err(Error::Refused {
                    attempt: self.attempt(),
                    fault: answer.fault(),
                });
            };
            answered.push((request, answer));
        }
        decoded.map_err(|source| Error::Protocol {
            attempt: self.attempt(),
            source,
        })
    }

    fn broken(&self, source: io::Error) -> Error {
        let attempt = self.attempt();
        match source.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Error::Closed { attempt },
            _ => Error::Connection { attempt, source },
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_given_before_what_breaks_the_connection() {
        for (after, what) in [("no answer at all\r\n\r\n", "protocol"), ("", "closed")] {
            let (ours, mut theirs) = UnixStream::pair().expect("sockets");
            let mut client = Client::new(ours).expect("a socket");
            client.ask(Request::Pause);
            let now = Instant::now();
            assert!(client.look(now).expect("sent").is_empty());
            let answer = format!("HTTP/1.1 204 \r\n\r\n{after}");
            theirs.write_all(answer.as_bytes()).expect("room");
            drop(theirs);
            let answered = client.look(now).expect("an answer");
            assert_eq!(answered.len(), 1, "{what}");
            assert!(answered[0].1.is_success(), "{what}");
            assert!(client.deadline().is_some(), "the next look is due");
            let error = client.look(now).expect_err("the connection broke");
            assert!(error.to_string().contains(what), "{error}");
            assert!(client.unanswered().is_empty());
        }
    }
}
