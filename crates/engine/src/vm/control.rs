//! The engine's end of a supervisor's control socket.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ignite_wire::agent::{self, Decoder, ExitStatus, Frame, Message};
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
    /// What comes cannot be passed on here.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// What should go cannot be read here.
    #[error("cannot read the input")]
    Input(#[source] io::Error),
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
            Self::Output(source) => ignite_host::error::hint(source)
                .or_else(|| Some("see where the output goes".into())),
            Self::Input(source) => ignite_host::error::hint(source)
                .or_else(|| Some("give a file, a pipe or a terminal as input".into())),
        }
    }
}

/// An open connection; never waits but in [`Control::call`] and [`Control::deliver`].
#[derive(Debug)]
pub struct Control {
    stream: UnixStream,
    decoder: Decoder,
    outgoing: Vec<u8>,
    /// Nobody reads what we send; what was sent to us before may still be read.
    deaf: bool,
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
            deaf: false,
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

    /// Sends as much of what is queued as the socket takes now. Once the other end is closed, nothing is
    /// sent any more; that is told by [`Control::receive`], behind the last of what it sent.
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.deaf {
            self.outgoing.clear();
        }
        while !self.outgoing.is_empty() {
            match self.stream.write(&self.outgoing) {
                Ok(sent) => drop(self.outgoing.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_closed(&error) => {
                    self.deaf = true;
                    self.outgoing.clear();
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
                return Ok(Some(shown(frame)));
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
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

/// The same frame, with what a guest may have said in it fit for a person's terminal.
fn shown(mut frame: Frame) -> Frame {
    match &mut frame.message {
        Message::Error { message, hint } => {
            *message = plain(message);
            *hint = hint.as_deref().map(plain);
        }
        Message::Exit {
            status: ExitStatus::NotFound { message } | ExitStatus::NotExecutable { message },
        } => *message = plain(message),
        _ => {}
    }
    frame
}

/// Text of a guest's on one line of bounded length: nothing in it moves the cursor, or turns what is
/// around it.
pub(super) fn plain(text: &str) -> String {
    const LENGTH: usize = 1000;
    let turns = |letter| matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let safe = |letter: char| match letter {
        '\n' => ' ',
        _ if letter.is_control() || turns(letter) => '?',
        _ => letter,
    };
    text.chars().take(LENGTH).map(safe).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Control, UnixStream) {
        let (stream, far) = UnixStream::pair().expect("a pair of sockets");
        stream.set_nonblocking(true).expect("a socket");
        let control = Control {
            stream,
            decoder: Decoder::new(),
            outgoing: Vec::new(),
            deaf: false,
        };
        (control, far)
    }

    fn say(far: &mut UnixStream, message: Message) {
        let mut bytes = Vec::new();
        let frame = Frame {
            channel: 1,
            message,
        };
        frame.encode(&mut bytes).expect("a frame");
        far.write_all(&bytes).expect("room");
    }

    #[test]
    fn what_was_said_before_the_end_is_heard_though_nobody_listens() {
        let (mut control, mut far) = pair();
        say(&mut far, Message::Stdout(b"last".to_vec()));
        drop(far);
        control
            .queue(1, Message::Credit { bytes: 1 })
            .expect("a frame");
        control.flush().expect("nothing to complain of yet");
        assert_eq!(control.queued(), 0);
        let last = control.receive().expect("a frame").expect("whole");
        assert_eq!(last.message, Message::Stdout(b"last".to_vec()));
        assert!(matches!(control.receive(), Err(Error::Ended)));
    }

    #[test]
    fn a_guests_words_are_fit_for_a_terminal() {
        let (mut control, mut far) = pair();
        let message = "no\x1b[2J\u{202e}\nfile".to_owned();
        say(
            &mut far,
            Message::Error {
                message: message.clone(),
                hint: Some("x".repeat(5000)),
            },
        );
        say(
            &mut far,
            Message::Exit {
                status: ExitStatus::NotFound { message },
            },
        );
        let mut next = || control.receive().expect("a frame").expect("whole").message;
        let expected = "no?[2J? file".to_owned();
        let hint = Some("x".repeat(1000));
        assert_eq!(
            next(),
            Message::Error {
                message: expected.clone(),
                hint
            }
        );
        let status = ExitStatus::NotFound { message: expected };
        assert_eq!(next(), Message::Exit { status });
    }
}
