//! Log lines, to standard error. The journal has its own time for each.

use std::io::{IsTerminal as _, stderr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::Subscriber;

use crate::args::LogLevel;

/// Logs from now on.
pub fn init(level: LogLevel) {
    let lines = Subscriber::builder()
        .with_max_level(filter(level))
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .with_writer(stderr);
    // systemd sets it for what writes to its journal: systemd.exec(5).
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        lines.without_time().init();
    } else {
        lines.init();
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Panic | LogLevel::Fatal => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
