//! The control socket: clients that run programs in the guest, stop the VM, or ask after it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ignite_host::signal::{PollFd, PollFlags, poll};
use ignite_wire::agent::Frame;
use rustix::fs::Mode;

use crate::relay::ClientId;
use crate::stream::FrameStream;

/// Name of the socket in the VM's runtime directory.
pub const SOCKET: &str = "control.sock";

/// Connections at one time with which programs and consoles may be begun.
const MAX_SESSIONS: usize = 64;

/// Connections at one time: there is always room for who ends the VM.
const MAX_CLIENTS: usize = MAX_SESSIONS + 16;

/// Bytes that may wait for one client: its channels' windows, and the heads of their frames.
const CLIENT_QUEUE: usize = 3 << 20;

/// The socket and who is connected.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    clients: BTreeMap<ClientId, FrameStream>,
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
            last: 0,
        })
    }

    /// Readable when somebody connects.
    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Takes one connection. One too many is closed.
    pub fn accept(&mut self) -> io::Result<()> {
        let (socket, _) = match self.listener.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            accepted => accepted?,
        };
        if self.clients.len() < MAX_CLIENTS {
            socket.set_nonblocking(true)?;
            self.last += 1;
            let stream = FrameStream::new(socket, CLIENT_QUEUE);
            self.clients.insert(self.last, stream);
        }
        Ok(())
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
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // It may be gone with its directory.
        let _ = std::fs::remove_file(&self.path);
    }
}
