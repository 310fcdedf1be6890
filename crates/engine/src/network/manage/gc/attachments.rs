//! Attachments that CNI's cache knows and no record does.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ignite_cni::cache::Entry;
use ignite_cni::leak::Subject;
use ignite_cni::{AttachmentId, NetworkConfig, lease};
use ignite_store::NetworkLock;
use ipnet::IpNet;

use super::claim::{Holding, Vacant};
use super::left::Suspects;
use super::{Gc, Kind, ManageError};
use crate::network::manage::addresses_of;

/// What DEL went over.
#[derive(Default)]
pub(super) struct Gone {
    /// Attachments that were, or would be, released.
    pub ids: BTreeSet<AttachmentId>,
    /// Rules that may have outlived it.
    pub subjects: Vec<Subject>,
}

impl Gone {
    pub fn has(&self, container_id: &str) -> bool {
        self.ids.iter().any(|id| id.container_id == container_id)
    }
}

impl Gc<'_> {
    /// Releases the attachments nobody has a claim to.
    pub(super) fn attachments(
        &mut self,
        network: &str,
        suspects: &Suspects,
        current: Option<&NetworkConfig>,
    ) -> Gone {
        let mut gone = Gone::default();
        for entry in &suspects.entries {
            let id = entry.attachment.id();
            let Some(vacant) = self.vacant(Holding {
                network,
                container_id: &id.container_id,
                ifname: Some(&id.ifname),
            }) else {
                continue;
            };
            // As a VM's own release does: a guest that ends meanwhile does not wait for all of this.
            let _shared = match NetworkLock::shared(&self.engine.config.paths, network) {
                Ok(lock) => lock,
                Err(error) => {
                    self.garbage.failures.push(error.into());
                    return gone;
                }
            };
            let addresses: Vec<IpAddr> = addresses_of(entry).iter().map(IpNet::addr).collect();
            let deleted = match self.is_dry() {
                true => Ok(()),
                false => self.delete(entry, current, &vacant),
            };
            let subject = |addresses| Subject {
                network: network.to_owned(),
                container_id: id.container_id.clone(),
                ifname: id.ifname.clone(),
                addresses,
            };
            match deleted {
                Ok(()) => {
                    self.release(
                        Kind::Attachment,
                        Some(network),
                        &id.container_id,
                        described(&id.ifname, &addresses),
                    );
                    // They are anybody's by now.
                    gone.subjects.push(subject(Vec::new()));
                    gone.ids.insert(id);
                }
                Err(source) => {
                    self.kept.insert(id.container_id.clone());
                    // Rules taken away now would be missed by DEL when the program is back.
                    if !source.is_missing_program() {
                        gone.subjects.push(subject(addresses.clone()));
                    }
                    self.fail(ManageError::Remains {
                        network: network.to_owned(),
                        id,
                        addresses,
                        source: Box::new(source),
                    });
                }
            }
        }
        gone
    }

    /// DEL with the configuration of the ADD; where that cannot be read, with today's.
    fn delete(
        &mut self,
        entry: &Entry,
        current: Option<&NetworkConfig>,
        vacant: &Vacant,
    ) -> Result<(), ignite_cni::Error> {
        let mut cni = self.engine.config.cni.clone();
        cni.inherited.extend(vacant.inherited());
        let made_with = NetworkConfig::parse(&entry.config);
        let config = match (&made_with, current) {
            (Ok(config), _) | (Err(_), Some(config)) => config,
            (Err(_), None) => {
                let id = entry.attachment.id();
                return cni.del_cached(&entry.network, &id).map(drop);
            }
        };
        if is_lost(config, entry) {
            // By them plugins would take away what is another's by now.
            cni.cache().write(&Entry {
                result: None,
                ..entry.clone()
            })?;
        }
        let runs = cni.del(config, &entry.attachment)?;
        for run in runs {
            self.garbage.plugins += run.elapsed;
        }
        Ok(())
    }
}

/// Whether another container has its addresses by now: an earlier DEL gave them back before it failed.
fn is_lost(config: &NetworkConfig, entry: &Entry) -> bool {
    let addresses: Vec<IpAddr> = addresses_of(entry).iter().map(IpNet::addr).collect();
    lease::is_anothers(config, &entry.attachment.container_id, &addresses)
}

fn described(ifname: &str, addresses: &[IpAddr]) -> String {
    let mut text = ifname.to_owned();
    for address in addresses {
        text.push_str(&format!(" {address}"));
    }
    text
}
