//! The API's socket and its connections: no more than ten, each kept until the client closes it.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::fault::{Fault, Kind};
use super::http::{Call, Parser, Reply};
use super::machine::{Action, Machine};

/// Connections at a time; one more is told so and closed.
const MAX_CONNECTIONS: usize = 10;

/// The server, and the machine it is asked for.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    connections: Vec<Connection>,
    faults: Vec<Fault>,
    /// The machine.
    pub machine: Machine,
}

#[derive(Debug)]
struct Connection {
    socket: UnixStream,
    parser: Parser,
    /// Nothing is answered any more.
    hung: bool,
}

/// Whether a connection goes on.
#[derive(Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    Close,
}

impl Server {
    /// Listens on this path, where nothing may be yet.
    pub fn bind(path: &Path, version: (u32, u32), faults: Vec<Fault>) -> Result<Self> {
        let listener =
            UnixListener::bind(path).with_context(|| format!("cannot bind {}", path.display()))?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            connections: Vec::new(),
            faults,
            machine: Machine::new(version),
        })
    }

    /// To be polled for being readable.
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let connections = self.connections.iter().map(|one| one.socket.as_fd());
        std::iter::once(self.listener.as_fd())
            .chain(connections)
            .collect()
    }

    /// Takes connections and answers requests, as far as there are some; what the machine shall do. An
    /// error ends the program, where a fault wants it.
    pub fn turn(&mut self) -> Result<Vec<Action>> {
        self.accept()?;
        let mut actions = Vec::new();
        let mut kept = Vec::new();
        for mut connection in std::mem::take(&mut self.connections) {
            if self.serve(&mut connection, &mut actions)? == Then::GoOn {
                kept.push(connection);
            }
        }
        self.connections = kept;
        Ok(actions)
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            if self.connections.len() >= MAX_CONNECTIONS {
                let _ = socket.write_all(&Reply::Busy.encode());
                continue;
            }
            socket.set_nonblocking(true)?;
            self.connections.push(Connection {
                socket,
                parser: Parser::default(),
                hung: false,
            });
        }
    }

    fn serve(&mut self, connection: &mut Connection, actions: &mut Vec<Action>) -> Result<Then> {
        let mut buffer = [0; 4096];
        loop {
            match connection.socket.read(&mut buffer) {
                Ok(0) => return Ok(Then::Close),
                Ok(length) => connection.parser.push(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Ok(Then::Close),
            }
        }
        while !connection.hung {
            let Some(call) = connection.parser.take() else {
                break;
            };
            let then = match call {
                Ok(call) => self.answer(connection, &call, actions)?,
                Err(reply) => send(&mut connection.socket, &reply.encode()),
            };
            if then == Then::Close {
                return Ok(then);
            }
        }
        Ok(Then::GoOn)
    }

    fn answer(
        &mut self,
        connection: &mut Connection,
        call: &Call,
        actions: &mut Vec<Action>,
    ) -> Result<Then> {
        let name = call.name();
        // An action by its own name as well.
        let action = format!("{name} {}", call.action().unwrap_or_default());
        let wanted = |fault: &&Fault| fault.at == name || fault.at == action;
        let fault = self.faults.iter().find(wanted);
        let Some(kind) = fault.map(|fault| fault.kind) else {
            let (reply, action) = self.machine.handle(call);
            actions.extend(action);
            return Ok(send(&mut connection.socket, &reply.encode()));
        };
        let socket = &mut connection.socket;
        let refusal = Reply::Fault(format!("{name} is refused"));
        let half = |socket: &mut UnixStream| {
            let bytes = refusal.encode();
            send(socket, &bytes[..bytes.len() / 2])
        };
        match kind {
            Kind::Refuse => Ok(send(socket, &refusal.encode())),
            Kind::Broken => Ok(send(socket, &Reply::Malformed(name).encode())),
            Kind::Busy => {
                send(socket, &Reply::Busy.encode());
                Ok(Then::Close)
            }
            Kind::Close => Ok(Then::Close),
            Kind::Garbage => Ok(send(socket, b"SSH-2.0-OpenSSH\r\n\r\n")),
            Kind::Chunked => Ok(send(
                socket,
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            )),
            Kind::Hang => {
                connection.hung = true;
                Ok(Then::GoOn)
            }
            Kind::Half => {
                connection.hung = true;
                Ok(half(socket))
            }
            Kind::Die => {
                half(socket);
                bail!("dies at {name}")
            }
            Kind::Slow => {
                let (reply, action) = self.machine.handle(call);
                actions.extend(action);
                for byte in reply.encode() {
                    std::thread::sleep(Duration::from_micros(200));
                    send(&mut connection.socket, &[byte]);
                }
                Ok(Then::GoOn)
            }
        }
    }
}

/// Answers are small: a socket takes one whole, or its reader is gone.
fn send(socket: &mut UnixStream, bytes: &[u8]) -> Then {
    match socket.write_all(bytes) {
        Ok(()) => Then::GoOn,
        Err(_) => Then::Close,
    }
}
