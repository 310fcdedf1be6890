//! Certificates of our own making, for etcd's servers and clients, and tokens to join with.
//!
//! ```text
//!   Authority --- issue ---> key and certificate of this host's etcd, or of a client
//!       |  '----- sign ----> certificate for a joiner's request, whose key never leaves it
//!       '-- fingerprint ---> part of a Token: a joiner knows whom to trust before it knows anything
//!
//!   TokenStore: issue, list, revoke; admit = the token is right -> sign -> used, on disk -> certificate
//! ```
//!
//! [`AuthorityFiles`] and [`NodeFiles`] keep all of it on disk.
//!
//! One provider of cryptography: ring. Keys are ECDSA on P-256. Times are arguments, no clock is read.

mod authority;
mod error;
mod facts;
mod files;
mod profile;
mod refusal;
mod request;
mod store;
mod token;
mod trust;

use std::path::Path;

use ignite_host::fs;

pub use authority::{Authority, Issued};
pub use error::Error;
pub(crate) use error::when;
pub use facts::{Facts, der, fingerprint};
pub(crate) use files::client;
pub use files::{AuthorityFiles, Made, NodeFiles, PEER_NAME, Pair};
pub use profile::{Profile, Usage, Validity};
pub use refusal::{AdmitError, RedeemError, Refusal, StoreError};
pub use request::{NewRequest, Request};
pub use store::{IssuedToken, TokenStore};
pub use token::{Token, TokenError};
pub use trust::check_signed;

/// No certificate, request or key of ours is as large.
const MAX_FILE: u64 = 256 << 10;

/// Replaces a file that only its owner may read, at once and durably.
pub fn write_private(path: &Path, text: &str) -> Result<(), fs::Error> {
    fs::write_atomic(path, text.as_bytes(), 0o600)
}

/// Reads a file of this module's, within its bound.
fn read_text(path: &Path) -> Result<String, fs::Error> {
    let bytes = fs::read_bounded(path, MAX_FILE)?;
    // PEM is ASCII; anything else is found out when it is parsed.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
