//! The error of a refused netlink request.

use std::io;

use super::Refusal;

/// The kernel refused a request, or did not answer as it should.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}{}", remark(detail.as_deref()))]
pub struct Error {
    /// What was attempted, to be read after "cannot": `set link eth0 up`.
    pub action: String,
    /// What the kernel said besides the error number.
    pub detail: Option<String>,
    /// The kernel's answer.
    pub source: io::Error,
}

impl Error {
    pub(crate) fn new(action: impl Into<String>, refusal: Refusal) -> Self {
        Self {
            action: action.into(),
            detail: refusal.detail,
            source: refusal.source,
        }
    }

    /// The error number, where the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// Whether the interface, address or route is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(
            self.errno(),
            Some(libc::ENODEV | libc::ENOENT | libc::ESRCH | libc::EADDRNOTAVAIL)
        )
    }

    /// Whether there is one already.
    pub fn is_exists(&self) -> bool {
        self.errno() == Some(libc::EEXIST)
    }

    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self.errno() {
            Some(libc::EOPNOTSUPP) => Some("this kernel may lack the module for it".to_owned()),
            _ => crate::error::hint(&self.source),
        }
    }
}

fn remark(detail: Option<&str>) -> String {
    detail.map(|text| format!(" ({text})")).unwrap_or_default()
}
