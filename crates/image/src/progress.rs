//! How an import tells its caller what it is doing.

/// Receives what happens; used from several threads.
///
/// A step is known by its `id` (the digest of a layer, say) from [`begin`](Self::begin) to
/// [`end`](Self::end); `label` is for people.
pub trait Progress: Sync {
    /// A step starts; `total` is its size in bytes where known.
    fn begin(&self, id: &str, label: &str, total: Option<u64>);

    /// A step went on by this many bytes.
    fn advance(&self, id: &str, bytes: u64);

    /// A step is over, whether it succeeded or not.
    fn end(&self, id: &str);

    /// Whether the caller wants the whole operation to stop; asked often.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: &str, _: Option<u64>) {}
    fn advance(&self, _: &str, _: u64) {}
    fn end(&self, _: &str) {}
}
