//! What can go wrong with a child process.

use std::io;
use std::path::{Path, PathBuf};

/// Errors of starting and following a child.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No directory that was searched has the program.
    #[error("program {name} not found in {}", searched(directories))]
    NotFound {
        /// Its name.
        name: String,
        /// The directories, in order.
        directories: Vec<PathBuf>,
    },
    /// The kernel refused a step between the parent and the program.
    #[error("cannot start {}{}", program.display(), failed(*step))]
    Start {
        /// The program.
        program: PathBuf,
        /// The step that failed, to be read after "cannot"; none for the program itself.
        step: Option<&'static str>,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A string holds a zero byte, which no program can be given.
    #[error("cannot start {}: an argument or variable holds a zero byte", program.display())]
    ZeroByte {
        /// The program.
        program: PathBuf,
    },
    /// The child could not be waited for, signalled, written to or read from.
    #[error("cannot {action} process {pid}")]
    Follow {
        /// What was attempted.
        action: &'static str,
        /// The process.
        pid: u32,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { name, .. } => Some(format!("install the package that has {name}")),
            // No file is written to: the user's number of namespaces is used up.
            Self::Start {
                step: Some("make a process"),
                source,
                ..
            } if source.raw_os_error() == Some(libc::ENOSPC) => Some(
                "raise the kernel's limits: `sysctl -a --pattern 'user.max_.*_namespaces'`"
                    .to_owned(),
            ),
            // Root may execute whatever anybody may.
            Self::Start {
                program,
                step: None,
                source,
            } if source.raw_os_error() == Some(libc::EACCES) => Some(format!(
                "make it executable, on a file system that is not mounted noexec: chmod +x {}",
                program.display()
            )),
            Self::Start { source, .. } | Self::Follow { source, .. } => crate::error::hint(source),
            Self::ZeroByte { .. } => None,
        }
    }

    /// Whether the program is not there.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::Start { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::ZeroByte { .. } | Self::Follow { .. } => false,
        }
    }

    pub(super) fn start(
        program: &Path,
        step: Option<&'static str>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Start {
            program: program.to_owned(),
            step,
            source: source.into(),
        }
    }
}

fn failed(step: Option<&'static str>) -> String {
    step.map(|step| format!(": cannot {step}"))
        .unwrap_or_default()
}

fn searched(directories: &[PathBuf]) -> String {
    let names: Vec<String> = directories
        .iter()
        .map(|directory| directory.display().to_string())
        .collect();
    names.join(", ")
}
