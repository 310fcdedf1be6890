//! The command line as a whole.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};
use ignite_api::{IdPrefix, NetworkPlugin, VmmChoice};

use crate::commands::Command;

const EXAMPLES: &str = "\
Examples:
  ignited daemon
  ignited daemon --manifest-dir /srv/vms --metrics-address 127.0.0.1:9464
  ignited gitops https://example.org/vms.git --branch main";

/// Keep microVMs as manifests say
#[derive(Debug, Parser)]
#[command(name = "ignited", version, max_term_width = 100, after_help = EXAMPLES, args_override_self = true)]
pub struct Cli {
    #[command(flatten)]
    pub globals: Globals,

    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command; they work before and after it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// How much to log, to standard error
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        default_value = "info",
        hide_possible_values = true
    )]
    pub log_level: LogLevel,

    /// How new VMs are connected: cni, or docker-bridge (deprecated)
    #[arg(long, global = true, value_name = "PLUGIN", value_parser = value::<NetworkPlugin>)]
    pub network_plugin: Option<NetworkPlugin>,

    /// First part of the names of all that is made on the host for a new VM
    #[arg(long, global = true, value_name = "PREFIX", value_parser = value::<IdPrefix>)]
    pub id_prefix: Option<IdPrefix>,

    /// VMM of new VMs whose manifests name none: auto, firecracker, qemu, qemu-kvm, qemu-tcg
    #[arg(
        long,
        global = true,
        value_name = "VMM",
        env = "IGNITE_VMM",
        hide_env = true,
        value_parser = value::<VmmChoice>
    )]
    pub vmm: Option<VmmChoice>,

    /// Configuration file [default: /etc/ignite/config.yaml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub ignite_config: Option<PathBuf>,

    /// Where VMs, images and kernels are kept [default: /var/lib/ignite]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "IGNITE_DATA_DIR",
        hide_env = true
    )]
    pub data_dir: Option<PathBuf>,

    /// Accepted for older scripts, and not used
    #[arg(long, global = true, value_name = "RUNTIME", hide = true)]
    pub runtime: Option<String>,

    /// Unix socket for metrics, health and status
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        default_value = "/run/ignite/daemon.sock"
    )]
    pub metrics_socket: PathBuf,

    /// TCP address for the same, which anybody who reaches it may read [default: none]
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    pub metrics_address: Option<SocketAddr>,
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

/// Parses a value of the api.
fn value<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// Parses a time longer than nothing: `30s`, `1m0s`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: write 30s or 1m30s");
    let time: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    match Duration::try_from(time) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_work_on_both_sides_of_the_command() {
        for words in [
            ["ignited", "--id-prefix", "a", "daemon"],
            ["ignited", "daemon", "--id-prefix", "a"],
        ] {
            let cli = Cli::try_parse_from(words).expect("valid");
            assert_eq!(cli.globals.id_prefix, "a".parse().ok());
        }
    }

    #[test]
    fn times_are_longer_than_nothing() {
        assert_eq!(duration("1m0s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "0s", "-1s", "soon", "5"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
