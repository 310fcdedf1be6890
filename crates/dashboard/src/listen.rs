//! A dashboard from its socket to its end.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use ignite_engine::Engine;
use tokio::sync::watch;

use crate::server::Server;
use crate::source::Source;
use crate::{Access, Error, Options};

/// Threads that may wait for VMs at one time.
const WAITING: usize = 8;

/// How long what still waits for a VM may keep the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// A dashboard that listens, and does not serve yet.
pub struct Dashboard {
    listener: TcpListener,
    address: SocketAddr,
    access: Access,
    source: Arc<dyn Source>,
    stop: watch::Sender<bool>,
}

/// Ends a dashboard.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// Ends it: streams are told, and nobody is waited for long.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Dashboard {
    /// Takes the address.
    pub fn bind(options: Options, engine: Engine) -> Result<Self, Error> {
        Self::of(options, Arc::new(engine))
    }

    pub(crate) fn of(options: Options, source: Arc<dyn Source>) -> Result<Self, Error> {
        options.check()?;
        let failed = |source| Error::Listen {
            address: options.listen,
            source,
        };
        let listener = TcpListener::bind(options.listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self {
            address: listener.local_addr().map_err(failed)?,
            listener,
            access: options.access,
            source,
            stop: watch::Sender::new(false),
        })
    }

    /// What to open in a browser. The key is behind `#`, which stays in the browser.
    pub fn url(&self) -> String {
        match &self.access {
            Access::Key(key) => format!("http://{}/#{}", self.address, key.as_str()),
            Access::Everyone => format!("http://{}/", self.address),
        }
    }

    /// What ends it, from any thread.
    pub fn stopper(&self) -> Stop {
        Stop(self.stop.clone())
    }

    /// Serves until it is ended.
    pub fn run(self) -> Result<(), Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(WAITING)
            .build()
            .map_err(Error::Serve)?;
        let server = Server::new(self.source, self.access, self.stop.subscribe());
        let served = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(self.listener)?;
            server.serve(listener).await;
            Ok(())
        });
        runtime.shutdown_timeout(FAREWELL);
        served.map_err(Error::Serve)
    }
}
