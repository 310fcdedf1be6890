//! Programs as they describe themselves.

use std::path::Path;
use std::time::Duration;

use crate::process::{self, Limits, Spec, Status};

/// For `--version`, which has nothing to wait for but a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of each stream that are read.
const MOST: usize = 4 << 10;

/// Why a program's version is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be run.
    #[error("it does not run")]
    Run(#[from] process::Error),
    /// It did not end.
    #[error("it does not end when asked for its version")]
    TimedOut,
    /// It said nothing, or refused.
    #[error("it does not tell its version ({status})")]
    Untold {
        /// How it ended.
        status: Status,
    },
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Run(error) => error.hint(),
            Self::TimedOut | Self::Untold { .. } => None,
        }
    }
}

/// The first line a program prints for `--version`; killed where it does not end within 5 seconds.
///
/// # Errors
/// If it cannot be run, or does not say.
pub fn version(program: &Path) -> Result<String, Error> {
    version_within(program, PATIENCE)
}

/// The same within another time.
///
/// # Errors
/// If it cannot be run, or does not say.
pub fn version_within(program: &Path, time: Duration) -> Result<String, Error> {
    let limits = Limits {
        time,
        stdout_bytes: MOST,
        stderr_bytes: MOST,
    };
    let spec = Spec::new(program).arg("--version").env("LC_ALL", "C");
    let spec = spec.parent_death_signal(libc::SIGKILL);
    let output = process::run(spec, b"", limits)?;
    if output.timed_out {
        return Err(Error::TimedOut);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    match (output.status.success(), line) {
        (true, Some(line)) => Ok(line.to_owned()),
        _ => Err(Error::Untold {
            status: output.status,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_program_says_its_version_or_why_not_is_known() {
        let root = tempfile::tempdir().expect("tempdir");
        let program = |name: &str, script: &str| {
            let path = root.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("chmod");
            version(&path)
        };
        let said = program("good", "echo; echo tool 1.2; echo more").expect("it says");
        assert_eq!(said, "tool 1.2");
        assert!(matches!(
            program("mute", "exit 0"),
            Err(Error::Untold { .. })
        ));
        assert!(matches!(
            program("bad", "echo 1; exit 2"),
            Err(Error::Untold { .. })
        ));
        assert!(matches!(program("hung", "sleep 600"), Err(Error::TimedOut)));
        let none = version(Path::new("/nonexistent/tool"));
        assert!(matches!(none, Err(Error::Run(_))));
    }
}
