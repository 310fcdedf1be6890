//! The kernel of this node: applies what [`entry`](super::entry) computes.

use std::collections::BTreeMap;

use ignite_host::link::{self, Change, Netlink};
use ipnet::IpNet;

use super::entry::{Actual, Desired, Entry, Ours, reconcile};
use super::peer::Node;
use super::{Error, vxlan};
use crate::lease::Subnet;

/// The kernel, and what it should hold for peers.
#[derive(Debug)]
pub(super) struct Kernel {
    backend: &'static str,
    netlink: Netlink,
    wanted: Desired,
    /// What comparisons found and put right, until it is asked for.
    reconciled: usize,
}

impl Kernel {
    /// That of the calling thread's network namespace.
    pub(super) fn open(backend: &'static str) -> Result<Self, Error> {
        let netlink = Netlink::open().map_err(|source| Error::Link { backend, source })?;
        Ok(Self {
            backend,
            netlink,
            wanted: BTreeMap::new(),
            reconciled: 0,
        })
    }

    pub(super) fn netlink(&self) -> &Netlink {
        &self.netlink
    }

    /// Turns the kernel's refusal into an error of the backend.
    pub(super) fn check<T>(&self, result: Result<T, link::Error>) -> Result<T, Error> {
        result.map_err(|source| Error::Link {
            backend: self.backend,
            source,
        })
    }

    /// Makes the kernel hold `desired` and nothing else of ours; finds the leftovers itself.
    pub(super) fn sync(&mut self, desired: Desired, mut ours: Ours) -> Vec<Error> {
        self.wanted = desired;
        let found = leftovers(&self.netlink, &ours.devices).and_then(|leftovers| {
            ours.leftovers = leftovers;
            self.actual(&ours)
        });
        let actual = match self.check(found) {
            Ok(actual) => actual,
            Err(error) => return vec![error],
        };
        let steps = reconcile(&self.wanted, &actual, &ours);
        let (set, mut errors) = self.set(&steps.set);
        self.reconciled += set;
        let behind = self.delete(&steps.delete);
        self.reconciled += steps.delete.len().saturating_sub(behind.len());
        errors.extend(behind);
        errors
    }

    /// How many changes `sync` made since this was asked.
    pub(super) fn take_reconciled(&mut self) -> usize {
        std::mem::take(&mut self.reconciled)
    }

    /// Makes the kernel hold what `desired` has for the families of `subnet`, without a look at the
    /// others: one lease of a thousand costs no more than one of ten.
    pub(super) fn update(&mut self, subnet: &Subnet, desired: &Desired) -> Vec<Error> {
        let v6 = subnet.v6.map(|v6| IpNet::V6(v6.trunc()));
        let families = std::iter::once(IpNet::V4(subnet.v4.trunc())).chain(v6);
        let update = |subnet| match desired.get(&subnet) {
            Some(entry) => self.add(entry),
            // What changed may not concern us any more.
            None => self.remove(subnet),
        };
        families.flat_map(update).collect()
    }

    fn add(&mut self, entry: &Entry) -> Vec<Error> {
        let earlier = self.wanted.insert(entry.subnet, entry.clone());
        let (_, mut errors) = self.set(&[(entry.subnet, entry.changes())]);
        if let Some(earlier) = earlier {
            errors.extend(self.delete(&entry.leftovers(&earlier, &self.wanted)));
        }
        errors
    }

    fn remove(&mut self, subnet: IpNet) -> Vec<Error> {
        match self.wanted.remove(&subnet) {
            Some(entry) => self.delete(&entry.deletions(&self.wanted)),
            None => Vec::new(),
        }
    }

    /// Takes away what all needed.
    pub(super) fn clear(&mut self) -> Vec<Error> {
        let wanted = std::mem::take(&mut self.wanted);
        let deletions = |entry: &Entry| entry.deletions(&self.wanted);
        self.delete(&wanted.values().flat_map(deletions).collect::<Vec<_>>())
    }

    fn actual(&self, ours: &Ours) -> Result<Actual, link::Error> {
        let inside = |net: &IpNet| ours.networks.iter().any(|network| network.contains(net));
        let mut actual = Actual {
            routes: (self.netlink).main_routes(|route| inside(&route.destination))?,
            ..Actual::default()
        };
        for device in &ours.devices {
            actual.neighbours.extend(self.netlink.neighbours(*device)?);
            (actual.forwardings).extend(self.netlink.forwardings(*device)?);
        }
        Ok(actual)
    }

    /// Sets what each subnet lacks; where one thing is refused, nothing of that subnet stays. It is
    /// still wanted, so the next `sync` tries again. How many things were set.
    fn set(&self, lacking: &[(IpNet, Vec<Change>)]) -> (usize, Vec<Error>) {
        let changes: Vec<Change> = (lacking.iter())
            .flat_map(|(_, changes)| changes.iter().cloned())
            .collect();
        let mut results = self.netlink.change_all(&changes).into_iter();
        let (mut done, mut errors) = (0, Vec::new());
        for (subnet, changes) in lacking {
            // All of them are taken, so that the next subnet finds its own.
            let refused: Vec<_> = (results.by_ref().take(changes.len()))
                .filter_map(Result::err)
                .collect();
            let Some(source) = refused.into_iter().next() else {
                done += changes.len();
                continue;
            };
            if let Some(entry) = self.wanted.get(subnet) {
                // What matters is the refusal; most of this was never set.
                drop(self.netlink.change_all(&entry.deletions(&self.wanted)));
            }
            errors.push(Error::Peer {
                subnet: *subnet,
                source,
            });
        }
        (done, errors)
    }

    fn delete(&self, changes: &[Change]) -> Vec<Error> {
        delete(&self.netlink, changes)
    }
}

/// Deletes the routes to peers that other backends left: they are more specific than the one route of
/// the whole network that some backends have, and would go on past it, in plain text.
pub(super) fn delete_leftover_routes(
    netlink: &Netlink,
    backend: &'static str,
    node: &Node,
    external: u32,
) -> Vec<Error> {
    let routes = || {
        let ours = Ours {
            networks: node.networks.clone(),
            subnets: node.subnets().collect(),
            devices: Vec::new(),
            leftovers: leftovers(netlink, &[])?,
            external,
        };
        netlink.main_routes(|route| ours.route(route))
    };
    match routes() {
        Ok(routes) => {
            let changes: Vec<Change> = routes.into_iter().map(Change::DeleteRoute).collect();
            delete(netlink, &changes)
        }
        Err(source) => vec![Error::Link { backend, source }],
    }
}

/// VXLAN devices with names of Flannel's that are not among `devices`.
fn leftovers(netlink: &Netlink, devices: &[u32]) -> Result<Vec<u32>, link::Error> {
    let is_leftover = |link: &link::Link| {
        link.kind.as_deref() == Some("vxlan")
            && vxlan::is_name(&link.name)
            && !devices.contains(&link.index)
    };
    let links = netlink.links()?.into_iter();
    Ok(links.filter(is_leftover).map(|link| link.index).collect())
}

fn delete(netlink: &Netlink, changes: &[Change]) -> Vec<Error> {
    let results = netlink.change_all(changes).into_iter();
    results.filter_map(Result::err).map(Error::Behind).collect()
}
