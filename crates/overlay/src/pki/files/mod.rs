//! The directories keys and certificates are kept in. All that is secret has mode 0600.
//!
//! ```text
//!   authority's, on the first host          node's, on every host
//!     ca.crt  ca.key                          ca.crt
//!     etcd.crt  etcd.key    clients' side     node.crt  node.key
//!     peer.crt  peer.key    members' side
//!     tokens.json  tokens.json.lock
//! ```
//!
//! Every file is replaced as a whole, and a key is written before its certificate. Who is interrupted
//! between two files leaves a pair that does not fit: the next [`AuthorityFiles::create`] mends it.

mod authority;
mod node;
mod pair;
#[cfg(test)]
mod tests;

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use ignite_host::fs;

pub(crate) use authority::client;
pub use authority::{AuthorityFiles, Made, PEER_NAME};
pub use node::NodeFiles;
pub use pair::Pair;

use super::Error;

/// Makes a directory that only its owner may enter, or makes it so.
fn make_private(directory: &Path) -> Result<(), Error> {
    let failed = |source| Error::Directory {
        path: directory.to_owned(),
        source,
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(directory).map_err(failed)?;
    let private = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(directory, private).map_err(failed)?;
    match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => Ok(fs::sync_directory(parent)?),
        _ => Ok(()),
    }
}

/// Replaces a certificate, which everybody may read.
fn write_public(path: &Path, text: &str) -> Result<(), Error> {
    Ok(fs::write_atomic(path, text.as_bytes(), 0o644)?)
}
