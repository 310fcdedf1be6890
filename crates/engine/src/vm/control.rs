//! The engine's end of a supervisor's control socket.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ignite_wire::agent::{self, Decoder, Frame, Message};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

/// The socket's name in a VM's runtime directory.
pub const SOCKET: &str = "control.sock";

/// Bytes of one read.
const READ_SIZE: usize = 64 * 1024;

/// Errors of talking to a supervisor.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens.
    #[error("cannot reach the VM's supervisor at {path}")]
    Connect {
        /// The control socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is there, and says nothing.
    #[error("the VM's supervisor does not answer")]
    Silent,
    /// The connection broke.
    #[error("the connection to the VM's supervisor broke")]
    Broken(#[source] io::Error),
    /// The supervisor closed the connection: the VM ended.
    #[error("the VM ended")]
    Ended,
    /// It closes the connection at what it does not know, and is there still.
    #[error("the VM's supervisor is of an earlier version of Ignite, which cannot do that")]
    Earlier,
    /// Bytes that are no frames.
    #[error("the VM's supervisor does not speak our protocol")]
    Protocol(#[source] agent::Error),
    /// The supervisor refused.
    #[error("{message}")]
    Refused {
        /// What failed.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { hint, .. } => hint.clone(),
            Self::Connect { .. } | Self::Ended => {
                Some("see how the VM is with: ignite ps -a".into())
            }
            Self::Earlier => {
                Some("stop the VM and start it: ignite stop VM; ignite start VM".into())
            }
            Self::Silent => Some("it hangs, or was stopped; end it with: ignite kill VM".into()),
            Self::Broken(_) | Self::Protocol(_) => None,
        }
    }
}

/// An open connection; never waits but in [`Control::call`] and [`Control::send`].
#[derive(Debug)]
pub struct Control {
    stream: UnixStream,
    decoder: Decoder,
    outgoing: Vec<u8>,
}

impl Control {
    /// Connects to the supervisor whose runtime directory this is.
    pub fn connect(run_dir: &Path) -> Result<Self, Error> {
        let path = run_dir.join(SOCKET);
        let stream = connect(&path).map_err(|source| Error::Connect { path, source })?;
        Ok(Self {
            stream,
            decoder: Decoder::new(),
            outgoing: Vec::new(),
        })
    }

    /// Queues a frame.
    pub fn queue(&mut self, channel: u32, message: Message) -> Result<(), Error> {
        Frame { channel, message }
            .encode(&mut self.outgoing)
            .map_err(Error::Protocol)
    }

    /// Bytes that wait to be sent.
    pub fn queued(&self) -> usize {
        self.outgoing.len()
    }

    /// Sends as much of what is queued as the socket takes now.
    pub fn flush(&mut self) -> Result<(), Error> {
        while !self.outgoing.is_empty() {
            match self.stream.write(&self.outgoing) {
                Ok(sent) => drop(self.outgoing.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    return Err(Error::Ended);
                }
                Err(error) => return Err(Error::Broken(error)),
            }
        }
        Ok(())
    }

    /// Sends all that is queued, as long as somebody takes it soon.
    pub fn deliver(&mut self) -> Result<(), Error> {
        const WITHIN: Duration = Duration::from_secs(5);
        let deadline = Instant::now() + WITHIN;
        self.flush()?;
        while self.queued() > 0 {
            self.wait(deadline)?;
            self.flush()?;
        }
        Ok(())
    }

    /// The next frame that has arrived whole; none if more bytes must come first.
    pub fn receive(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            if let Some(frame) = self.decoder.next().map_err(Error::Protocol)? {
                return Ok(Some(frame));
            }
            let mut buffer = [0; READ_SIZE];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Error::Ended),
                Ok(read) => self.decoder.push(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(Error::Ended);
                }
                Err(error) => return Err(Error::Broken(error)),
            }
        }
    }

    /// Sends one request of the link itself, and waits so long for the answer that `take` takes.
    pub fn call<T>(
        mut self,
        request: Message,
        patience: Duration,
        take: impl Fn(Message) -> Option<T>,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + patience;
        self.queue(0, request)?;
        loop {
            self.flush()?;
            while let Some(frame) = self.receive()? {
                if let Message::Error { message, hint } = frame.message {
                    return Err(Error::Refused { message, hint });
                }
                if let Some(answer) = take(frame.message) {
                    return Ok(answer);
                }
            }
            self.wait(deadline)?;
        }
    }

    /// Waits until there is something to read, or room for what is queued.
    fn wait(&self, deadline: Instant) -> Result<(), Error> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::Silent);
        }
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, self.queued() > 0);
        let limit = Timespec::try_from(left).ok();
        match poll(&mut [PollFd::new(self, flags)], limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(Error::Broken(error.into())),
        }
    }

    /// Sends one request of the link itself, to which no answer is waited for.
    pub fn send(&mut self, message: Message) -> Result<(), Error> {
        self.stream.set_nonblocking(false).map_err(Error::Broken)?;
        self.queue(0, message)?;
        self.flush()
    }
}

/// Does not wait for a supervisor that takes no connections any more.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
