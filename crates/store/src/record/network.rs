//! `network.json`: what was attached, and everything needed to release it.
//!
//! ```text
//!  (absent) --intent recorded--> Intended --ADD ended--> Attached --before DEL--> Releasing --DEL ended--> (absent)
//! ```
//! DEL runs from here alone: the network's file may have changed or gone, and the sandbox with it.
//! Where a container owns the sandbox, it is recorded before it is asked for, and until it is gone.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use ignite_api::{Mac, NetworkPlugin};

use super::status::ProcessRecord;

/// The attachments of one VM.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkRecord {
    /// The network plugin that made them.
    pub plugin: NetworkPlugin,
    /// The sandbox; none where there is none.
    pub sandbox: Option<PathBuf>,
    /// The container that owns the sandbox, of the network plugin `docker-bridge`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<HolderRecord>,
    /// In the order they were made; released in reverse.
    pub attachments: Vec<AttachmentRecord>,
    /// Addresses the VM last had: asked for again at the next start.
    #[serde(deserialize_with = "remembered")]
    pub remembered: Vec<Remembered>,
}

/// A container that owns a VM's sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HolderRecord {
    /// Its name, ours to choose.
    pub container: String,
    /// Its id; none as long as it may not have been made.
    #[serde(default)]
    pub id: Option<String>,
    /// The socket of the engine that was asked for it.
    pub socket: PathBuf,
    /// Its image, by reference.
    #[serde(default)]
    pub image: Option<String>,
    /// Its first process; none as long as it may not have been started.
    #[serde(default)]
    pub process: Option<ProcessRecord>,
}

/// The addresses an interface last had on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remembered {
    /// The interface; none in older records, which knew the network only.
    #[serde(default)]
    pub interface: Option<String>,
    /// The network's name.
    pub network: String,
    /// The addresses.
    pub addresses: Vec<IpNet>,
}

/// Reads the list, or the map from networks to addresses of older records.
fn remembered<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Remembered>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Shape {
        List(Vec<Remembered>),
        ByNetwork(BTreeMap<String, Vec<IpNet>>),
    }
    Ok(match Shape::deserialize(deserializer)? {
        Shape::List(list) => list,
        Shape::ByNetwork(map) => map
            .into_iter()
            .map(|(network, addresses)| Remembered {
                interface: None,
                network,
                addresses,
            })
            .collect(),
    })
}

impl NetworkRecord {
    /// Whether nothing on the host is left to be released.
    pub fn is_released(&self) -> bool {
        self.attachments.is_empty() && self.sandbox.is_none() && self.holder.is_none()
    }

    /// The addresses `interface` last had on `network`. Of an older record, the first interface on
    /// the network has them.
    pub fn remembered(&self, interface: &str, network: &str) -> &[IpNet] {
        let of = |name: Option<&str>| {
            self.remembered
                .iter()
                .find(|one| one.network == network && one.interface.as_deref() == name)
        };
        of(Some(interface))
            .or_else(|| of(None))
            .map_or(&[], |one| &one.addresses)
    }

    /// Remembers what `interface` has on `network`.
    pub fn remember(&mut self, interface: &str, network: &str, addresses: Vec<IpNet>) {
        self.remembered.retain(|one| {
            let same = one
                .interface
                .as_deref()
                .is_none_or(|name| name == interface);
            one.network != network || !same
        });
        self.remembered.push(Remembered {
            interface: Some(interface.to_owned()),
            network: network.to_owned(),
            addresses,
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts
            .iter()
            .map(|text| text.parse().expect("a network"))
            .collect()
    }

    #[test]
    fn interfaces_on_one_network_do_not_share() {
        let mut record = NetworkRecord::default();
        record.remember("eth0", "lan", nets(&["10.0.0.2/24"]));
        record.remember("eth1", "lan", nets(&["10.0.0.3/24"]));
        record.remember("eth0", "other", nets(&["10.9.0.2/24"]));
        record.remember("eth0", "lan", nets(&["10.0.0.4/24"]));
        assert_eq!(record.remembered("eth0", "lan"), nets(&["10.0.0.4/24"]));
        assert_eq!(record.remembered("eth1", "lan"), nets(&["10.0.0.3/24"]));
        assert_eq!(record.remembered("eth2", "lan"), nets(&[]));
        assert_eq!(record.remembered.len(), 3);
        let text = serde_json::to_string(&record).expect("plain data");
        assert_eq!(
            serde_json::from_str::<NetworkRecord>(&text).expect("our own"),
            record
        );
    }

    #[test]
    fn a_container_is_to_be_released_too() {
        let mut record = NetworkRecord::default();
        assert!(record.is_released());
        let text = serde_json::to_string(&record).expect("plain data");
        assert!(!text.contains("holder"), "{text}");
        record.holder = Some(HolderRecord {
            container: "ignite-0123456789abcdef".into(),
            id: None,
            socket: "/run/docker.sock".into(),
            image: None,
            process: None,
        });
        assert!(!record.is_released());
    }

    #[test]
    fn older_records_are_read() {
        let text = r#"{"remembered": {"lan": ["10.0.0.2/24"], "other": ["10.9.0.2/24"]}}"#;
        let mut record: NetworkRecord = serde_json::from_str(text).expect("an older record");
        assert_eq!(record.remembered("eth0", "lan"), nets(&["10.0.0.2/24"]));
        record.remember("eth0", "lan", nets(&["10.0.0.2/24"]));
        assert_eq!(record.remembered("eth1", "lan"), nets(&[]));
        assert_eq!(record.remembered("eth1", "other"), nets(&["10.9.0.2/24"]));
    }
}
