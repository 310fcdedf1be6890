//! Flags that say where things are and how new VMs are made, and the engine's configuration with them.

use std::path::PathBuf;

use clap::Args;
use ignite_api::{IdPrefix, NetworkPlugin};
use ignite_engine::configuration::{Said, Setting};
use ignite_engine::{Config, Engine};

use crate::Failure;
use crate::values::{Parser, value};

const NETWORK_PLUGIN: Parser<NetworkPlugin> = value;
const ID_PREFIX: Parser<IdPrefix> = value;

/// Flags of every command; they work before and after it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Places {
    /// How new VMs are connected: cni, or docker-bridge (deprecated)
    #[arg(long, global = true, value_name = "PLUGIN", hide_short_help = true, value_parser = NETWORK_PLUGIN)]
    pub network_plugin: Option<NetworkPlugin>,

    /// First part of the names of all that is made on the host for a new VM
    #[arg(long, global = true, value_name = "PREFIX", hide_short_help = true, value_parser = ID_PREFIX)]
    pub id_prefix: Option<IdPrefix>,

    /// Configuration file [default: /etc/ignite/config.yaml, if it is there]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub ignite_config: Option<PathBuf>,

    /// Taken from older scripts, and not used
    #[arg(long, global = true, value_name = "RUNTIME", hide = true)]
    pub runtime: Option<String>,

    /// Where VMs, images and kernels are kept [default: /var/lib/ignite]
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true)]
    pub data_dir: Option<PathBuf>,
}

impl Places {
    /// The variable that says where the configuration file is, where no flag does.
    pub const CONFIG: &str = "IGNITE_CONFIG";
    /// The variable that says where things are kept, where no flag does.
    pub const DATA_DIR: &str = "IGNITE_DATA_DIR";

    /// The configuration file, if one is named.
    pub fn configuration_file(&self) -> Option<PathBuf> {
        self.ignite_config
            .clone()
            .or_else(|| variable(Self::CONFIG))
    }

    /// The engine's configuration as far as the command line and the environment alone say it: where
    /// things are.
    pub fn places(&self) -> Result<Config, Failure> {
        let mut config = Config::default();
        if let Some(directory) = self.data_dir.clone().or_else(|| variable(Self::DATA_DIR)) {
            config.keep_data_in(&directory)?;
        }
        Ok(config)
    }

    /// The engine's configuration as the configuration file has it, over that variables of the
    /// environment, and over that these flags.
    pub fn config(&self) -> Result<Config, Failure> {
        Ok(self.said()?.0)
    }

    /// Every value of the configuration, with where it came from.
    pub fn settings(&self) -> Result<Vec<Setting>, Failure> {
        let (config, said) = self.said()?;
        let flags = [
            (
                "networkPlugin",
                "--network-plugin",
                self.network_plugin.is_some(),
            ),
            ("idPrefix", "--id-prefix", self.id_prefix.is_some()),
        ];
        let flags = flags.into_iter().filter(|(.., given)| *given);
        let flags: Vec<(&str, &str)> = flags.map(|(field, flag, _)| (field, flag)).collect();
        Ok(said.settings(&config, &flags))
    }

    fn said(&self) -> Result<(Config, Said), Failure> {
        let mut config = self.places()?;
        let named = self.configuration_file();
        let said = Said::load(&config, named.as_deref(), &|name| std::env::var_os(name))?;
        config.apply(&said)?;
        if let Some(plugin) = self.network_plugin {
            config.network_plugin = plugin;
        }
        if let Some(prefix) = &self.id_prefix {
            config.id_prefix.clone_from(prefix);
        }
        Ok((config, said))
    }

    /// The engine for a supervisor that frees what its VM had: the records say all of that, and a
    /// configuration file that is broken meanwhile must not keep it.
    pub fn releaser(&self) -> Result<Engine, Failure> {
        Ok(Engine::new(self.places()?)?)
    }

    /// What to say of a flag that is taken and not used.
    pub fn remark(&self) -> Option<&'static str> {
        let remark = "--runtime is not used: VMs need no container runtime";
        self.runtime.as_ref().map(|_| remark)
    }
}

/// A path the environment says; one that is empty is as if it were not there.
fn variable(name: &str) -> Option<PathBuf> {
    let text = std::env::var_os(name).filter(|text| !text.is_empty());
    text.map(PathBuf::from)
}
