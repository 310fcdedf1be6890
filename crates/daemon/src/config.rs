//! What the daemon is told once: plain data, from the command line and the configuration file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ignite_engine::{Engine, configuration};

use crate::args::Globals;
use crate::failure::Failure;

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
        if globals.runtime.is_some() {
            tracing::warn!("--runtime is accepted and not used: Ignite needs no container runtime");
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

/// The engine of a supervisor that frees what its VM had: the records say all of that, and a
/// configuration file that is broken meanwhile must not keep it.
pub fn releaser(globals: &Globals) -> Result<Engine, Failure> {
    Ok(Engine::new(places(globals)?)?)
}

/// Where things are, as far as the command line says it.
fn places(globals: &Globals) -> Result<ignite_engine::Config, Failure> {
    let mut config = ignite_engine::Config::default();
    if let Some(directory) = &globals.data_dir {
        config.keep_data_in(directory)?;
    }
    Ok(config)
}

/// What the engine is told: flags beat the configuration file.
fn engine_config(globals: &Globals) -> Result<ignite_engine::Config, Failure> {
    let mut config = places(globals)?;
    let named = globals.ignite_config.as_deref();
    config.apply(configuration::load(&config, named)?);
    if let Some(plugin) = globals.network_plugin {
        config.network_plugin = plugin;
    }
    if let Some(vmm) = globals.vmm {
        config.vm_defaults.vmm = Some(vmm);
    }
    if let Some(prefix) = &globals.id_prefix {
        config.id_prefix.clone_from(prefix);
    }
    Ok(config)
}
