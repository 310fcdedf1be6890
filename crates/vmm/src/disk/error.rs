//! Why a disk cannot be made.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Why a disk cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk would end before the image does.
    #[error("a disk of {size} bytes cannot hold the image of {backing} bytes")]
    TooSmall {
        /// Size asked for.
        size: u64,
        /// Size of the image.
        backing: u64,
    },
    /// The format, or the file system, has no room for it.
    #[error("a disk of {size} bytes is too large")]
    TooLarge {
        /// Size asked for.
        size: u64,
    },
    /// The backing file must be named by an absolute path of bounded length.
    #[error("{path} cannot be the name of a backing file")]
    BadName {
        /// The path.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {path}")]
    File {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The caller called it off.
    #[error("interrupted")]
    Stopped,
}

impl Error {
    /// Whether the file system has no room for it.
    pub fn is_full(&self) -> bool {
        let full = [Errno::NOSPC, Errno::DQUOT].map(|errno| Some(errno.raw_os_error()));
        matches!(self, Self::File { source, .. } if full.contains(&source.raw_os_error()))
    }

    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::TooSmall { backing, .. } => Some(format!(
                "ask for a size of at least {} MB",
                backing.div_ceil(1_000_000)
            )),
            _ if self.is_full() => Some(
                "free some space on that file system, then try again; on xfs or btrfs, or with QEMU, \
                 a new disk takes none"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// Adds the attempt and the path to the kernel's answer, in `map_err`.
    pub(super) fn at<E: Into<io::Error>>(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            action,
            path,
            source: source.into(),
        }
    }
}
