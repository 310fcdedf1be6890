//! What can go wrong with a control group.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Errors of control groups.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted, to be read between "cannot" and the path.
        action: &'static str,
        /// The group's directory, or a file in it.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Processes in it do not end though they were killed.
    #[error(
        "the control group {} still has processes {} seconds after they were killed: {}",
        path.display(), waited.as_secs(), list(processes)
    )]
    Busy {
        /// The group's directory.
        path: PathBuf,
        /// How long was waited.
        waited: Duration,
        /// The first of them.
        processes: Vec<i32>,
    },
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => crate::error::hint(source).or_else(|| {
                Some("see what control groups this host has with: ignite doctor".to_owned())
            }),
            Self::Busy { .. } => Some(
                "a process that does not end waits for the kernel, often for a disk that does not \
                 answer: look at the host's kernel log, then try again"
                    .to_owned(),
            ),
        }
    }

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
}

fn list(processes: &[i32]) -> String {
    let numbers: Vec<String> = processes.iter().map(ToString::to_string).collect();
    numbers.join(", ")
}
