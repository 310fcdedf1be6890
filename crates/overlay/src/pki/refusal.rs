//! Why a token gets nobody in.

use std::path::PathBuf;

use ignite_host::fs;

use super::{Error, TokenError};

/// More tokens than anybody gives out.
pub(super) const MAX_TOKENS: usize = 1000;

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Never given out, revoked, or with another secret: not told which.
    #[error("the token is not known")]
    Unknown,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// A token is good for one join.
    #[error("the token was used already")]
    Used,
}

impl Refusal {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some("make a new token on a host of the cluster".into())
    }
}

/// Errors of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its file could not be used.
    #[error("cannot use the store of tokens")]
    File(#[from] fs::Error),
    /// The file holds something else.
    #[error("{} is not a store of tokens", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Too many tokens.
    #[error("there are {MAX_TOKENS} tokens already: revoke some first")]
    Full,
    /// No token can be made.
    #[error("cannot make a token")]
    Token(#[from] TokenError),
}

impl StoreError {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(source) => source.hint(),
            Self::Unreadable { path, .. } => Some(format!(
                "remove {}: the tokens in it are lost, nothing else",
                path.display()
            )),
            Self::Full | Self::Token(_) => None,
        }
    }
}

/// Why a token was not exchanged for what it is good for.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError<E: std::error::Error + 'static> {
    /// The token is not taken.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it is good for could not be made; it stays good.
    #[error(transparent)]
    Make(E),
}

/// Why a joiner got no certificate.
pub type AdmitError = RedeemError<Error>;

impl AdmitError {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) => refusal.hint(),
            Self::Store(source) => source.hint(),
            Self::Make(source) => source.hint(),
        }
    }
}
