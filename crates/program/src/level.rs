//! The value of `--log-level`.

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;

use crate::Failure;

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
    /// The variable that says it where no flag does.
    pub const VARIABLE: &str = "IGNITE_LOG_LEVEL";

    /// What the environment says; nothing where the variable is empty or not there.
    ///
    /// # Errors
    /// If it is no level.
    pub fn of_environment() -> Result<Option<Self>, Failure> {
        let text = std::env::var_os(Self::VARIABLE).filter(|text| !text.is_empty());
        text.map(|text| Self::of_variable(&text.to_string_lossy()))
            .transpose()
    }

    fn of_variable(text: &str) -> Result<Self, Failure> {
        Self::from_str(text, true).map_err(|_| {
            let hint = "choose panic, fatal, error, warn, info, debug or trace";
            Failure::usage(
                format!("the variable {}: {text:?} is no level", Self::VARIABLE),
                Some(hint.into()),
            )
        })
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_a_level_or_refused() {
        for (text, level) in [("warning", LogLevel::Warn), ("TRACE", LogLevel::Trace)] {
            assert_eq!(LogLevel::of_variable(text).ok(), Some(level));
        }
        let failure = LogLevel::of_variable("loud").expect_err("no level");
        assert_eq!(failure.code(), crate::USAGE);
        assert!(failure.hint().is_some());
    }
}
