//! What the daemon is told once: plain data, from the command line and the configuration file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ignite_engine::Engine;
use ignite_program::Failure;

use crate::args::Globals;

/// Between two looks at the VMs where nothing else is said.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// Where things are, and who may ask.
#[derive(Debug, Clone)]
pub struct Config {
    globals: Globals,
    /// The daemon's own directory: lock, status file, what a source keeps.
    pub directory: PathBuf,
    /// Unix socket for metrics, health and status.
    pub socket: PathBuf,
    /// TCP address for the same.
    pub address: Option<SocketAddr>,
    /// Time between two looks at the VMs when nothing is known to have changed: others change them too.
    pub look_interval: Duration,
}

impl Config {
    /// As the command line has it.
    pub fn new(globals: &Globals) -> Result<Self, Failure> {
        if let Some(remark) = globals.places.remark() {
            tracing::warn!("{remark}");
        }
        Ok(Self {
            directory: engine_config(globals)?.paths.data.join("ignited"),
            socket: globals.metrics_socket.clone(),
            address: globals.metrics_address,
            look_interval: LOOK_INTERVAL,
            globals: globals.clone(),
        })
    }

    /// The engine, as command line and configuration file have it now.
    pub fn engine(&self) -> Result<Engine, Failure> {
        Ok(Engine::new(engine_config(&self.globals)?)?)
    }
}

/// What the engine is told: flags beat the configuration file.
fn engine_config(globals: &Globals) -> Result<ignite_engine::Config, Failure> {
    let mut config = globals.places.config()?;
    if let Some(vmm) = globals.vmm {
        config.vm_defaults.vmm = Some(vmm);
    }
    Ok(config)
}
