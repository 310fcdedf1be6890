//! The error of a refused system call, used by the modules whose failures have no further kinds.

use std::io;

/// A system call was refused: what was attempted, and the kernel's answer.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}")]
pub struct SystemError {
    /// What was attempted, to be read after "cannot": `open the tap "tap0"`.
    pub action: String,
    /// The kernel's answer.
    pub source: io::Error,
}

impl SystemError {
    /// An error of `action` with the kernel's answer.
    pub fn new(action: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self {
            action: action.into(),
            source: source.into(),
        }
    }

    /// The error number, where the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        hint(&self.source)
    }
}

/// An error and its causes in one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What can be done about a refusal that means the same everywhere.
pub fn hint(error: &io::Error) -> Option<String> {
    hint_for(error, rustix::process::geteuid().is_root())
}

fn hint_for(error: &io::Error, is_root: bool) -> Option<String> {
    let text = match error.raw_os_error()? {
        libc::EPERM if is_root => {
            "root itself is refused this: run it outside of any container, or in one that has all \
             capabilities"
        }
        libc::EPERM | libc::EACCES => "run this as root, or with sudo",
        libc::ENOSPC => "free some space on that file system, then try again",
        libc::EDQUOT => "the disk quota is used up: free some space, then try again",
        libc::EROFS => {
            "that file system is mounted read-only: remount it, or use another directory"
        }
        libc::EMFILE | libc::ENFILE => {
            "too many files are open: raise the limit (`ulimit -n`), then try again"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// Adds what was attempted to the kernel's answer.
pub(crate) trait Context<T> {
    /// Names the attempt; the text is made only on failure.
    fn context(self, action: impl FnOnce() -> String) -> Result<T, SystemError>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, action: impl FnOnce() -> String) -> Result<T, SystemError> {
        self.map_err(|source| SystemError::new(action(), source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_not_told_to_be_root() {
        let refused = io::Error::from_raw_os_error(libc::EPERM);
        let hint = |is_root| hint_for(&refused, is_root).expect("something to do");
        assert!(hint(false).contains("sudo") && hint(true).contains("capabilities"));
    }
}
