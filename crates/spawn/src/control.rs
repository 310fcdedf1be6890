//! The control socket: clients that run programs in the guest, stop the VM, or ask after it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ignite_host::signal::{PollFd, PollFlags, poll};
use ignite_wire::agent::{Frame, Message};
use rustix::fs::Mode;

use crate::stream::FrameStream;
use ignite_wire::agent::relay::{ClientId, refusal};

/// Name of the socket in the VM's runtime directory.
pub const SOCKET: &str = "control.sock";

/// Connections at one time with which programs and consoles may be begun.
const MAX_SESSIONS: usize = 64;

/// Connections at one time: there is always room for who ends the VM.
const MAX_CLIENTS: usize = MAX_SESSIONS + 16;

/// How long a client may be connected that asks for nothing: it takes the room of others.
const SILENT: Duration = Duration::from_secs(10);

/// Bytes that may wait for one client: its channels' windows, and the heads of their frames.
const CLIENT_QUEUE: usize = 3 << 20;

/// The socket and who is connected.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    clients: BTreeMap<ClientId, FrameStream>,
    /// Who has not said anything yet, and until when he may wait.
    silent: BTreeMap<ClientId, Instant>,
    last: ClientId,
}

impl Control {
    /// Makes the socket in `directory`, for root alone. One that is left of a dead supervisor is
    /// replaced: whoever holds the liveness lock is the only one.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join(SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // A socket's address has room for some hundred bytes only, a path may be longer.
        let handle = File::open(directory)?;
        let short = format!("/proc/self/fd/{}/{SOCKET}", handle.as_raw_fd());
        let umask = rustix::process::umask(Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(short);
        rustix::process::umask(umask);
        let listener = listener?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            path,
            clients: BTreeMap::new(),
            silent: BTreeMap::new(),
            last: 0,
        })
    }

    /// Readable when somebody connects.
    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Takes one connection. One too many is told so, and closed.
    pub fn accept(&mut self, now: Instant) -> io::Result<()> {
        let (socket, _) = match self.listener.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            accepted => accepted?,
        };
        socket.set_nonblocking(true)?;
        let mut stream = FrameStream::new(socket, CLIENT_QUEUE);
        if self.clients.len() < MAX_CLIENTS {
            self.last += 1;
            self.clients.insert(self.last, stream);
            self.silent.insert(self.last, now + SILENT);
        } else {
            // One that is gone already needs no answer.
            let _ = stream.send(&full());
        }
        Ok(())
    }

    /// This client asked for something.
    pub fn spoke(&mut self, id: ClientId) {
        self.silent.remove(&id);
    }

    /// When the next one has asked for nothing for too long.
    pub fn next(&self) -> Option<Instant> {
        self.silent.values().min().copied()
    }

    /// Sends those away who have asked for nothing for too long; all that came until now was heard.
    pub fn send_away(&mut self, now: Instant) {
        let late = self.silent.iter().filter(|(_, until)| **until <= now);
        let late: Vec<ClientId> = late.map(|(&id, _)| id).collect();
        for id in late {
            let text = format!("nothing was asked for within {} s", SILENT.as_secs());
            self.send(id, &refusal(0, &text));
            self.disconnect(id);
        }
    }

    /// Whether so many are connected that no more sessions begin.
    pub fn is_crowded(&self) -> bool {
        self.clients.len() > MAX_SESSIONS
    }

    /// Everybody connected.
    pub fn clients(&self) -> impl Iterator<Item = (ClientId, &FrameStream)> {
        self.clients.iter().map(|(&id, stream)| (id, stream))
    }

    /// One connection, if it is there still.
    pub fn client(&mut self, id: ClientId) -> Option<&mut FrameStream> {
        self.clients.get_mut(&id)
    }

    /// Sends to a client; false if it is gone or reads too slowly.
    pub fn send(&mut self, id: ClientId, frame: &Frame) -> bool {
        self.client(id)
            .is_some_and(|stream| stream.send(frame).is_ok())
    }

    /// Sends what waits for clients, to those who read it within that time.
    pub fn deliver(&mut self, within: Duration) {
        let deadline = Instant::now() + within;
        loop {
            self.clients
                .retain(|_, stream| stream.flush().is_ok() && stream.waiting() > 0);
            let streams = self.clients.values();
            let mut fds: Vec<PollFd<'_>> = streams
                .map(|stream| PollFd::new(stream, PollFlags::OUT))
                .collect();
            let left = deadline.saturating_duration_since(Instant::now());
            if fds.is_empty() || left.is_zero() || poll(&mut fds, Some(left)).is_err() {
                return;
            }
        }
    }

    /// Closes a connection.
    pub fn disconnect(&mut self, id: ClientId) {
        self.clients.remove(&id);
        self.silent.remove(&id);
    }
}

/// What one client too many hears.
fn full() -> Frame {
    Frame::link(Message::Error {
        message: format!("the VM's supervisor serves {MAX_CLIENTS} clients, as many as it may"),
        hint: Some(format!(
            "try again when some have ended; those that ask for nothing are sent away after {} s",
            SILENT.as_secs()
        )),
    })
}

impl Drop for Control {
    fn drop(&mut self) {
        // It may be gone with its directory.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use ignite_wire::agent::Decoder;

    use super::*;

    /// One client of a socket in a directory, taken at a time.
    fn connect(control: &mut Control, directory: &Path, now: Instant) -> UnixStream {
        let stream = UnixStream::connect(directory.join(SOCKET)).expect("it listens");
        control.accept(now).expect("one waits");
        stream
    }

    /// The only frame that somebody was sent before the end of the connection.
    fn last_word(mut stream: UnixStream) -> Message {
        let (mut bytes, mut decoder) = (Vec::new(), Decoder::new());
        stream.read_to_end(&mut bytes).expect("it is closed");
        decoder.push(&bytes);
        decoder.next().expect("frames").expect("one").message
    }

    #[test]
    fn one_too_many_is_told_so_and_the_silent_make_room() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path();
        let (mut control, start) = (Control::open(path).expect("free"), Instant::now());
        let mut clients: Vec<_> = (0..MAX_CLIENTS)
            .map(|_| connect(&mut control, path, start))
            .collect();
        let Message::Error { message, hint } = last_word(connect(&mut control, path, start)) else {
            panic!("it is taken");
        };
        assert!(
            message.contains("80 clients") && hint.is_some(),
            "{message}"
        );
        // The first one asks for something.
        control.spoke(1);
        let late = control.next().expect("the others say nothing");
        assert_eq!(late, start + SILENT);
        control.send_away(late - Duration::from_millis(1));
        assert_eq!(control.clients().count(), MAX_CLIENTS);
        let until = late + Duration::from_secs(1);
        control.disconnect(2);
        drop(connect(&mut control, path, start + Duration::from_secs(1)));
        control.send_away(late);
        assert_eq!(
            control.clients().count(),
            2,
            "who asked, and who came later"
        );
        let told = last_word(clients.pop().expect("80"));
        assert!(matches!(told, Message::Error { message, .. } if message.contains("within 10 s")));
        assert_eq!(control.next(), Some(until));
        control.send_away(until);
        assert!(control.client(1).is_some() && control.clients().count() == 1);
        assert_eq!(control.next(), None);
    }
}
