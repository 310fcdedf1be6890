//! Flags of every command; they work before and after the sub-command.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use ignite_api::{IdPrefix, NetworkPlugin};
use tracing::level_filters::LevelFilter;

use crate::values;

/// Flags of every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Print only ids
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Say what is being done; twice for everything that is
    #[arg(long, global = true, action = ArgAction::Count, conflicts_with = "log_level")]
    pub verbose: u8,

    /// How much to log, to standard error
    #[arg(long, global = true, value_name = "LEVEL", hide_possible_values = true)]
    pub log_level: Option<LogLevel>,

    /// How new VMs are connected: cni, or docker-bridge (deprecated)
    #[arg(long, global = true, value_name = "PLUGIN", value_parser = values::NETWORK_PLUGIN)]
    pub network_plugin: Option<NetworkPlugin>,

    /// First part of the names of all that is made on the host for a new VM
    #[arg(long, global = true, value_name = "PREFIX", value_parser = values::ID_PREFIX)]
    pub id_prefix: Option<IdPrefix>,

    /// Configuration file [default: /etc/ignite/config.yaml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub ignite_config: Option<PathBuf>,

    /// Taken from older scripts, and not used
    #[arg(long, global = true, value_name = "RUNTIME", hide = true)]
    pub runtime: Option<String>,

    /// Where VMs, images and kernels are kept [default: /var/lib/ignite]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "IGNITE_DATA_DIR",
        hide_env = true
    )]
    pub data_dir: Option<PathBuf>,
}

/// Value of `--log-level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing but what ends the program
    Panic,
    /// The same
    Fatal,
    /// Failures
    Error,
    /// What may not be as it should
    #[value(alias = "warning")]
    Warn,
    /// What is done
    Info,
    /// How it is done
    Debug,
    /// Everything
    Trace,
}

impl Globals {
    /// How much is logged.
    pub fn level(&self) -> LevelFilter {
        match (self.log_level, self.verbose) {
            (None, 0) => LevelFilter::WARN,
            (None, 1) => LevelFilter::DEBUG,
            (None, _) | (Some(LogLevel::Trace), _) => LevelFilter::TRACE,
            (Some(LogLevel::Panic | LogLevel::Fatal), _) => LevelFilter::OFF,
            (Some(LogLevel::Error), _) => LevelFilter::ERROR,
            (Some(LogLevel::Warn), _) => LevelFilter::WARN,
            (Some(LogLevel::Info), _) => LevelFilter::INFO,
            (Some(LogLevel::Debug), _) => LevelFilter::DEBUG,
        }
    }
}
