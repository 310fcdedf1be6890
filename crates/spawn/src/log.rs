//! The supervisor's own log: lines on standard error, which the engine leads to a file of the VM.

use std::error::Error;
use std::io::Write;

/// Lines in one run, so that a guest that provokes them fills no disk.
const MAX_LINES: u32 = 1000;

static LINES: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

/// Writes a line. That it cannot be written is no reason to stop.
pub fn line(text: &str) {
    if LINES.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < MAX_LINES {
        let _ = writeln!(std::io::stderr(), "{} {text}", jiff::Timestamp::now());
    }
}

/// An error and its causes in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
