//! Connections, each with one request.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::answer::{self, Answer};
use crate::hub::{Hub, to_json};
use crate::request::{Route, admit};
use crate::source::{Source, Trouble};
use crate::{Access, stream};

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 64;

/// Streams at once, of those.
pub(crate) const STREAMS: usize = 16;

/// Until the head of a request has come.
const HEAD: Duration = Duration::from_secs(5);

/// The longest that a connection lasts: a little more than a stream does.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// Most bytes of a request's head; hyper takes no less.
const MAX_HEAD: usize = 8 << 10;

/// How long to wait when the kernel can give no connection: for lack of descriptors, as a rule.
const PAUSE: Duration = Duration::from_millis(200);

/// For streams to say good-bye.
const FAREWELL: Duration = Duration::from_secs(1);

/// What all connections share.
pub struct Server {
    source: Arc<dyn Source>,
    access: Access,
    hub: Arc<Hub>,
    streams: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl Server {
    /// For whoever `access` lets in, until `stop` is true.
    pub fn new(source: Arc<dyn Source>, access: Access, stop: watch::Receiver<bool>) -> Arc<Self> {
        Arc::new(Self {
            hub: Arc::new(Hub::new(Arc::clone(&source))),
            source,
            access,
            streams: Arc::new(Semaphore::new(STREAMS)),
            stop,
        })
    }

    /// Serves until it is to stop.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let hub = Arc::clone(&self.hub);
        let sampler = tokio::spawn(async move { hub.run().await });
        let mut stop = self.stop.clone();
        let mut talks = JoinSet::new();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            () = Arc::clone(&self).accept(&listener, &mut talks) => {}
        }
        drop(listener);
        let all = async { while talks.join_next().await.is_some() {} };
        // Who does not hear it is cut off.
        let _ = timeout(FAREWELL, all).await;
        sampler.abort();
    }

    async fn accept(self: Arc<Self>, listener: &TcpListener, talks: &mut JoinSet<()>) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        while let Ok(place) = Arc::clone(&room).acquire_owned().await {
            while talks.try_join_next().is_some() {}
            let Ok((stream, _)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let server = Arc::clone(&self);
            talks.spawn(async move {
                server.connection(TokioIo::new(stream)).await;
                drop(place);
            });
        }
    }

    async fn connection(self: Arc<Self>, stream: TokioIo<tokio::net::TcpStream>) {
        let service = service_fn(move |request: Request<Incoming>| {
            let server = Arc::clone(&self);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .keep_alive(false)
            .max_buf_size(MAX_HEAD)
            .serve_connection(stream, service);
        // A client that is slow or gone is its own trouble.
        let _ = timeout(LIMIT, served).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (parts, _) = request.into_parts();
        let route = match admit(&parts, &self.access) {
            Ok(route) => route,
            Err((status, why)) => return answer::text(status, why),
        };
        match route {
            Route::Asset(asset) => answer::asset(asset),
            Route::Events => self.events(),
            Route::State => {
                self.ask(|source| Ok(to_json(&source.state())), answer::json)
                    .await
            }
            Route::Vm(uid) => self.ask(move |source| source.vm(uid), answer::json).await,
            Route::Console(uid, place) => {
                self.ask(move |source| source.console(uid, place), answer::console)
                    .await
            }
        }
    }

    fn events(&self) -> Answer {
        let Ok(place) = Arc::clone(&self.streams).try_acquire_owned() else {
            let text = "too many pages are open: close one";
            return answer::text(StatusCode::SERVICE_UNAVAILABLE, text);
        };
        answer::events(stream::body(
            Arc::clone(&self.hub),
            self.stop.clone(),
            place,
        ))
    }

    /// Asks the engine, on a thread that may wait.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Source) -> Result<T, Trouble> + Send + 'static,
        say: impl FnOnce(T) -> Answer,
    ) -> Answer {
        let source = Arc::clone(&self.source);
        let found = spawn_blocking(move || question(&*source)).await;
        match found.unwrap_or_else(|error| Err(Trouble::Failed(error.to_string()))) {
            Ok(found) => say(found),
            Err(trouble) => answer::trouble(&trouble),
        }
    }
}
