//! What the engine has to say while it works, as log lines.

use ignite_engine::{Progress, Report};

/// Lines about one VM.
#[derive(Debug, Clone, Copy)]
pub struct Lines<'a> {
    /// Its name.
    pub vm: &'a str,
}

impl Progress for Lines<'_> {
    fn begin(&self, _: &str, what: &str, _: Option<u64>) {
        tracing::debug!(vm = self.vm, "{what}");
    }

    fn advance(&self, _: &str, _: u64) {}

    fn end(&self, _: &str) {}
}

impl Report for Lines<'_> {
    fn info(&self, text: &str) {
        tracing::info!(vm = self.vm, "{text}");
    }

    fn warn(&self, text: &str) {
        tracing::warn!(vm = self.vm, "{text}");
    }
}
