//! `kernel.json`: one bootable kernel.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use ignite_api::{Size, Uid};

/// A kernel, identified by the digest of its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KernelRecord {
    /// Uid.
    pub uid: Uid,
    /// Names, the first one is shown; empty where another kernel took them over.
    pub names: Vec<String>,
    /// Moment of the import.
    pub created: Timestamp,
    /// Digest of the content, `sha256:…`.
    pub digest: String,
    /// Where it was imported from, as given.
    pub source: String,
    /// The kernel's release: `6.1.0-41-cloud-amd64`.
    pub version: String,
    /// Size of what is kept of it.
    pub size: Size,
    /// Digest of the guest program in its initramfs: built anew where it differs.
    #[serde(default)]
    pub guest: Option<String>,
}

impl KernelRecord {
    /// The name to show.
    pub fn name(&self) -> &str {
        self.names.first().map_or("<none>", String::as_str)
    }
}
