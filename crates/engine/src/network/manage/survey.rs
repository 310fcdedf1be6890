//! All networks with all their attachments, from every place that knows of some.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;

use ignite_api::{NetworkPlugin, Uid};
use ignite_cni::cache::{CacheError, Entry, Filter};
use ignite_cni::{NetworkConfig, NetworkResult, Networks};
use ignite_store::{AttachmentRecord, AttachmentState};
use ipnet::IpNet;
use serde::Serialize;

use super::ours;
use crate::{Engine, Error};

/// One attachment to a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentLine {
    /// Whose it is.
    pub owner: Owner,
    /// The VM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm: Option<VmRef>,
    /// Container ID.
    pub container_id: String,
    /// Interface in the namespace.
    pub interface: String,
    /// MAC of the interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpNet>,
    /// Its gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Path of the namespace.
    pub namespace: PathBuf,
    /// How far it is: `intended`, `attached`, `releasing`.
    pub state: AttachmentState,
}

/// Whose an attachment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// A VM's.
    Vm,
    /// A VM's that is gone, by the shape of its container ID.
    Nobody,
    /// Another program's.
    Other,
}

/// A VM by its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VmRef {
    /// Its uid.
    pub uid: Uid,
    /// Its name.
    pub name: String,
}

/// A network and who is on it.
pub(super) struct Known {
    /// Its configuration.
    pub config: NetworkConfig,
    /// Whether it is the one VMs get unless told otherwise.
    pub is_default: bool,
    /// Attachments, VMs' first.
    pub attachments: Vec<AttachmentLine>,
}

/// All networks, those in use whose file is gone behind the others.
pub(super) struct Survey {
    /// The networks.
    pub networks: Vec<Known>,
    /// What could not be read, in words.
    pub faults: Vec<String>,
}

type ById = BTreeMap<(String, String), AttachmentLine>;

impl Engine {
    /// Looks everywhere.
    pub(super) fn survey(&self) -> Result<Survey, Error> {
        let paths = &self.config.paths;
        let (networks, faults) = Networks::load(&paths.cni_conf);
        let mut faults: Vec<String> = faults
            .iter()
            .map(|fault| ignite_cni::error::chain(fault))
            .collect();
        let mut found = Attachments::default();
        for entry in self.cached_attachments(&mut faults) {
            found.add_cached(&entry);
        }
        self.add_recorded(&mut found, &mut faults)?;
        let mut known: Vec<Known> = usable(&networks)
            .enumerate()
            .map(|(index, config)| found.take(config.clone(), index == 0))
            .collect();
        let gone = found.gone();
        known.extend(gone);
        Ok(Survey {
            networks: known,
            faults,
        })
    }

    /// All entries of CNI's cache, which only root may read.
    fn cached_attachments(&self, faults: &mut Vec<String>) -> Vec<Entry> {
        match self.config.cni.cache().list(Filter::default()) {
            Ok(entries) => entries,
            Err(CacheError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Vec::new()
            }
            Err(error) => {
                faults.push(ignite_cni::error::chain(&error));
                Vec::new()
            }
        }
    }

    fn add_recorded(&self, found: &mut Attachments, faults: &mut Vec<String>) -> Result<(), Error> {
        let summary = self.vms.summary()?;
        faults.extend(summary.faults.iter().map(ToString::to_string));
        for vm in summary.vms {
            let name = VmRef {
                uid: vm.uid,
                name: vm.name,
            };
            match self.vms.network(vm.uid) {
                // Docker's bridge is no network of CNI's.
                Ok(record) if record.plugin != NetworkPlugin::Cni => {}
                Ok(record) => {
                    for made in &record.attachments {
                        found.add_recorded(made, &name);
                    }
                }
                Err(error) => faults.push(error.to_string()),
            }
        }
        Ok(())
    }
}

/// The networks that are used by their names, in the order of their files.
pub(crate) fn usable(networks: &Networks) -> impl Iterator<Item = &NetworkConfig> {
    networks.all().iter().filter(|config| {
        let used = networks.by_name(&config.name);
        used.is_ok_and(|used| std::ptr::eq(used, *config))
    })
}

/// Attachments by network, and the configurations they were made with.
#[derive(Default)]
struct Attachments {
    by_network: BTreeMap<String, ById>,
    configs: HashMap<String, Vec<u8>>,
}

impl Attachments {
    fn add(&mut self, network: &str, config: &[u8], line: AttachmentLine) {
        let id = (line.container_id.clone(), line.interface.clone());
        let lines = self.by_network.entry(network.to_owned()).or_default();
        lines.insert(id, line);
        if !self.configs.contains_key(network) {
            self.configs.insert(network.to_owned(), config.to_owned());
        }
    }

    fn add_cached(&mut self, entry: &Entry) {
        self.add(&entry.network, &entry.config, cached(entry));
    }

    /// What a record says replaces what the cache says.
    fn add_recorded(&mut self, made: &AttachmentRecord, vm: &VmRef) {
        self.add(&made.network, made.config.as_bytes(), recorded(made, vm));
    }

    fn take(&mut self, config: NetworkConfig, is_default: bool) -> Known {
        let lines = self.by_network.remove(&config.name).unwrap_or_default();
        let mut attachments: Vec<AttachmentLine> = lines.into_values().collect();
        attachments.sort_by_key(|line| line.owner as u8);
        Known {
            config,
            is_default,
            attachments,
        }
    }

    /// Networks without a file that have attachments, by the configuration these were made with.
    fn gone(mut self) -> Vec<Known> {
        let names: BTreeSet<String> = self.by_network.keys().cloned().collect();
        let config = |bytes: &Vec<u8>| NetworkConfig::parse(bytes).ok();
        let configs: Vec<NetworkConfig> = names
            .iter()
            .filter_map(|name| self.configs.get(name).and_then(config))
            .collect();
        configs
            .into_iter()
            .map(|config| self.take(config, false))
            .collect()
    }
}

fn cached(entry: &Entry) -> AttachmentLine {
    let attachment = &entry.attachment;
    let result = entry
        .result
        .as_ref()
        .and_then(|result| NetworkResult::decode(result).ok())
        .unwrap_or_default();
    let ips = result.addresses_of(&attachment.ifname);
    let owner = match ours::uid(&attachment.container_id) {
        Some(_) => Owner::Nobody,
        None => Owner::Other,
    };
    AttachmentLine {
        owner,
        vm: None,
        container_id: attachment.container_id.clone(),
        interface: attachment.ifname.clone(),
        mac: result
            .interface_of(&attachment.ifname)
            .and_then(|interface| interface.mac.clone()),
        addresses: ips.iter().map(|ip| ip.address).collect(),
        gateway: ips.iter().find_map(|ip| ip.gateway),
        namespace: attachment.netns.clone(),
        state: AttachmentState::Attached,
    }
}

fn recorded(made: &AttachmentRecord, vm: &VmRef) -> AttachmentLine {
    AttachmentLine {
        owner: Owner::Vm,
        vm: Some(vm.clone()),
        container_id: made.container_id.clone(),
        interface: made.interface.clone(),
        mac: Some(made.mac.to_string()),
        addresses: made.addresses.clone(),
        gateway: made.gateway,
        namespace: made.netns.clone(),
        state: made.state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_cni::Attachment;
    use serde_json::json;

    fn entry(network: &str, container_id: &str) -> Entry {
        let result = json!({
            "cniVersion": "1.0.0",
            "interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": "/run/netns/x"}],
            "ips": [{"address": "10.9.0.2/24", "gateway": "10.9.0.1", "interface": 0}],
        });
        Entry {
            network: network.to_owned(),
            attachment: Attachment::new(container_id, "/run/netns/x", "eth0"),
            config: format!(r#"{{"name":"{network}","plugins":[{{"type":"bridge"}}]}}"#).into(),
            result: result.as_object().cloned(),
        }
    }

    #[test]
    fn a_network_whose_file_is_gone_is_known_by_its_attachments() {
        let mut found = Attachments::default();
        found.add_cached(&entry("gone", "cnitool-1"));
        found.add_cached(&entry("gone", "ignite-0123456789abcdef"));
        let config = NetworkConfig::parse(&entry("there", "x").config).expect("well formed");
        assert!(found.take(config, true).attachments.is_empty());
        let gone = found.gone();
        let [known] = &gone[..] else {
            panic!("one network is gone, not {}", gone.len());
        };
        assert_eq!(
            (known.config.name.as_str(), known.is_default),
            ("gone", false)
        );
        assert_eq!(known.config.file, None);
        let owners: Vec<Owner> = known.attachments.iter().map(|line| line.owner).collect();
        assert_eq!(owners, [Owner::Nobody, Owner::Other]);
        let line = &known.attachments[0];
        assert_eq!(line.addresses, ["10.9.0.2/24".parse().expect("a network")]);
        assert_eq!(line.mac.as_deref(), Some("02:00:00:00:00:01"));
    }
}
