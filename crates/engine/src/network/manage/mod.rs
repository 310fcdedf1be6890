//! Networks as people look after them: what there is, whether it still is as it was made, what is
//! left of VMs that are gone.
//!
//! ```text
//!  /etc/cni/net.d ---+
//!  CNI's cache ------+--> survey --> list, inspect
//!  records of VMs ---+
//!                          records --> check (CHECK, and our own look)
//!                          all of it --> gc
//! ```
//! Other programs use the same networks. What is not a VM's, by our records or by the shape of its
//! container ID, is shown and never touched ([`ours`]).

mod check;
mod error;
mod gc;
mod inspect;
mod list;
mod look;
pub(crate) mod ours;
mod picture;
mod survey;

use std::collections::BTreeSet;

use ignite_api::NetworkPlugin;
use ignite_cni::cache::Entry;
use ignite_cni::{AttachmentId, NetworkConfig, NetworkResult};
use ignite_store::NetworkRecord;
use ipnet::IpNet;

pub use check::{Checkup, Finding, Verdict};
pub use error::Error;
pub(crate) use error::no_network;
pub use gc::{Garbage, Kind as GarbageKind, Mode as GarbageMode, Released};
pub use inspect::{NetworkDetail, PluginDetail};
pub(crate) use list::readiness;
pub use list::{NetworkLine, Readiness};
pub use picture::NetworkSeen;
pub(crate) use survey::usable;
pub use survey::{AttachmentLine, Owner, VmRef};

use crate::Engine;

/// The programs a network's plugins are, those of their address plugins included, each once.
pub(crate) fn programs_of(network: &NetworkConfig) -> Vec<String> {
    let mut programs: Vec<String> = Vec::new();
    for plugin in &network.plugins {
        for name in [Some(plugin.kind.as_str()), ipam_of(plugin)]
            .into_iter()
            .flatten()
        {
            if !programs.iter().any(|known| known == name) {
                programs.push(name.to_owned());
            }
        }
    }
    programs
}

/// A plugin's address plugin.
fn ipam_of(plugin: &ignite_cni::PluginConfig) -> Option<&str> {
    let kind = plugin.object.get("ipam")?.get("type")?.as_str()?;
    Some(kind).filter(|kind| !kind.is_empty())
}

impl Engine {
    /// The attachments that VMs' records have on a network. Fails where a record cannot be read: what
    /// a VM has must not be taken for nobody's.
    pub(crate) fn recorded_attachments(
        &self,
        network: &str,
    ) -> Result<BTreeSet<AttachmentId>, crate::Error> {
        let mut ids = BTreeSet::new();
        for uid in self.vms.uids()? {
            ids.extend(attachments_on(&self.vms.network(uid)?, network));
        }
        Ok(ids)
    }
}

/// The addresses of a cached attachment, from its result.
pub(crate) fn addresses_of(entry: &Entry) -> Vec<IpNet> {
    let decoded = entry
        .result
        .as_ref()
        .and_then(|result| NetworkResult::decode(result).ok());
    decoded.map_or_else(Vec::new, |result| {
        let ips = result.addresses_of(&entry.attachment.ifname);
        ips.iter().map(|ip| ip.address).collect()
    })
}

fn attachments_on(record: &NetworkRecord, network: &str) -> Vec<AttachmentId> {
    let on = record
        .attachments
        .iter()
        .filter(|made| record.plugin == NetworkPlugin::Cni && made.network == network);
    on.map(|made| AttachmentId {
        container_id: made.container_id.clone(),
        ifname: made.interface.clone(),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_plugins_are_programs_too() {
        let text = r#"{"name":"n","plugins":[
            {"type":"bridge","ipam":{"type":"host-local"}},{"type":"portmap"},
            {"type":"macvlan","ipam":{"type":"host-local"}},{"type":"static","ipam":{}}]}"#;
        let network = NetworkConfig::parse_list(text.as_bytes()).expect("well formed");
        assert_eq!(
            programs_of(&network),
            ["bridge", "host-local", "portmap", "macvlan", "static"]
        );
    }
}
