//! The command line as a whole.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser};
use ignite_api::VmmChoice;
use ignite_program::{Failure, LogLevel, Places, value};

use crate::commands::Command;

const VMM: ignite_program::Parser<VmmChoice> = value;

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
    /// How much to log, to standard error [default: info]
    #[arg(long, global = true, value_name = "LEVEL", hide_possible_values = true)]
    pub log_level: Option<LogLevel>,

    #[command(flatten)]
    pub places: Places,

    /// VMM of new VMs whose manifests name none: auto, firecracker, qemu, qemu-kvm, qemu-tcg
    #[arg(
        long,
        global = true,
        value_name = "VMM",
        value_parser = VMM
    )]
    pub vmm: Option<VmmChoice>,

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

impl Globals {
    /// How much is logged: as the flag says, else the environment.
    pub fn level(&self) -> Result<LogLevel, Failure> {
        let said = match self.log_level {
            Some(level) => Some(level),
            None => LogLevel::of_environment()?,
        };
        Ok(said.unwrap_or(LogLevel::Info))
    }
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
        let read = |words: &[&str]| {
            let cli = Cli::try_parse_from(words).expect("valid");
            format!("{:?}", cli.globals)
        };
        let none = read(&["ignited", "daemon"]);
        for (flag, value) in [
            ("--id-prefix", "a"),
            ("--network-plugin", "docker-bridge"),
            ("--ignite-config", "/elsewhere"),
            ("--log-level", "debug"),
        ] {
            let before = read(&["ignited", flag, value, "daemon"]);
            assert_eq!(before, read(&["ignited", "daemon", flag, value]));
            assert_ne!(before, none, "{flag}");
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
