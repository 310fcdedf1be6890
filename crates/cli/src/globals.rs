//! Flags of every command; they work before and after the sub-command.

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args};
use ignite_program::{Failure, LogLevel, Places};
use tracing::level_filters::LevelFilter;

/// Flags of every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Print only ids
    #[arg(
        short,
        long,
        global = true,
        env = "IGNITE_QUIET",
        hide_env = true,
        value_parser = FalseyValueParser::new()
    )]
    pub quiet: bool,

    /// Say what is being done; twice for everything that is
    #[arg(long, global = true, action = ArgAction::Count, conflicts_with = "log_level", hide_short_help = true)]
    pub verbose: u8,

    /// How much to log, to standard error
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        hide_possible_values = true,
        hide_short_help = true
    )]
    pub log_level: Option<LogLevel>,

    #[command(flatten)]
    pub places: Places,
}

impl Globals {
    /// How much is logged: as the flags say, else the environment.
    pub fn level(&self) -> Result<LevelFilter, Failure> {
        Ok(match (self.log_level, self.verbose) {
            (Some(level), _) => level.filter(),
            (None, 0) => match LogLevel::of_environment()? {
                Some(level) => level.filter(),
                None => LevelFilter::WARN,
            },
            (None, 1) => LevelFilter::DEBUG,
            (None, _) => LevelFilter::TRACE,
        })
    }
}
