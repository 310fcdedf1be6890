//! How an operation tells its caller what it is doing.

use ignite_image::Progress;

/// Receives progress and remarks; nothing in the engine prints.
pub trait Report: Progress {
    /// Something worth a line.
    fn info(&self, text: &str);

    /// Something that may not be as the caller wants it.
    fn warn(&self, text: &str);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: &str, _: Option<u64>) {}
    fn advance(&self, _: &str, _: u64) {}
    fn end(&self, _: &str) {}
}

impl Report for Silent {
    fn info(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}
