//! Log lines, to standard error. The journal has its own time for each.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::fmt::Subscriber;

use ignite_program::LogLevel;

/// Logs from now on.
pub fn init(level: LogLevel) {
    let lines = Subscriber::builder()
        .with_max_level(level.filter())
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
