//! The supervisor's own log: lines on standard error, which the engine leads to a file of the VM.

use std::error::Error;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::console::one_line;

/// The supervisor's own lines.
static OWN: Budget = Budget::new();

/// The VMM's: however much it says, the supervisor is heard.
static VMM: Budget = Budget::new();

/// Writes a line. That it cannot be written is no reason to stop.
pub fn line(text: &str) {
    OWN.write(text);
}

/// Writes a line the VMM printed: bounded, and harmless to the terminal that will show it.
pub fn vmm_line(text: &str) {
    VMM.write(&one_line(text));
}

/// So many lines in one run, so that a guest that provokes them fills no disk.
struct Budget(AtomicU32);

impl Budget {
    const LINES: u32 = 1000;

    const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    fn write(&self, text: &str) {
        if self.has_room() {
            let _ = writeln!(std::io::stderr(), "{} {text}", jiff::Timestamp::now());
        }
    }

    fn has_room(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) < Self::LINES
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vmm_that_prints_much_does_not_silence_the_supervisor() {
        for _ in 0..2 * Budget::LINES {
            VMM.has_room();
        }
        assert!(!VMM.has_room());
        assert!(OWN.has_room());
    }
}
