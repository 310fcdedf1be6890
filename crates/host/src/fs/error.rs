//! What can go wrong with a file.

use std::io;
use std::path::{Path, PathBuf};

/// Errors of file operations.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted, to be read between "cannot" and the path.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The file is larger than anything it may hold.
    #[error("{} is larger than {max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound in bytes.
        max: u64,
    },
    /// The path names no entry of a directory (it ends in `..`).
    #[error("{} does not name a file", path.display())]
    NoName {
        /// The path.
        path: PathBuf,
    },
}

impl Error {
    /// Adds the attempt and the path to the kernel's answer, in `map_err`.
    pub(super) fn at<E: Into<io::Error>>(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source: source.into(),
        }
    }

    /// The kind of the kernel's answer; `Other` where it was not asked.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Io { source, .. } => source.kind(),
            Self::TooLarge { .. } => io::ErrorKind::FileTooLarge,
            Self::NoName { .. } => io::ErrorKind::InvalidInput,
        }
    }

    /// The kernel's answer by number, where it was asked.
    pub fn os_error(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } => source.raw_os_error(),
            Self::TooLarge { .. } | Self::NoName { .. } => None,
        }
    }

    /// Whether the file, or a directory on the way to it, is not there.
    pub fn is_not_found(&self) -> bool {
        self.kind() == io::ErrorKind::NotFound
    }

    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => crate::error::hint(source),
            Self::TooLarge { .. } | Self::NoName { .. } => None,
        }
    }
}
