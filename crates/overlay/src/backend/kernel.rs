//! The kernel of this node: applies what [`entry`](super::entry) computes.

use std::collections::BTreeMap;

use ignite_host::link::{self, Change, Netlink};
use ipnet::IpNet;

use super::Error;
use super::entry::{Actual, Desired, Entry, Ours, reconcile};
use crate::lease::Subnet;

/// The kernel, and what it should hold for peers.
#[derive(Debug)]
pub(super) struct Kernel {
    backend: &'static str,
    netlink: Netlink,
    wanted: Desired,
}

impl Kernel {
    /// That of the calling thread's network namespace.
    pub(super) fn open(backend: &'static str) -> Result<Self, Error> {
        let netlink = Netlink::open().map_err(|source| Error::Link { backend, source })?;
        Ok(Self {
            backend,
            netlink,
            wanted: BTreeMap::new(),
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

    /// Makes the kernel hold `desired` and nothing else of ours.
    pub(super) fn sync(&mut self, desired: Desired, ours: &Ours) -> Vec<Error> {
        self.wanted = desired;
        let actual = match self.check(self.actual(ours)) {
            Ok(actual) => actual,
            Err(error) => return vec![error],
        };
        let steps = reconcile(&self.wanted, &actual, ours);
        let mut errors = self.set(&steps.set);
        errors.extend(self.delete(&steps.delete));
        errors
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
        let mut errors = self.set(&[(entry.subnet, entry.changes())]);
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
    /// still wanted, so the next `sync` tries again.
    fn set(&self, lacking: &[(IpNet, Vec<Change>)]) -> Vec<Error> {
        let changes: Vec<Change> = (lacking.iter())
            .flat_map(|(_, changes)| changes.iter().cloned())
            .collect();
        let mut results = self.netlink.change_all(&changes).into_iter();
        let mut errors = Vec::new();
        for (subnet, changes) in lacking {
            // All of them are taken, so that the next subnet finds its own.
            let refused: Vec<_> = (results.by_ref().take(changes.len()))
                .filter_map(Result::err)
                .collect();
            let Some(source) = refused.into_iter().next() else {
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
        errors
    }

    fn delete(&self, changes: &[Change]) -> Vec<Error> {
        let results = self.netlink.change_all(changes).into_iter();
        results.filter_map(Result::err).map(Error::Behind).collect()
    }
}
