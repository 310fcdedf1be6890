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

    /// Whether the kernel has no such thing, or lacks the module for it.
    pub fn is_unsupported(&self) -> bool {
        self.errno() == Some(libc::EOPNOTSUPP)
    }

    /// "TC classifier not found", "Failed to load TC action module".
    fn is_about_filters(&self) -> bool {
        let detail = self.detail.as_deref();
        detail.is_some_and(|text| text.contains("TC classifier") || text.contains("TC action"))
    }

    /// "Specified qdisc kind is unknown".
    fn is_about_queues(&self) -> bool {
        let detail = self.detail.as_deref();
        detail.is_some_and(|text| text.contains("qdisc kind"))
    }

    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self.errno() {
            Some(libc::EOPNOTSUPP) => Some("this kernel may lack the module for it".to_owned()),
            Some(libc::ENOENT) if self.is_about_filters() => Some(
                "the kernel needs the modules cls_bpf and act_mirred (CONFIG_NET_CLS_BPF, CONFIG_NET_ACT_MIRRED)"
                    .to_owned(),
            ),
            Some(libc::ENOENT) if self.is_about_queues() => {
                Some("the kernel needs the module sch_tbf (CONFIG_NET_SCH_TBF)".to_owned())
            }
            _ => crate::error::hint(&self.source),
        }
    }
}

fn remark(detail: Option<&str>) -> String {
    detail.map(|text| format!(" ({text})")).unwrap_or_default()
}
