//! Flags of every command; they work before and after the sub-command.

use clap::{ArgAction, Args};
use ignite_program::{LogLevel, Places};
use tracing::level_filters::LevelFilter;

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

    #[command(flatten)]
    pub places: Places,
}

impl Globals {
    /// How much is logged.
    pub fn level(&self) -> LevelFilter {
        match (self.log_level, self.verbose) {
            (Some(level), _) => level.filter(),
            (None, 0) => LevelFilter::WARN,
            (None, 1) => LevelFilter::DEBUG,
            (None, _) => LevelFilter::TRACE,
        }
    }
}
