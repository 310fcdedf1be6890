//! What can go wrong with a layer.

use std::io;
use std::path::PathBuf;

use ignite_archive::{EntryError, TarError};
use ignite_host::fs;

use crate::digest::Digest;

/// Errors of unpacking layers.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not those the manifest names.
    #[error("layer {layer} has the digest {found}, not {expected}")]
    WrongDigest {
        /// The layer.
        layer: String,
        /// What the manifest says.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The unpacked bytes are not those the configuration names.
    #[error("layer {layer} unpacks to the digest {found}, not {expected}")]
    WrongDiffId {
        /// The layer.
        layer: String,
        /// What the image's configuration says.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The layer ends too early.
    #[error("layer {layer} is cut short: {found} of {expected} bytes")]
    CutShort {
        /// The layer.
        layer: String,
        /// Its size by the manifest.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// The layer goes on past its size.
    #[error("layer {layer} is longer than the {expected} bytes it should have")]
    TooLong {
        /// The layer.
        layer: String,
        /// Its size by the manifest.
        expected: u64,
    },
    /// The stored bytes could not be read or unpacked.
    #[error("cannot unpack layer {layer}")]
    Read {
        /// The layer.
        layer: String,
        /// What failed.
        source: io::Error,
    },
    /// The archive itself is damaged.
    #[error("layer {layer} cannot be read as a tar archive")]
    Tar {
        /// The layer.
        layer: String,
        /// What is wrong.
        source: TarError,
    },
    /// One entry cannot be taken.
    #[error("cannot unpack {entry:?} of layer {layer}")]
    Entry {
        /// The layer.
        layer: String,
        /// The entry's path as the archive has it.
        entry: PathBuf,
        /// What is wrong.
        source: EntryError,
    },
    /// The layers hold more than the limits allow.
    #[error("the image holds more than {limit} {unit}")]
    Limit {
        /// The bound.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// No room for the files.
    #[error("disk full: {free} bytes are left at {}, {needed} more are needed at least", path.display())]
    DiskFull {
        /// Where.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes that could not be written.
        needed: u64,
    },
    /// The tree itself could not be worked on.
    #[error("cannot work on the unpacked tree")]
    Tree(#[from] fs::Error),
    /// The caller called it off.
    #[error("interrupted")]
    Cancelled,
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::WrongDigest { .. } | Self::WrongDiffId { .. } | Self::CutShort { .. } => {
                Some("the image is damaged where it is stored: copy or push it again".into())
            }
            Self::DiskFull { path, .. } => Some(format!(
                "free some space on the file system of {}",
                path.display()
            )),
            Self::Entry { source, .. } if source.is_dishonest() => {
                Some("an honest image holds no such entry; build it again or take another".into())
            }
            Self::Entry { source, .. } => source.hint(),
            Self::Limit { .. } => Some("is this the image you meant?".into()),
            Self::Tree(source) => source.hint(),
            Self::Tar { .. } | Self::Read { .. } => {
                Some("layers are tar archives, plain or packed with gzip, zstd or xz".into())
            }
            Self::TooLong { .. } | Self::Cancelled => None,
        }
    }
}
