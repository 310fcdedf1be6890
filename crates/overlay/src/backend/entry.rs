//! What the kernel should hold for peers, and how to get there: values, no system call.
//!
//! ```text
//!   leases --plan--> desired --.
//!                               reconcile --> set (by peer: neighbour, forwarding, route), delete
//!   kernel --------> actual  --'
//! ```
//!
//! Deleted is only what is ours by its looks, so that a restart after a crash corrects what was left
//! without a memory of its own: what on a device of ours leads into the network, and routes as only this
//! backend (or Flannel's) writes them, see [`Ours`].

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use ignite_host::link::{Change, Forwarding, Neighbour, Protocol, Route, Scope};
use ipnet::IpNet;

/// What one subnet of a peer needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The peer's subnet.
    pub subnet: IpNet,
    /// The route to it.
    pub route: Route,
    /// What a route over a tunnel needs besides.
    pub tunnel: Option<Tunnel>,
}

/// The far end of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tunnel {
    /// Which MAC address it has.
    pub neighbour: Neighbour,
    /// Behind which host that is.
    pub forwarding: Forwarding,
}

/// What is wanted, by subnet.
pub type Desired = BTreeMap<IpNet, Entry>;

/// What the kernel has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actual {
    /// Permanent neighbours on our devices.
    pub neighbours: Vec<Neighbour>,
    /// Permanent forwarding entries of our devices.
    pub forwardings: Vec<Forwarding>,
    /// Routes of the main table into our networks.
    pub routes: Vec<Route>,
}

/// What to change. First everything is set, then the rest deleted: no traffic is interrupted that both
/// want.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// What each subnet lacks, in the order it has to be set.
    pub set: Vec<(IpNet, Vec<Change>)>,
    /// What is ours and not wanted.
    pub delete: Vec<Change>,
}

/// How to tell what is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    /// The overlay's networks.
    pub networks: Vec<IpNet>,
    /// This node's own subnets.
    pub subnets: Vec<IpNet>,
    /// Our devices.
    pub devices: Vec<u32>,
    /// VXLAN devices of Flannel's that are not ours: of another backend, or another VNI, before us.
    pub leftovers: Vec<u32>,
    /// The external interface.
    pub external: u32,
}

impl Ours {
    /// Whether an address is one of the overlay's.
    fn has(&self, address: IpAddr) -> bool {
        (self.networks.iter()).any(|network| network.contains(&address))
    }

    /// Whether a route is one that we, or a life of ours before, made. On our devices and on leftovers: every one
    /// over a gateway, `onlink`. On the external interface: `proto boot scope global`, no metric, over a gateway, to a
    /// part of the network as large as our own subnet and another than it. What an administrator or a
    /// routing daemon marks as theirs, by protocol or metric, stays; so does what leads elsewhere.
    pub fn route(&self, route: &Route) -> bool {
        if !self
            .networks
            .iter()
            .any(|net| net.contains(&route.destination))
            || route.gateway.is_none()
        {
            return false;
        }
        let on = |index: &u32| route.index == Some(*index);
        if self.devices.iter().chain(&self.leftovers).any(on) {
            return route.onlink;
        }
        let of_a_size = |own: &IpNet| {
            own.prefix_len() == route.destination.prefix_len()
                && own.max_prefix_len() == route.destination.max_prefix_len()
                && *own != route.destination
        };
        on(&self.external)
            && !route.onlink
            && route.protocol == Protocol::BOOT
            && route.scope == Scope::Universe
            && plain_metric(route)
            && self.subnets.iter().any(of_a_size)
    }
}

impl Entry {
    /// A route as Flannel's daemon writes it.
    pub fn route(subnet: IpNet, gateway: IpAddr, index: Option<u32>) -> Route {
        Route {
            index,
            protocol: Protocol::BOOT,
            scope: Scope::Universe,
            ..Route::new(subnet, Some(gateway), 0)
        }
    }

    /// All it takes, in order: a packet that finds the route finds the rest.
    pub fn changes(&self) -> Vec<Change> {
        let tunnel = self.tunnel.iter().flat_map(|tunnel| {
            [
                Change::SetNeighbour(tunnel.neighbour),
                Change::SetForwarding(tunnel.forwarding),
            ]
        });
        let route = std::iter::once(Change::SetRoute(self.route.clone()));
        tunnel.chain(route).collect()
    }

    /// Takes all of it away; `others` are what remains. Two peers of one MAC address can only be a lie,
    /// or a copied machine, but the other must not suffer.
    pub fn deletions(&self, others: &Desired) -> Vec<Change> {
        let mut changes = vec![Change::DeleteRoute(self.route.clone())];
        if let Some(tunnel) = self.tunnel {
            changes.push(unforward(tunnel.forwarding, self.subnet, others));
            changes.push(Change::DeleteNeighbour(tunnel.neighbour));
        }
        changes
    }

    /// What an earlier state of the same subnet leaves behind once this one is set.
    pub fn leftovers(&self, earlier: &Self, others: &Desired) -> Vec<Change> {
        let Some(old) = earlier.tunnel else {
            return Vec::new();
        };
        match self.tunnel {
            Some(new) if new.forwarding.mac == old.forwarding.mac => Vec::new(),
            Some(_) => vec![unforward(old.forwarding, self.subnet, others)],
            None => vec![
                unforward(old.forwarding, self.subnet, others),
                Change::DeleteNeighbour(old.neighbour),
            ],
        }
    }
}

fn unforward(forwarding: Forwarding, subnet: IpNet, others: &Desired) -> Change {
    let same = |other: &Forwarding| other.mac == forwarding.mac && other.index == forwarding.index;
    (others.values())
        .filter(|entry| entry.subnet != subnet)
        .filter_map(|entry| entry.tunnel.map(|tunnel| tunnel.forwarding))
        .find(same)
        .map_or(Change::DeleteForwarding(forwarding), Change::SetForwarding)
}

/// How to get from what there is to what is wanted.
pub fn reconcile(desired: &Desired, actual: &Actual, ours: &Ours) -> Steps {
    let neighbours: HashSet<_> = actual.neighbours.iter().collect();
    let forwardings: HashSet<_> = actual.forwardings.iter().collect();
    let mut routes: BTreeMap<IpNet, Vec<&Route>> = BTreeMap::new();
    for route in &actual.routes {
        routes.entry(route.destination).or_default().push(route);
    }
    let there = |change: &Change| match change {
        Change::SetNeighbour(neighbour) => neighbours.contains(neighbour),
        Change::SetForwarding(forwarding) => forwardings.contains(forwarding),
        Change::SetRoute(route) => (routes.get(&route.destination))
            .is_some_and(|found| found.iter().any(|found| same(route, found))),
        _ => false,
    };
    let lacking = |entry: &Entry| {
        let changes: Vec<Change> = (entry.changes().into_iter())
            .filter(|change| !there(change))
            .collect();
        (entry.subnet, changes)
    };
    Steps {
        set: (desired.values().map(lacking))
            .filter(|(_, changes)| !changes.is_empty())
            .collect(),
        delete: unwanted(desired, actual, ours),
    }
}

/// What is ours and has a key that nothing wanted has; under a wanted key, setting replaced it.
fn unwanted(desired: &Desired, actual: &Actual, ours: &Ours) -> Vec<Change> {
    let tunnels = || desired.values().filter_map(|entry| entry.tunnel);
    let neighbours: HashSet<_> = tunnels()
        .map(|tunnel| (tunnel.neighbour.index, tunnel.neighbour.address))
        .collect();
    let (inside, others): (Vec<&Neighbour>, Vec<&Neighbour>) =
        (actual.neighbours.iter()).partition(|neighbour| ours.has(neighbour.address));
    // Neighbours of others than us need their forwarding entries.
    let macs: HashSet<_> = tunnels()
        .map(|tunnel| (tunnel.forwarding.index, tunnel.forwarding.mac))
        .chain(others.iter().map(|other| (other.index, other.mac)))
        .collect();
    let routes = (actual.routes.iter())
        .filter(|route| ours.route(route) && !desired.contains_key(&route.destination))
        .map(|route| Change::DeleteRoute(route.clone()));
    let forwardings = (actual.forwardings.iter())
        .filter(|forwarding| !macs.contains(&(forwarding.index, forwarding.mac)))
        .map(|forwarding| Change::DeleteForwarding(*forwarding));
    let neighbours = (inside.into_iter())
        .filter(|neighbour| !neighbours.contains(&(neighbour.index, neighbour.address)))
        .map(|neighbour| Change::DeleteNeighbour(*neighbour));
    routes.chain(forwardings).chain(neighbours).collect()
}

/// Whether a route is as wanted, whoever made it.
fn same(wanted: &Route, found: &Route) -> bool {
    found.gateway == wanted.gateway
        && found.onlink == wanted.onlink
        && plain_metric(found)
        && (wanted.index.is_none() || wanted.index == found.index)
}

/// Without a metric IPv4 has none and IPv6 has 1024.
pub(crate) fn plain_metric(route: &Route) -> bool {
    match route.destination {
        IpNet::V4(_) => route.metric.is_none(),
        IpNet::V6(_) => matches!(route.metric, None | Some(1024)),
    }
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
