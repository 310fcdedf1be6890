//! Release: DEL, then what rules outlived it, with everything else gone if need be.

use std::net::IpAddr;

use ignite_cni::NetworkConfig;
use ignite_cni::leak::{self, Subject};
use ignite_host::link::Netlink;
use ignite_host::netns::Namespace;
use ignite_host::step::{self, Step};
use ignite_store::{AttachmentRecord, AttachmentState, NetworkLock, NetworkRecord, VmLock};
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
        let whole = is_whole(made);
        // While the addresses are still ours: after DEL they may be another's.
        let unrecorded: Vec<IpAddr> = unrecorded_addresses(made).iter().map(IpNet::addr).collect();
        let mut failures = Vec::new();
        if !unrecorded.is_empty() {
            failures.extend(remove_firewall_rules(made, unrecorded));
        }
        let shared = NetworkLock::shared(self.paths, &made.network).map_err(|e| one(e.into()))?;
        let deleted = self.runtime.del(&config, &ours::attachment(made));
        drop(shared);
        if whole && deleted.is_ok() {
            return Ok(());
        }
        let deleted = match deleted {
            // Rules taken away now would be missed by the plugins' DEL when they are back.
            Err(error) if error.is_missing_program() => {
                failures.push(Error::Cni(error));
                return Err(failures);
            }
            deleted => deleted,
        };
        // The firewall's rules carry addresses only: after a good DEL the address may be another's.
        let addresses = match &deleted {
            Ok(_) => Vec::new(),
            Err(_) => made.addresses.iter().map(IpNet::addr).collect(),
        };
        failures.extend(deleted.err().map(Error::Cni));
        failures.extend(remove_leaks(made, addresses));
        step::reached(Step::ReleaseSwept);
        if failures.is_empty() {
            Ok(())
        } else {
            Err(failures)
        }
    }
}

/// Whether DEL finds everything that ADD made.
fn is_whole(made: &AttachmentRecord) -> bool {
    made.result.is_some() && ours::is_whole(&made.netns, &made.interface, &made.addresses)
}

/// Addresses an ADD that was cut off has left on the interface: the firewall's rules carry nothing
/// else, and its DEL learns them from a result that was never recorded.
fn unrecorded_addresses(made: &AttachmentRecord) -> Vec<IpNet> {
    let read = || {
        let namespace = Namespace::open(&made.netns).ok()?;
        let netlink = Netlink::open_in(&namespace).ok()?;
        let link = netlink.link(&made.interface).ok()??;
        netlink.addresses(link.index).ok()
    };
    if made.result.is_some() {
        return Vec::new();
    }
    read().unwrap_or_default()
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
