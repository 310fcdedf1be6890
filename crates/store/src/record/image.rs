//! `image.json`: one bootable image.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use ignite_api::{Size, Uid};

/// An image, identified by the digest of its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageRecord {
    /// Uid.
    pub uid: Uid,
    /// Names, the first one is shown; empty where another image took them over.
    pub names: Vec<String>,
    /// Moment of the import.
    pub created: Timestamp,
    /// Digest of the manifest (or of what stands for it), `sha256:…`.
    pub digest: String,
    /// Where it was imported from, as given.
    pub source: String,
    /// Size of the content it was made of.
    pub size: Size,
    /// Size of the ext4 file: the least a VM's disk can have.
    pub disk_size: Size,
    /// What the image says about running it.
    pub config: ImageConfig,
}

impl ImageRecord {
    /// The name to show.
    pub fn name(&self) -> &str {
        self.names.first().map_or("<none>", String::as_str)
    }
}

/// What an image says about running it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageConfig {
    /// Program and first arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments, or the whole command.
    pub cmd: Vec<String>,
    /// Environment, `NAME=value`.
    pub env: Vec<String>,
    /// `user[:group]`; empty for root.
    pub user: String,
    /// Working directory; empty for `/`.
    pub working_dir: String,
    /// Ports it listens on, `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// Signal that asks its command to end, as the image names it; empty for SIGTERM.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Absolute path of an init found in the tree; none where the command runs instead.
    pub init: Option<String>,
    /// Architecture, as OCI names it: `amd64`.
    pub architecture: String,
}
