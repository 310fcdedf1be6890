//! HTTP/1.1 over a unix socket, a request at a time: how local engines are spoken to.
//!
//! Blocking, with one deadline for the whole exchange and a bound for what is read: whoever answers may
//! say as much and as slowly as it likes. Each request has a connection of its own. Not to be called on a
//! thread of an async runtime.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

pub use hyper::{HeaderMap, Method};

/// For an exchange, unless said otherwise.
const DEADLINE: Duration = Duration::from_secs(30);
/// Bytes of an answer's body, unless said otherwise.
const LIMIT: usize = 1 << 20;
/// Bytes of an answer's head.
const HEAD: usize = 64 * 1024;
/// Between two attempts where the server's queue is full.
const RETRY: Duration = Duration::from_millis(10);

/// A request that is not sent yet.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before send()"]
pub struct Request {
    method: Method,
    path: String,
    body: Option<(&'static str, Vec<u8>)>,
    deadline: Duration,
    limit: usize,
    stop: Option<Arc<OwnedFd>>,
}

/// What came back, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Of HTTP.
    pub status: u16,
    /// Its header.
    pub headers: HeaderMap,
    /// Its body, whole.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No socket of that name.
    #[error("there is no socket {}", socket.display())]
    Absent {
        /// Where it should be.
        socket: PathBuf,
    },
    /// Its permissions keep us out.
    #[error("permission to use the socket {} is denied", socket.display())]
    Forbidden {
        /// Which one.
        socket: PathBuf,
    },
    /// The file is there, but no server.
    #[error("nobody listens at the socket {}", socket.display())]
    NobodyListens {
        /// Which one.
        socket: PathBuf,
    },
    /// Another refusal.
    #[error("cannot connect to the socket {}", socket.display())]
    Connect {
        /// Which one.
        socket: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// No answer, or not all of it.
    #[error("the server at {} has not answered within {deadline:?}", socket.display())]
    TimedOut {
        /// Where.
        socket: PathBuf,
        /// How long was waited.
        deadline: Duration,
    },
    /// Nobody wants the answer any more.
    #[error("the answer of the server at {} is not waited for", socket.display())]
    CalledOff {
        /// Where.
        socket: PathBuf,
    },
    /// More than anything sensible.
    #[error("the server at {} answers with more than is taken", socket.display())]
    TooLong {
        /// Where.
        socket: PathBuf,
    },
    /// It hung up, or speaks another language.
    #[error("the server at {} does not answer as HTTP wants it", socket.display())]
    NotHttp {
        /// Where.
        socket: PathBuf,
        /// What failed.
        source: hyper::Error,
    },
    /// A path that no request can be for.
    #[error("{path:?} is not a path of HTTP")]
    Path {
        /// As it was given.
        path: String,
        /// What is wrong with it.
        source: hyper::http::Error,
    },
    /// No event loop for the exchange.
    #[error("cannot prepare a connection to {}", socket.display())]
    Runtime {
        /// Where to.
        socket: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Error {
    /// What the person can do about it, whoever the server is.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Forbidden { .. } => Some("run this as root, or with sudo".into()),
            Self::Connect { source, .. } | Self::Runtime { source, .. } => {
                crate::error::hint(source)
            }
            Self::Absent { .. } | Self::NobodyListens { .. } => {
                Some("start the service that listens there".into())
            }
            Self::TimedOut { .. } => Some("see the log of the service that listens there".into()),
            Self::TooLong { .. } | Self::NotHttp { .. } => {
                Some("is it the right service that listens there?".into())
            }
            Self::CalledOff { .. } | Self::Path { .. } => None,
        }
    }
}

impl Request {
    /// A request for `path` (with its query, all percent-encoded).
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            body: None,
            deadline: DEADLINE,
            limit: LIMIT,
            stop: None,
        }
    }

    /// With a body of this media type.
    pub fn body(mut self, media: &'static str, bytes: Vec<u8>) -> Self {
        self.body = Some((media, bytes));
        self
    }

    /// How long the exchange may take, from connecting to the answer's last byte; 30 seconds unless said.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The same, where it may not take as long already.
    pub fn at_most(mut self, deadline: Duration) -> Self {
        self.deadline = self.deadline.min(deadline);
        self
    }

    /// Is called off as soon as this descriptor is readable, if there is one. The server may do what it was
    /// asked for all the same.
    pub fn until(mut self, stop: Option<Arc<OwnedFd>>) -> Self {
        self.stop = stop;
        self
    }

    /// How many bytes the answer's body may have; 1 MiB unless said.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Sends it to the server at `socket` and waits for the whole answer.
    pub fn send(self, socket: &Path) -> Result<Answer, Error> {
        let unprepared = |source| Error::Runtime {
            socket: socket.to_owned(),
            source,
        };
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(unprepared)?
            .block_on(async {
                let stopped = stopped(self.stop.clone()).map_err(unprepared)?;
                tokio::select! {
                    biased;
                    () = stopped => Err(Error::CalledOff { socket: socket.to_owned() }),
                    answer = self.in_time(socket) => answer,
                }
            })
    }

    async fn in_time(self, socket: &Path) -> Result<Answer, Error> {
        let deadline = self.deadline;
        let late = |_| Error::TimedOut {
            socket: socket.to_owned(),
            deadline,
        };
        timeout(deadline, self.exchange(socket))
            .await
            .map_err(late)?
    }

    async fn exchange(self, socket: &Path) -> Result<Answer, Error> {
        let limit = self.limit;
        let request = self.into_hyper()?;
        let stream = connect(socket).await?;
        let broken = |source| broken(socket, source);
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // It ends with the runtime, if not before.
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = response.into_parts();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: read(socket, body, limit).await?,
        })
    }

    fn into_hyper(self) -> Result<hyper::Request<Full<Bytes>>, Error> {
        let mut request = hyper::Request::builder()
            .method(self.method)
            .uri(&self.path)
            // A server insists on the header; what it says is of no interest behind a socket.
            .header(HOST, "localhost")
            .header(CONNECTION, "close");
        let body = match self.body {
            Some((media, bytes)) => {
                request = request.header(CONTENT_TYPE, media);
                Full::from(bytes)
            }
            None => Full::default(),
        };
        let path = self.path;
        request
            .body(body)
            .map_err(|source| Error::Path { path, source })
    }
}

/// Ends when the descriptor is readable; never where there is none.
fn stopped(stop: Option<Arc<OwnedFd>>) -> io::Result<impl Future<Output = ()>> {
    let watched = |stop| {
        // SAFETY: an owned descriptor is open, and the same one, as long as it is; the value made here
        // owns a share of it.
        unsafe { AsyncFd::register_with_interest(stop, Interest::READABLE) }
    };
    let stop = stop.map(watched).transpose()?;
    Ok(async move {
        match stop {
            // One that cannot be waited for is as good as one that is readable.
            Some(stop) => drop(stop.readable().await),
            None => std::future::pending().await,
        }
    })
}

async fn connect(socket: &Path) -> Result<UnixStream, Error> {
    loop {
        match UnixStream::connect(socket).await {
            Ok(stream) => return Ok(stream),
            // The queue of a busy server is full, and the kernel does not wait in our place.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(RETRY).await,
            Err(error) => return Err(refused(socket, error)),
        }
    }
}

fn refused(socket: &Path, source: io::Error) -> Error {
    let socket = socket.to_owned();
    match source.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => Error::Absent { socket },
        Some(libc::EACCES | libc::EPERM) => Error::Forbidden { socket },
        Some(libc::ECONNREFUSED) => Error::NobodyListens { socket },
        _ => Error::Connect { socket, source },
    }
}

async fn read(socket: &Path, body: Incoming, limit: usize) -> Result<Bytes, Error> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err(match error.downcast::<hyper::Error>() {
            Ok(source) => broken(socket, *source),
            Err(error) => {
                debug_assert!(error.is::<LengthLimitError>(), "{error}");
                Error::TooLong {
                    socket: socket.to_owned(),
                }
            }
        }),
    }
}

fn broken(socket: &Path, source: hyper::Error) -> Error {
    let socket = socket.to_owned();
    match source.is_parse_too_large() {
        true => Error::TooLong { socket },
        false => Error::NotHttp { socket, source },
    }
}

#[cfg(test)]
mod tests;
