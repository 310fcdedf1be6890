//! What can go wrong with certificates.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use ignite_host::fs;

use super::{Usage, Validity};

/// Errors of certificates, keys and requests.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot use the file of a certificate or key")]
    File(#[from] fs::Error),
    /// A directory could not be made.
    #[error("cannot make the directory {}", path.display())]
    Directory {
        /// It.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A text is not what it should be.
    #[error("not a {what} (PEM): {reason}")]
    Unreadable {
        /// What was expected.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A certificate that may not sign others.
    #[error("the certificate is not one of an authority")]
    NotAnAuthority,
    /// The key of another one.
    #[error("the key does not belong to the certificate")]
    WrongKey,
    /// The authority's time is over, or has not come.
    #[error("the authority's certificate is expired or not valid yet")]
    AuthorityExpired,
    /// The authority's files are damaged, or not all there.
    #[error("the authority in {} cannot be used", path.display())]
    Authority {
        /// Its directory.
        path: PathBuf,
        /// What is wrong.
        source: Box<Error>,
    },
    /// A file of the authority is gone.
    #[error("a file of the authority's key and certificate (ca.key, ca.crt) is gone")]
    KeyLost,
    /// Not the authority that was named.
    #[error("the authority's certificate is not the one that the token names")]
    OtherAuthority,
    /// Another authority's, or for another usage.
    #[error(
        "the certificate is not one that the authority signed for {}",
        for_whom(usage)
    )]
    NotSigned {
        /// What it should be good for.
        usage: Usage,
        /// What is wrong.
        source: rustls::Error,
    },
    /// Over, or not begun.
    #[error("the certificate {} is not valid now, at {}: it is from {} until {}",
        path.display(), when(*now), when(validity.from), when(validity.to))]
    NotNow {
        /// The certificate.
        path: PathBuf,
        /// From when to when it is valid.
        validity: Validity,
        /// What this host's clock says.
        now: SystemTime,
    },
    /// A clock that was never set.
    #[error("this host's clock says {}: certificates made now would be of no use", when(*now))]
    Clock {
        /// What it says.
        now: SystemTime,
    },
    /// Not a name of the DNS.
    #[error("{0:?} is not a host name")]
    Name(String),
    /// A certificate for nobody.
    #[error("a server's certificate needs a name or an address")]
    ForNobody,
    /// The key's algorithm, or the request, is not one that can be signed for.
    #[error("cannot make the {what}")]
    Make {
        /// What was to be made.
        what: &'static str,
        /// Why not.
        source: rcgen::Error,
    },
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(source) => source.hint(),
            Self::AuthorityExpired => Some(
                "check this host's clock; an authority that is really over is made anew, and all certificates with it".into(),
            ),
            Self::WrongKey => Some("certificate and key come from different times: restore both from one backup".into()),
            Self::Authority { source, path } => match &**source {
                Self::AuthorityExpired => source.hint(),
                _ => Some(format!(
                    "restore {0} from a backup. Or remove {0} to begin anew: all hosts have to join again then",
                    path.display()
                )),
            },
            Self::Directory { .. } => None,
            Self::NotSigned { .. } => Some("let this host join again: it has files of two overlays".into()),
            Self::NotNow { validity, now, .. } => Some(match *now < validity.from {
                true => "set this host's clock".into(),
                false => "let this host join again, with a new token; if it should be valid, set this host's clock".into(),
            }),
            Self::Clock { .. } => Some("set the clock first, `timedatectl set-ntp true` for example".into()),
            _ => None,
        }
    }

    /// A key that cannot be read, in `map_err`.
    pub(super) fn unreadable_key(error: rcgen::Error) -> Self {
        Self::Unreadable {
            what: "key",
            reason: error.to_string(),
        }
    }

    /// A failure of the certificate library in `map_err`.
    pub(super) fn make(what: &'static str) -> impl FnOnce(rcgen::Error) -> Self {
        move |source| Self::Make { what, source }
    }
}

fn for_whom(usage: &Usage) -> &'static str {
    match usage {
        Usage::Server => "a server",
        Usage::Client => "a client",
    }
}

/// A moment as people and logs write it, in seconds.
pub(crate) fn when(time: SystemTime) -> String {
    match jiff::Timestamp::try_from(time) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => "a time beyond all calendars".to_owned(),
    }
}
