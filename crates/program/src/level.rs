//! The value of `--log-level`.

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;

/// How much is logged, in the words of Weave Ignite.
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

impl LogLevel {
    /// What passes. What ends the program is no line of the log.
    pub fn filter(self) -> LevelFilter {
        match self {
            Self::Panic | Self::Fatal => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}
