//! Published ports of an attachment that stays: those that are published change, and nothing else.
//!
//! ```text
//!  record old and new -> DEL, ADD of the plugins that publish -> record new -> forwarding
//! ```
//! DEL is told all that may have been published: some plugins do nothing where they are told of no
//! port. A process that dies in between leaves that in the record, which is what a release needs.

use std::net::IpAddr;

use ignite_api::PortMapping;
use ignite_cni::NetworkConfig;
use ignite_cni::capability::Capabilities;
use ignite_cni::result::NetworkResult;
use ignite_cni::runtime::{Change, Runtime};
use ignite_store::{
    AttachmentRecord, AttachmentState, NetworkLock, NetworkRecord, VmLock, VmRecord,
};
use ipnet::IpNet;
use serde_json::{Map, Value};

use super::{Cni, check_publishes, families, forwarding, hairpin, port, ports};
use crate::Report;
use crate::network::Error;
use crate::network::manage::ours;

/// The capability of plugins that publish ports.
const CAPABILITY: &str = "portMappings";

/// How other ports come to be published for a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// While it runs.
    Live,
    /// With its next start.
    Restart,
    /// By themselves: nothing of it is attached any more.
    Nothing,
}

impl Cni<'_> {
    /// How the ports of `record` come to be published; an error where its network never will.
    pub fn way(
        &self,
        record: &VmRecord,
        network: &NetworkRecord,
        report: &dyn Report,
    ) -> Result<Way, Error> {
        let Some(index) = publishing(record, network) else {
            return Ok(Way::Nothing);
        };
        let made = &network.attachments[index];
        if Runtime::can_change(&config(made)?, CAPABILITY) {
            let addresses: Vec<IpAddr> = made.addresses.iter().map(IpNet::addr).collect();
            ports::check_families(&record.spec.network.ports, &addresses)?;
            return Ok(Way::Live);
        }
        // Its file may say more by now than it did when the VM was started.
        let networks = self.networks(record, report)?;
        check_publishes(record, networks.first())?;
        Ok(Way::Restart)
    }

    /// Publishes the ports of `record` instead of those that are published.
    pub fn publish(
        &self,
        lock: &VmLock,
        record: &VmRecord,
        report: &dyn Report,
    ) -> Result<(), Error> {
        let mut network = lock.network()?;
        let Some(index) = publishing(record, &network) else {
            return Ok(());
        };
        let made = &mut network.attachments[index];
        let (config, result) = (config(made)?, made.result.clone().unwrap_or_default());
        let after = mappings(&record.spec.network.ports);
        let all = both(published(made), &after);
        set(&mut made.capabilities, all);
        let before = ours::attachment(made);
        lock.write_network(&network)?;
        let made = &mut network.attachments[index];
        set(&mut made.capabilities, after);
        let change = Change {
            capability: CAPABILITY,
            before: &before,
            after: &ours::attachment(made),
            result: &result,
        };
        let shared = NetworkLock::shared(self.paths, &made.network)?;
        let changed = self.runtime.change(&config, change);
        drop(shared);
        changed.map_err(Error::Cni)?;
        self.admit(record, made, &result, report)?;
        Ok(lock.write_network(&network)?)
    }

    /// Lets connections to the ports through, as for a new attachment.
    fn admit(
        &self,
        record: &VmRecord,
        made: &AttachmentRecord,
        result: &Value,
        report: &dyn Report,
    ) -> Result<(), Error> {
        if record.spec.network.ports.is_empty() {
            return Ok(());
        }
        let result = result.as_object().cloned().unwrap_or_default();
        let result = NetworkResult::decode(&result).unwrap_or_default();
        let addresses: Vec<IpAddr> = made.addresses.iter().map(IpNet::addr).collect();
        for bridge in hairpin(&result)? {
            if let Err(error) = forwarding::admit(self.paths, &bridge, &families(&addresses)) {
                report.warn(&format!(
                    "published ports may be cut off by the host's firewall: {error}"
                ));
            }
        }
        Ok(())
    }
}

/// The attachment on which the VM's ports are published: its first interface's.
fn publishing(record: &VmRecord, network: &NetworkRecord) -> Option<usize> {
    let first = record.interfaces.first()?;
    network.attachments.iter().position(|made| {
        made.interface == first.name
            && made.state == AttachmentState::Attached
            && made.result.is_some()
    })
}

/// The network as it was when the VM was attached.
fn config(made: &AttachmentRecord) -> Result<NetworkConfig, Error> {
    NetworkConfig::parse(made.config.as_bytes()).map_err(|source| Error::Recorded {
        network: made.network.clone(),
        source,
    })
}

/// Ports as plugins are told of them.
fn mappings(ports: &[PortMapping]) -> Vec<Value> {
    let ports: Vec<_> = ports.iter().map(port).collect();
    let built = Capabilities::new().port_mappings(&ports).build();
    let list = built.get(CAPABILITY).and_then(Value::as_array);
    list.cloned().unwrap_or_default()
}

/// The ports that may be published already.
fn published(made: &AttachmentRecord) -> Vec<Value> {
    let list = made.capabilities.get(CAPABILITY).and_then(Value::as_array);
    list.cloned().unwrap_or_default()
}

fn both(mut mappings: Vec<Value>, more: &[Value]) -> Vec<Value> {
    let new = more.iter().filter(|mapping| !mappings.contains(mapping));
    let new: Vec<Value> = new.cloned().collect();
    mappings.extend(new);
    mappings
}

fn set(capabilities: &mut Map<String, Value>, mappings: Vec<Value>) {
    if mappings.is_empty() {
        capabilities.remove(CAPABILITY);
    } else {
        capabilities.insert(CAPABILITY.to_owned(), Value::Array(mappings));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(texts: &[&str]) -> Vec<PortMapping> {
        let parse = |text: &&str| PortMapping::parse(text).expect("a mapping");
        texts.iter().flat_map(parse).collect()
    }

    #[test]
    fn del_is_told_of_old_and_new_once_each() {
        let (old, new) = (
            mappings(&ports(&["8080:80", "53:53/udp"])),
            mappings(&ports(&["9090:80", "53:53/udp"])),
        );
        let hosts: Vec<u64> = both(old, &new)
            .iter()
            .filter_map(|mapping| mapping["hostPort"].as_u64())
            .collect();
        assert_eq!(hosts, [8080, 53, 9090]);
    }

    #[test]
    fn no_port_is_no_word_of_ports() {
        let mut capabilities = Map::new();
        set(&mut capabilities, mappings(&ports(&["8080:80"])));
        assert!(capabilities.contains_key(CAPABILITY));
        set(&mut capabilities, mappings(&[]));
        assert!(capabilities.is_empty());
    }
}
