//! `flannel`: joins a container to the subnet that the overlay's agent (ours or `flanneld`) has
//! leased for this host.
//!
//! ```text
//!   subnet.env --------.
//!   configuration ------+-> delegate's configuration --> kept in dataDir/<container>
//!                                       |                            |
//!                                  ADD of bridge                DEL of bridge
//! ```
//!
//! It makes no interface itself: another plugin, `bridge` unless the configuration names one, gets
//! the subnet, the routes and the MTU. DEL asks with exactly what ADD has asked with, also when the
//! host has another subnet by then.

mod config;
mod delegate;
mod kept;
mod subnet_env;

use std::time::Duration;

use ignite_cni::error::{chain, code};
use ignite_cni::exec::{self, Bounds, ExecError, Program, Ran};
use ignite_cni::{PluginError, error::Command};
use ignite_host::fs;

pub use config::{ConfigError, NetConf};
pub use delegate::{Delegate, render};
pub use subnet_env::{EnvError, SubnetEnv};

use crate::skeleton::{Call, Plugin, Said, failure};
use kept::Kept;

/// Less than runtimes give to us: the delegate and all it has started are to be ended before we are,
/// and by whom knows about them.
const BOUNDS: Bounds = Bounds {
    add: Duration::from_secs(55),
    del: Duration::from_secs(55),
    other: Duration::from_secs(25),
    stdout_bytes: 1 << 20,
    stderr_bytes: 16 << 10,
};

/// The plugin.
#[derive(Debug, Clone, Copy)]
pub struct Flannel;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    SubnetEnv(#[from] EnvError),
    #[error("cannot keep the configuration of the delegate")]
    Keep(#[source] fs::Error),
    #[error("cannot read the configuration that the delegate had")]
    Kept(#[source] fs::Error),
    #[error("cannot use the delegate {plugin:?}")]
    Delegate {
        plugin: String,
        #[source]
        source: ExecError,
    },
}

impl From<Error> for PluginError {
    fn from(error: Error) -> Self {
        let (code, hint) = match &error {
            // The delegate's own words, and its code.
            Error::Delegate {
                source: ExecError::Reported(reported),
                ..
            } => return reported.clone(),
            Error::Config(_) => (code::INVALID_CONFIG, None),
            Error::SubnetEnv(source) => (source.code(), source.hint()),
            Error::Keep(source) | Error::Kept(source) => (code::IO, source.hint()),
            Error::Delegate { source, .. } => (delegate_code(source), source.hint()),
        };
        Self {
            code,
            msg: chain(&error),
            details: hint.unwrap_or_default(),
        }
    }
}

fn delegate_code(error: &ExecError) -> u32 {
    match error {
        ExecError::NotFound { .. } | ExecError::InvalidName { .. } => code::INVALID_CONFIG,
        _ => code::IO,
    }
}

impl Plugin for Flannel {
    fn name(&self) -> &'static str {
        "flannel"
    }

    fn add(&self, call: &Call) -> Result<Said, PluginError> {
        Ok(add(call)?)
    }

    fn del(&self, call: &Call) -> Result<Said, PluginError> {
        Ok(del(call)?)
    }

    /// Whether an ADD would find a subnet.
    fn status(&self, call: &Call) -> Result<Said, PluginError> {
        let config = NetConf::parse(&call.config).map_err(Error::from)?;
        match SubnetEnv::read(&config.subnet_file) {
            Ok(_) => Ok(Said::default()),
            Err(error) => Err(failure(code::NOT_AVAILABLE, chain(&error))),
        }
    }
}

fn add(call: &Call) -> Result<Said, Error> {
    let config = NetConf::parse(&call.config)?;
    let env = SubnetEnv::read(&config.subnet_file)?;
    let delegate = render(&config, &env)?;
    // Before it runs: what it leaves when it fails is undone by a DEL that finds this.
    Kept::new(&config.data_dir)
        .write(&call.container_id, &delegate.config)
        .map_err(Error::Keep)?;
    run(call, Command::Add, &delegate)
}

fn del(call: &Call) -> Result<Said, Error> {
    let config = NetConf::parse(&call.config)?;
    let kept = Kept::new(&config.data_dir);
    let Some(bytes) = kept.read(&call.container_id).map_err(Error::Kept)? else {
        return Ok(Said::default());
    };
    let delegate = match Delegate::from_kept(bytes) {
        Ok(delegate) => delegate,
        Err(error) => {
            return Ok(Said {
                stderr: format!("failed to parse netconf: {error}\n").into_bytes(),
                ..Said::default()
            });
        }
    };
    let ran = run(call, Command::Del, &delegate);
    // Removed even if the delegate failed, as the original does.
    let removed = kept.remove(&call.container_id).map_err(Error::Kept);
    let said = ran?;
    removed.map(|()| said)
}

fn run(call: &Call, command: Command, delegate: &Delegate) -> Result<Said, Error> {
    let failed = |source| Error::Delegate {
        plugin: delegate.plugin.clone(),
        source,
    };
    let path = exec::find(&delegate.plugin, &call.directories).map_err(failed)?;
    let program = Program {
        path: &path,
        bounds: &BOUNDS,
        inherited: &[],
    };
    // Its command, its container and the rest are those we were called with.
    let variables = exec::environment(call.variables.iter().cloned(), Vec::new());
    let Ran { stdout, stderr, .. } = program
        .run(command, &variables, &delegate.config)
        .map_err(failed)?;
    Ok(Said { stdout, stderr })
}
