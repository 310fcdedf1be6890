//! Metrics, health and status over HTTP, on a unix socket and, if asked, on a TCP address.
//!
//! ```text
//!  GET /metrics  numbers, see `metrics`
//!  GET /healthz  200 while all is well, else 503 with what is wrong
//!  GET /status   the status file
//! ```
//! Bounded: few connections, small requests, little time. Nothing can be changed here.

mod answer;
mod listen;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::app::Shared;

pub use listen::serve;

/// Connections at once of one socket; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 32;

/// The longest that one connection lasts.
const LIMIT: Duration = Duration::from_secs(15);

/// Most bytes of a request's head; hyper takes no less.
const MAX_HEAD: usize = 8 << 10;

/// Serves one connection, one request.
async fn connection<S>(stream: S, shared: Arc<Shared>, scrapes: Arc<Semaphore>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (shared, scrapes) = (Arc::clone(&shared), Arc::clone(&scrapes));
        async move {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            Ok::<_, Infallible>(answer::answer(&method, &path, shared, scrapes).await)
        }
    });
    let served = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    // A client that is slow or gone is its own trouble.
    let _ = timeout(LIMIT, served).await;
}
