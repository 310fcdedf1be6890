//! A bounded HTTP/1.1 server: one request for each connection, little memory, little time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Health;
use super::request::{self, Method, Response};

/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 8 << 10;

/// The longest that one connection lasts.
const LIMIT: Duration = Duration::from_secs(5);

/// Connections at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 32;

/// How often a client's leftovers are read before it is cut off: see [`finish`].
const MAX_LEFTOVERS: usize = 8;

/// How long to wait when the kernel can give no connection: for lack of file descriptors, as a rule.
const PAUSE: Duration = Duration::from_millis(200);

/// Errors of the server.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The address cannot be had.
    #[error("cannot listen on {address} for health checks")]
    Listen {
        /// It.
        address: SocketAddr,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl HealthError {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        let Self::Listen { address, source } = self;
        match source.kind() {
            io::ErrorKind::AddrInUse => Some(format!(
                "another program has port {}: choose another port, or 0 for no health checks",
                address.port()
            )),
            io::ErrorKind::AddrNotAvailable => {
                Some(format!("this host has no address {}", address.ip()))
            }
            _ => None,
        }
    }
}

/// The server, listening.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Listens on `address`; port 0 means that nobody wants it.
    pub async fn bind(address: SocketAddr) -> Result<Option<Self>, HealthError> {
        if address.port() == 0 {
            return Ok(None);
        }
        match TcpListener::bind(address).await {
            Ok(listener) => Ok(Some(Self::new(listener))),
            Err(source) => Err(HealthError::Listen { address, source }),
        }
    }

    /// On a socket that listens already.
    pub fn new(listener: TcpListener) -> Self {
        Self { listener }
    }

    /// Answers for ever. Dropping the future ends all connections.
    pub async fn serve(self, health: Arc<Health>) {
        let mut connections = JoinSet::new();
        loop {
            while connections.len() >= MAX_CONNECTIONS {
                connections.join_next().await;
            }
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(connection(stream, Arc::clone(&health)));
                    }
                    Err(error) => {
                        tracing::debug!(%error, "no connection for a health check");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                // Those that ended are let go of.
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn connection(mut stream: TcpStream, health: Arc<Health>) {
    // A client that is slow or gone is its own trouble.
    let _ = tokio::time::timeout(LIMIT, talk(&mut stream, &health)).await;
}

async fn talk(stream: &mut TcpStream, health: &Health) -> io::Result<()> {
    let (method, response) = match head(stream).await? {
        Some(head) => match request::parse(&head) {
            Ok((method, path)) => (method, request::answer(path, health)),
            Err(refusal) => (Method::Get, refusal.response()),
        },
        None => {
            let text = "the request is too large";
            let status = "431 Request Header Fields Too Large";
            (Method::Get, Response::text(status, text))
        }
    };
    stream.write_all(&response.bytes(method)).await?;
    finish(stream).await
}

/// The head of the request, up to the empty line; none if it is too large. A client that closes before
/// that gets told that this is no request.
async fn head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    while !ended(&head) {
        if head.len() >= MAX_HEAD {
            return Ok(None);
        }
        let room = MAX_HEAD - head.len();
        if stream.take(room as u64).read_buf(&mut head).await? == 0 {
            return Ok(Some(Vec::new()));
        }
    }
    Ok(Some(head))
}

fn ended(head: &[u8]) -> bool {
    let has = |end: &[u8]| head.windows(end.len()).any(|window| window == end);
    has(b"\r\n\r\n") || has(b"\n\n")
}

/// Closes so that the answer arrives: the kernel answers bytes that nobody read with a reset, which
/// would overtake it.
async fn finish(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut leftover = [0; 1024];
    for _ in 0..MAX_LEFTOVERS {
        if stream.read(&mut leftover).await? == 0 {
            break;
        }
    }
    Ok(())
}
