//! Release: DEL, then what rules outlived it, with everything else gone if need be.

use std::net::IpAddr;

use ignite_api::Uid;
use ignite_cni::leak::{self, Subject};
use ignite_cni::{NetworkConfig, lease};
use ignite_host::link::Netlink;
use ignite_host::netns::Namespace;
use ignite_host::step::{self, Step};
use ignite_store::{AttachmentRecord, AttachmentState, NetworkLock, NetworkRecord, VmLock, Vms};
use ipnet::IpNet;

use super::Cni;
use crate::network::Error;
use crate::network::manage::ours;

impl Cni<'_> {
    /// Releases every attachment in reverse order. What cannot be released stays recorded; all
    /// failures are returned.
    pub fn release(&self, lock: &VmLock) -> Result<(), Vec<Error>> {
        let mut network = lock.network().map_err(|error| vec![error.into()])?;
        let mut failures = Vec::new();
        for index in (0..network.attachments.len()).rev() {
            match self.release_one(lock, &mut network, index) {
                Ok(()) => drop(network.attachments.remove(index)),
                Err(mut errors) => failures.append(&mut errors),
            }
            if let Err(error) = lock.write_network(&network) {
                failures.push(error.into());
            }
            step::reached(Step::ReleaseCleared);
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(failures)
        }
    }

    fn release_one(
        &self,
        lock: &VmLock,
        network: &mut NetworkRecord,
        index: usize,
    ) -> Result<(), Vec<Error>> {
        let again = network.attachments[index].state == AttachmentState::Releasing;
        network.attachments[index].state = AttachmentState::Releasing;
        if let Err(error) = lock.write_network(network) {
            // DEL can be run again, whatever the record says.
            tracing::warn!(%error, "the release is not recorded before it begins");
        }
        step::reached(Step::ReleaseIntended);
        let made = &network.attachments[index];
        let one = |error: Error| vec![error];
        let config = NetworkConfig::parse(made.config.as_bytes()).map_err(|source| {
            one(Error::Recorded {
                network: made.network.clone(),
                source,
            })
        })?;
        let _shared = NetworkLock::shared(self.paths, &made.network).map_err(|e| one(e.into()))?;
        let known = known_addresses(made);
        let leased: Vec<IpAddr> = known.iter().map(IpNet::addr).collect();
        let lost = lease::is_anothers(&config, &made.container_id, &leased)
            || again && self.is_anothers(lock.uid(), &made.network, &known);
        let failures = self.undo(made, &config, lost);
        if failures.is_empty() {
            Ok(())
        } else {
            Err(failures)
        }
    }

    /// DEL, and what it does not find. `lost`: the addresses are another's by now.
    fn undo(&self, made: &AttachmentRecord, config: &NetworkConfig, lost: bool) -> Vec<Error> {
        let whole = is_whole(made);
        let mut failures = Vec::new();
        if lost {
            failures.extend(self.forget_result(made).err());
        } else if !self.has_result(made) {
            // DEL is not told of them; and after it they may be another's.
            let known = known_addresses(made);
            failures.extend(remove_firewall_rules(
                made,
                known.iter().map(IpNet::addr).collect(),
            ));
        }
        let attachment = ours::attachment(made);
        let deleted = self.runtime.del(config, &attachment);
        if whole && deleted.is_ok() {
            return failures;
        }
        let deleted = match deleted {
            // Rules taken away now would be missed by the plugins' DEL when they are back.
            Err(error) if error.is_missing_program() => {
                failures.push(unreleased(made, error));
                return failures;
            }
            deleted => deleted,
        };
        // The firewall's rules carry addresses only: after a good DEL the address may be another's.
        let addresses = match &deleted {
            Err(_) if !lost => made.addresses.iter().map(IpNet::addr).collect(),
            _ => Vec::new(),
        };
        failures.extend(remove_leaks(made, addresses));
        step::reached(Step::ReleaseSwept);
        // What a DEL that was cut off has left may have been in the way of this one.
        let deleted = deleted.or_else(|_| self.runtime.del(config, &attachment));
        failures.extend(deleted.err().map(|error| unreleased(made, error)));
        failures
    }

    /// Whether another VM has one of these addresses by now: DEL gave them back before it failed, or
    /// was cut off.
    fn is_anothers(&self, own: Uid, network: &str, addresses: &[IpNet]) -> bool {
        let vms = Vms::new(self.paths);
        let others = vms.uids().unwrap_or_default();
        others.into_iter().filter(|uid| *uid != own).any(|uid| {
            let made = vms.network(uid).unwrap_or_default().attachments;
            made.iter()
                .filter(|other| other.network == network)
                .flat_map(|other| &other.addresses)
                .any(|address| addresses.contains(address))
        })
    }

    /// Whether DEL finds the result of ADD, or what its plugins gave before it was cut off.
    fn has_result(&self, made: &AttachmentRecord) -> bool {
        let id = ours::attachment(made).id();
        let cached = self.runtime.cached(&made.network, &id);
        cached.is_ok_and(|entry| entry.is_some_and(|entry| entry.result.is_some()))
    }

    /// Forgets the result of ADD, by whose addresses plugins would take away what is another's.
    fn forget_result(&self, made: &AttachmentRecord) -> Result<(), Error> {
        let id = ours::attachment(made).id();
        let forgotten = self.runtime.cache().remove(&made.network, &id);
        forgotten.map_err(|error| Error::Cni(error.into()))
    }
}

/// Whether DEL finds everything that ADD made.
fn is_whole(made: &AttachmentRecord) -> bool {
    made.result.is_some() && ours::is_whole(&made.netns, &made.interface, &made.addresses)
}

/// Its addresses: those recorded, or those an ADD that was cut off has left on the interface.
fn known_addresses(made: &AttachmentRecord) -> Vec<IpNet> {
    let read = || {
        let namespace = Namespace::open(&made.netns).ok()?;
        let netlink = Netlink::open_in(&namespace).ok()?;
        let link = netlink.link(&made.interface).ok()??;
        netlink.addresses(link.index).ok()
    };
    if made.result.is_some() {
        made.addresses.clone()
    } else {
        read().unwrap_or_default()
    }
}

fn unreleased(made: &AttachmentRecord, source: ignite_cni::error::Error) -> Error {
    Error::Unreleased {
        network: made.network.clone(),
        interface: made.interface.clone(),
        addresses: made.addresses.clone(),
        source: Box::new(source),
    }
}

/// Removes the rules that carry addresses alone. The others are DEL's to remove: the bridge plugin
/// fails where it does not find its chain.
fn remove_firewall_rules(made: &AttachmentRecord, addresses: Vec<IpAddr>) -> Vec<Error> {
    remove_rules(made, String::new(), addresses)
}

/// The compensating step: removes rules that carry our container id and outlived DEL.
fn remove_leaks(made: &AttachmentRecord, addresses: Vec<IpAddr>) -> Vec<Error> {
    remove_rules(made, made.container_id.clone(), addresses)
}

/// Without a container id, only what carries an address.
fn remove_rules(
    made: &AttachmentRecord,
    container_id: String,
    addresses: Vec<IpAddr>,
) -> Vec<Error> {
    let (removed, errors) = leak::remove(&Subject {
        network: made.network.clone(),
        container_id,
        ifname: made.interface.clone(),
        addresses,
    });
    if removed.rules > 0 {
        tracing::info!(
            network = made.network,
            rules = removed.rules,
            "removed rules that outlived DEL"
        );
    }
    errors.into_iter().map(Error::Leak).collect()
}
