//! The entrance's side of the conversation: HTTP/1.1 over TLS, one request for each connection.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_rustls::TlsAcceptor;

use super::Settings;
use super::admit::{ConfigError, admit, server_config};
use super::message::{About, MAX_REQUEST, Reason, Refused};
use crate::agent::chain;
use crate::pki::AuthorityFiles;

/// The longest that one connection lasts.
const LIMIT: Duration = Duration::from_secs(10);
/// Connections at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 32;
/// Threads at once that read files and wait for locks.
const MAX_THREADS: usize = 4;
/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// How long to wait when the kernel can give no connection: for lack of file descriptors, as a rule.
const PAUSE: Duration = Duration::from_millis(200);

/// Errors of the entrance.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for hosts that want to join")]
pub struct ListenError {
    /// Where.
    address: SocketAddr,
    /// The kernel's answer.
    source: io::Error,
}

/// The entrance, listening.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// What the connections share.
#[derive(Debug)]
struct Shared {
    files: AuthorityFiles,
    endpoints: Vec<String>,
    threads: Arc<Semaphore>,
    /// Whether it is known to the log that there is no certificate to show.
    told: AtomicBool,
}

impl Server {
    /// Listens; the files need not be there yet.
    pub async fn bind(settings: Settings) -> Result<Self, ListenError> {
        let address = settings.address;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ListenError { address, source })?;
        let shared = Shared {
            files: AuthorityFiles::new(settings.authority),
            endpoints: settings.endpoints,
            threads: Arc::new(Semaphore::new(MAX_THREADS)),
            told: AtomicBool::new(false),
        };
        Ok(Self {
            listener,
            shared: Arc::new(shared),
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers for ever. Dropping the future ends all connections.
    pub async fn serve(self) {
        let mut connections = JoinSet::new();
        loop {
            while connections.len() >= MAX_CONNECTIONS {
                connections.join_next().await;
            }
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        connections.spawn(connection(stream, peer, Arc::clone(&self.shared)));
                    }
                    Err(error) => {
                        tracing::debug!(%error, "no connection for a host that wants to join");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                // Those that ended are let go of.
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    match tokio::time::timeout(LIMIT, talk(stream, peer, shared)).await {
        Ok(Ok(())) => {}
        // Anybody may connect and talk nonsense: that is not for every log.
        Ok(Err(error)) => tracing::debug!("{peer}: {}", chain(&*error)),
        Err(_) => tracing::debug!("{peer} was too slow"),
    }
}

async fn talk(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
) -> Result<(), Box<dyn StdError + Send + Sync>> {
    let config = shared
        .on_thread(|shared| server_config(&shared.files))
        .await?;
    shared.tell(&config);
    let stream = TlsAcceptor::from(config?).accept(stream).await?;
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(request, peer, shared).await) }
    });
    http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

impl Shared {
    /// Does something that reads files and waits for locks. Who is gone in the meantime leaves a thread
    /// behind that others are counted with.
    async fn on_thread<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        let permit = Arc::clone(&self.threads).acquire_owned().await;
        let shared = Arc::clone(self);
        let held = move || {
            let done = work(&shared);
            drop(permit);
            done
        };
        spawn_blocking(held).await
    }

    /// Says once that nobody can join, and why.
    fn tell<T>(&self, config: &Result<T, ConfigError>) {
        match config {
            Ok(_) => self.told.store(false, Ordering::Relaxed),
            Err(error) if !self.told.swap(true, Ordering::Relaxed) => {
                tracing::error!("no host can join: {}", chain(error));
            }
            Err(_) => {}
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    shared: Arc<Shared>,
) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/v1/join") => join(request, peer, shared).await,
        (&Method::GET, "/v1/" | "/v1") => json(StatusCode::OK, &about()),
        (_, "/v1/join" | "/v1/" | "/v1") => {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            refuse(status, "the method is POST for /v1/join, GET for /v1/")
        }
        _ => refuse(StatusCode::NOT_FOUND, "there are /v1/join and /v1/ only"),
    }
}

async fn join(
    request: Request<Incoming>,
    peer: SocketAddr,
    shared: Arc<Shared>,
) -> Response<Full<Bytes>> {
    let body = match Limited::new(request.into_body(), MAX_REQUEST)
        .collect()
        .await
    {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large");
        }
        Err(_) => return refuse(StatusCode::BAD_REQUEST, "the request breaks off"),
    };
    let admitted =
        shared.on_thread(move |shared| admit(&shared.files, &shared.endpoints, peer, &body));
    match admitted.await {
        Ok(Ok(reply)) => json(StatusCode::OK, &reply),
        Ok(Err((status, refused))) => json(status, &refused),
        Err(_) => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            refuse(status, "the agent of the first host is ending")
        }
    }
}

fn about() -> About {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    About {
        service: "entrance of an Ignite overlay: hosts with a token get a certificate here".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        now: now.unwrap_or_default().as_secs(),
    }
}

fn refuse(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    let refused = Refused {
        reason: match status.is_server_error() {
            true => Reason::Fault,
            false => Reason::Request,
        },
        message: message.to_owned(),
    };
    json(status, &refused)
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    let text = serde_json::to_vec(value).expect("strings and numbers can be written");
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
