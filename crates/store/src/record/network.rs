//! `network.json`: what was attached, and everything needed to release it.
//!
//! ```text
//!  (absent) --intent recorded--> Intended --ADD ended--> Attached --before DEL--> Releasing --DEL ended--> (absent)
//! ```
//! DEL runs from here alone: the network's file may have changed or gone, and the sandbox with it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use ignite_api::{Mac, NetworkPlugin};

/// The attachments of one VM.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkRecord {
    /// The network plugin that made them.
    pub plugin: NetworkPlugin,
    /// The sandbox; none where there is none.
    pub sandbox: Option<PathBuf>,
    /// In the order they were made; released in reverse.
    pub attachments: Vec<AttachmentRecord>,
    /// Addresses the VM last had, by the network's name: asked for again at the next start.
    pub remembered: BTreeMap<String, Vec<IpNet>>,
}

impl NetworkRecord {
    /// Whether nothing on the host is left to be released.
    pub fn is_released(&self) -> bool {
        self.attachments.is_empty() && self.sandbox.is_none()
    }
}

/// How far an attachment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttachmentState {
    /// ADD is about to run, or was cut off: there may be something to undo.
    Intended,
    /// ADD ended well; the result is recorded.
    Attached,
    /// DEL is about to run, or was cut off.
    Releasing,
}

/// One attachment: what ADD was given, and what it answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentRecord {
    /// The network's name.
    pub network: String,
    /// The file it was read from, for messages.
    pub config_file: PathBuf,
    /// The configuration list, byte for byte as it was at ADD.
    pub config: String,
    /// Interface name: `CNI_IFNAME`.
    pub interface: String,
    /// The VM's MAC on it.
    pub mac: Mac,
    /// `CNI_CONTAINERID`.
    pub container_id: String,
    /// `CNI_NETNS`.
    pub netns: PathBuf,
    /// `CNI_ARGS`, in order.
    #[serde(default)]
    pub args: Vec<(String, String)>,
    /// Capability arguments (`runtimeConfig`).
    #[serde(default)]
    pub capabilities: Map<String, Value>,
    /// How far it is.
    pub state: AttachmentState,
    /// The result of ADD, as the plugins gave it.
    #[serde(default)]
    pub result: Option<Value>,
    /// Addresses of the interface, from the result.
    #[serde(default)]
    pub addresses: Vec<IpNet>,
    /// Gateway, from the result.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
}
