//! What can go wrong with certificates.

use ignite_host::fs;

/// Errors of certificates, keys and requests.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot use the file of a certificate or key")]
    File(#[from] fs::Error),
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
            _ => None,
        }
    }

    /// A failure of the certificate library in `map_err`.
    pub(super) fn make(what: &'static str) -> impl FnOnce(rcgen::Error) -> Self {
        move |source| Self::Make { what, source }
    }
}
