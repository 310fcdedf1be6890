//! Layers unpacked into a tree.
//!
//! ```text
//!  thread 1: stored bytes -> digest -> decompression -> digest of the tar -> chunks
//!  thread 2:                                            chunks -> entries -> files
//! ```
//!
//! What a stranger's archive may do is bounded on the way: names ([`ignite_archive::clean`]), numbers ([`Limits`]),
//! memory ([`Entries`], [`crate::decompress`]), places ([`ignite_archive::Extractor`]).

mod apply;
mod error;
mod feed;
mod unpack;
mod whiteout;

use std::io::Read;

use crate::digest::Digest;

pub use error::Error;
pub use ignite_archive::{Data, Entries, Entry, EntryError, Kind, SparseMap, TarError};
pub(crate) use unpack::is_disk_full;
pub use unpack::unpack_layers;

/// One layer: a tar, packed or not.
pub struct Layer {
    /// What messages call it.
    pub name: String,
    /// Its bytes as stored.
    pub reader: Box<dyn Read + Send>,
    /// Digest of the bytes as stored; checked if given.
    pub digest: Option<Digest>,
    /// Number of bytes as stored; checked if given.
    pub size: Option<u64>,
    /// Digest of the unpacked tar; checked if given.
    pub diff_id: Option<Digest>,
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layer")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Bounds on what a stranger's layers may hold. The defaults are far above any real image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Entries of all layers together.
    pub entries: u64,
    /// Bytes of all files of all layers together.
    pub bytes: u64,
    /// Bytes that must stay free on the disk.
    pub reserve: u64,
}

impl Default for Limits {
    /// Four million entries, 256 GiB, 64 MiB left on the disk.
    fn default() -> Self {
        Self {
            entries: 4 << 20,
            bytes: 256 << 30,
            reserve: 64 << 20,
        }
    }
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Entries applied.
    pub entries: u64,
    /// Bytes of files written.
    pub bytes: u64,
}
