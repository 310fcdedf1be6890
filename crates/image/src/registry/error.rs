//! What can go wrong with a registry.

use std::io;
use std::path::PathBuf;

use ignite_api::Reference;
use ignite_host::fs;

use super::credentials::CredentialsError;
use crate::digest::{Digest, ParseError};
use crate::layout::LayoutError;
use crate::manifest::DocumentError;

/// Errors of speaking to a registry.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers, or nobody who can be trusted.
    #[error("cannot reach the registry {registry}")]
    Unreachable {
        /// Host and port.
        registry: String,
        /// What failed.
        source: reqwest::Error,
    },
    /// Somebody else answers.
    #[error("{registry} is no image registry: it answers {status}")]
    NotARegistry {
        /// Host and port.
        registry: String,
        /// HTTP status.
        status: u16,
    },
    /// It wants to know who asks, or does not let that one.
    #[error(
        "the registry {registry} refuses access to {repository}{}",
        as_whom(user)
    )]
    Unauthorised {
        /// Host and port.
        registry: String,
        /// The repository.
        repository: String,
        /// The user known to us.
        user: Option<String>,
    },
    /// The way it wants to be logged in to is unknown or unsafe.
    #[error("the registry {registry} asks for a login that cannot be given: {reason}")]
    Challenge {
        /// Host and port.
        registry: String,
        /// Why not.
        reason: String,
    },
    /// No such repository.
    #[error("the registry {} has no repository {}", reference.registry(), reference.repository())]
    UnknownRepository {
        /// What was asked for.
        reference: Reference,
    },
    /// No such tag or digest.
    #[error("there is no image {}", reference.familiar())]
    UnknownImage {
        /// What was asked for.
        reference: Reference,
    },
    /// Too many downloads.
    #[error("the registry {registry} lets nobody from here download any more for now")]
    RateLimited {
        /// Host and port.
        registry: String,
    },
    /// Any other answer.
    #[error("{url} answers {status}: {message}")]
    Status {
        /// What was asked for.
        url: String,
        /// HTTP status.
        status: u16,
        /// The beginning of what it says.
        message: String,
    },
    /// The connection broke, and again when tried once more.
    #[error("the connection to {registry} broke")]
    Broken {
        /// Host and port.
        registry: String,
        /// What failed.
        source: reqwest::Error,
    },
    /// A document larger than any real one.
    #[error("the {what} of {registry} is larger than {max} bytes")]
    TooLarge {
        /// Host and port.
        registry: String,
        /// Which document.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// The answer is not what was asked for.
    #[error("the registry sent a {what} with the digest {found}, not {expected}")]
    WrongDigest {
        /// Which document or layer.
        what: String,
        /// Asked for.
        expected: Digest,
        /// Sent.
        found: Digest,
    },
    /// A layer ends too early, however often it is asked for.
    #[error("layer {layer} is cut short: the registry sends {found} of {expected} bytes")]
    CutShort {
        /// The layer.
        layer: String,
        /// Its size by the manifest.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// A layer goes on past its size.
    #[error("layer {layer} is longer than the {expected} bytes it should have")]
    TooLong {
        /// The layer.
        layer: String,
        /// Its size by the manifest.
        expected: u64,
    },
    /// A document is not what it should be.
    #[error("cannot use the image {image}")]
    Document {
        /// What was asked for.
        image: String,
        /// What is wrong.
        source: DocumentError,
    },
    /// The reference holds a digest of another algorithm.
    #[error("the image cannot be checked")]
    Digest(#[from] ParseError),
    /// None for this machine.
    #[error(transparent)]
    Platform(LayoutError),
    /// Docker's configuration could not be used.
    #[error("cannot find the login for {registry}")]
    Credentials {
        /// Host and port.
        registry: String,
        /// What failed.
        source: CredentialsError,
    },
    /// No room for the layers.
    #[error("disk full: {free} bytes are left at {}, {needed} are needed", path.display())]
    DiskFull {
        /// Where.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// A downloaded file could not be kept.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A directory could not be used.
    #[error("cannot keep downloads")]
    Directory(#[from] fs::Error),
    /// The client itself could not be made.
    #[error("cannot set up TLS and HTTP")]
    Client(#[source] reqwest::Error),
    /// The event loop could not be made.
    #[error("cannot start the download")]
    Runtime(#[source] io::Error),
    /// The caller called it off.
    #[error("interrupted")]
    Cancelled,
}

fn as_whom(user: &Option<String>) -> String {
    user.as_ref()
        .map(|user| format!(" as {user}"))
        .unwrap_or_default()
}

impl Error {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { registry, source } if is_certificate(source) => format!(
                "put its certificate authority's certificate into /etc/docker/certs.d/{registry}/ca.crt, or use --insecure-registry {registry}"
            ),
            Self::Unreachable { registry, .. } => format!(
                "check the name and the network; a registry without TLS needs --insecure-registry {registry}"
            ),
            Self::NotARegistry { .. } => "check the registry's name and port".into(),
            Self::Unauthorised {
                registry,
                user: None,
                ..
            } => format!(
                "check the spelling; if the image is private, log in with: docker login {registry}"
            ),
            Self::Unauthorised { registry, .. } => format!(
                "check the spelling, and whether this user may read it; to log in again: docker login {registry}"
            ),
            Self::UnknownRepository { .. } => "check the spelling of the image's name".into(),
            Self::UnknownImage { reference } => match reference.digest() {
                Some(_) => "check the digest; the registry may have deleted it".into(),
                None => "check the tag; without one, \"latest\" is taken".into(),
            },
            Self::RateLimited { registry } => {
                format!("log in with docker login {registry}, or try again later")
            }
            Self::Broken { .. } => {
                "try again: what was downloaded is kept and not fetched again".into()
            }
            Self::WrongDigest { .. } | Self::CutShort { .. } | Self::TooLong { .. } => {
                "the registry's copy is damaged: push the image again, or take it from elsewhere"
                    .into()
            }
            Self::DiskFull { path, .. } => {
                format!("free some space on the file system of {}", path.display())
            }
            Self::Status { status: 500.., .. } => {
                "the registry has a problem; try again later".into()
            }
            Self::Platform(source) => return source.hint(),
            Self::Credentials { source, .. } => return source.hint(),
            Self::Directory(source) => return source.hint(),
            _ => return None,
        })
    }

    /// Whether trying again may help.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Broken { .. } | Self::CutShort { .. } | Self::RateLimited { .. } => true,
            Self::Status { status, .. } => *status >= 500 || *status == 408,
            _ => false,
        }
    }
}

/// Whether TLS failed for the certificate, somewhere down the chain.
fn is_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if matches!(
            error.downcast_ref(),
            Some(rustls::Error::InvalidCertificate(_))
        ) {
            return true;
        }
        // An I/O error shows what it wraps to nobody but who asks for it.
        if let Some(io) = error.downcast_ref::<io::Error>()
            && let Some(inner) = io.get_ref()
            && is_certificate(inner)
        {
            return true;
        }
        next = error.source();
    }
    false
}
