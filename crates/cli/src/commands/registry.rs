//! Flags of commands that may pull from a registry.

use std::path::PathBuf;

use clap::Args;
use ignite_engine::{Config, Engine};

use ignite_program::Failure;

/// How registries are reached, besides what the configuration says.
#[derive(Debug, Clone, Args)]
pub struct RegistryArgs {
    /// Registry to reach over plain HTTP, or over TLS with any certificate (repeatable)
    #[arg(long, value_name = "HOST[:PORT]")]
    insecure_registry: Vec<String>,

    /// Directory of Docker's config.json, with credentials [default: $DOCKER_CONFIG or ~/.docker]
    #[arg(long, value_name = "DIR")]
    registry_config_dir: Option<PathBuf>,
}

impl RegistryArgs {
    /// The engine that uses them.
    pub fn engine(self, config: Config) -> Result<Engine, Failure> {
        Ok(Engine::new(Config {
            insecure_registries: self.insecure_registry,
            registry_config_dir: self.registry_config_dir.or(config.registry_config_dir),
            ..config
        })?)
    }
}
