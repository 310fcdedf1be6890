//! The agent: one node of the overlay, from the configuration in etcd to routes in the kernel.
//!
//! ```text
//!   wait for a valid configuration -> external interface -> backend prepared -> lease acquired
//!     -> backend has its subnet, subnet.env written: ready
//!     -> follow: others' leases -> backend     own lease: renewed, announced, come by again if lost
//! ```
//!
//! What it made stays when it ends: traffic goes on while it is restarted, and the next one corrects
//! what changed meanwhile. Nothing it does later can be undone by dying in between: every step is
//! done again at the next start.

mod follow;
mod guard;
mod join;
mod options;
mod report;
pub mod status;
mod timing;
mod translate;
pub(crate) mod troubles;

pub use ignite_host::error::chain;
pub use options::Options;

use std::sync::Arc;
use std::time::Duration;

use crate::config::ConfigError;
use crate::entrance;
use crate::etcd::{self, Client};
use crate::health::{Health, HealthError, Server};
use crate::pool::PoolError;
use crate::registry::{AcquireError, Registry};
use crate::{backend, interface, registry, subnet_env};
use report::Report;

/// How often etcd is asked again for a configuration that is missing or wrong, as `flanneld` does.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Why an agent ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// etcd cannot be used with these settings.
    #[error("cannot use etcd as configured")]
    Etcd(#[from] etcd::Error),
    /// The records in etcd.
    #[error("cannot read or write the overlay's records in etcd")]
    Registry(#[from] registry::Error),
    /// There is no interface to reach the others by.
    #[error("cannot find the interface by which this node reaches the others")]
    Interface(#[from] interface::Error),
    /// The configuration asks for what this agent does not do.
    #[error("the network's configuration cannot be followed")]
    Config(#[from] ConfigError),
    /// No subnet can be had.
    #[error("cannot come by a subnet")]
    Acquire(#[from] Box<AcquireError<PoolError>>),
    /// The kernel.
    #[error(transparent)]
    Backend(#[from] backend::Error),
    /// Nobody can ask how it is.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// The file for CNI's plugin.
    #[error("cannot write the subnet file")]
    SubnetEnv(#[from] subnet_env::EnvError),
    /// The lease is lost, and the configuration another: everything begins anew.
    #[error("the network's configuration changed, and the lease is lost: start again to follow it")]
    ConfigurationChanged,
    /// The configuration is gone from etcd.
    #[error("the network has no configuration in etcd any more")]
    NoConfiguration,
    /// The watch of etcd is over: its runtime ends.
    #[error("the watch of etcd is over")]
    WatchOver,
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Etcd(source) => source.hint(),
            Self::Registry(source) => source.hint(),
            Self::Interface(source) => source.hint(),
            Self::Config(source) => source.hint(),
            Self::Acquire(source) => match &**source {
                AcquireError::Decide(source) => source.hint(),
                other => other.hint(),
            },
            Self::Backend(source) => source.hint(),
            Self::Health(source) => source.hint(),
            Self::SubnetEnv(source) => source.hint(),
            Self::ConfigurationChanged | Self::NoConfiguration | Self::WatchOver => None,
        }
    }
}

/// One node of the overlay.
#[derive(Debug)]
pub struct Agent {
    options: Options,
    registry: Registry,
    health: Arc<Health>,
    report: Report,
}

impl Agent {
    /// An agent that does nothing yet.
    pub fn new(options: Options) -> Result<Self, Error> {
        let client = Client::new(options.etcd.clone())?;
        let health = Arc::new(Health::beside(client.failures()));
        let registry = Registry::new(client, &options.prefix);
        Ok(Self {
            registry: registry.with_lease_time(options.lease_time),
            report: Report::new(&options),
            options,
            health,
        })
    }

    /// Lives until an error or until it is dropped, at any moment. `ready` is called once packets can
    /// reach the others. It works in the network namespace of the calling thread, whose runtime has to
    /// be of one thread.
    pub async fn run(self, ready: impl FnOnce()) -> Result<(), Error> {
        let report = self.report.clone();
        report.write();
        let lived = self.live(ready).await;
        if let Err(error) = &lived {
            report.end(troubles::of_end(error));
        }
        lived
    }

    async fn live(self, ready: impl FnOnce()) -> Result<(), Error> {
        let health = Arc::clone(&self.health);
        let server = Server::bind(self.options.health).await?;
        // Ends with the runtime.
        let _server = server.map(|server| tokio::spawn(server.serve(Arc::clone(&health))));
        // Hosts join while this one still waits for a configuration, which one of them may bring.
        let _entrance = self
            .options
            .entrance
            .clone()
            .map(entrance::run)
            .map(tokio::spawn);
        let node = self.join().await?;
        health.set_ready();
        ready();
        node.follow().await
    }
}
