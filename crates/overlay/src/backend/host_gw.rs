//! `host-gw`: the peers are on one Ethernet with us, and each is the gateway to its subnet.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::entry::{Desired, Entry, Ours};
use super::kernel::Kernel;
use super::peer::{Half, Node, networks};
use super::{Error, Prepared, Settings};
use crate::interface::External;
use crate::lease::{Lease, Subnet};

/// `BackendType`, and the only one whose leases are looked at.
pub const TYPE: &str = "host-gw";

/// A route for each peer's subnet.
#[derive(Debug)]
pub struct HostGw {
    kernel: Kernel,
    settings: Settings,
    external: External,
    /// None until a subnet is assigned.
    node: Option<Node>,
    leases: BTreeMap<Subnet, Lease>,
}

impl HostGw {
    pub(super) fn prepare(
        settings: &Settings,
        external: &External,
    ) -> Result<(Self, Prepared), Error> {
        let v6 = (
            external.address_v6.map(IpAddr::V6),
            external.public_ipv6.map(IpAddr::V6),
        );
        let v4 = (
            Some(external.address.into()),
            Some(external.public_ip.into()),
        );
        if let Some((_, Some(public))) = [v4, v6].into_iter().find(|(own, public)| own != public) {
            return Err(Error::PublicAddress {
                interface: external.name.clone(),
                public,
            });
        }
        let backend = Self {
            kernel: Kernel::open(TYPE)?,
            settings: settings.clone(),
            external: external.clone(),
            node: None,
            leases: BTreeMap::new(),
        };
        let prepared = Prepared {
            backend: Some(TYPE),
            data: None,
            v6_data: None,
            mtu: external.mtu,
        };
        Ok((backend, prepared))
    }

    pub(super) fn assign(&mut self, subnet: Subnet) -> Result<(), Error> {
        self.node = Some(Node::new(&self.settings, &self.external, subnet));
        Ok(())
    }

    pub(super) fn sync(&mut self, leases: &[Lease]) -> Vec<Error> {
        let leases = leases.iter().cloned();
        self.leases = leases.map(|lease| (lease.subnet, lease)).collect();
        self.tick()
    }

    pub(super) fn tick(&mut self) -> Vec<Error> {
        let Some(node) = &self.node else {
            return Vec::new();
        };
        let (desired, mut errors) = plan(node, self.external.index, self.leases.values());
        let ours = Ours {
            networks: networks(&self.settings),
            subnets: node.subnets().collect(),
            devices: Vec::new(),
            leftovers: Vec::new(),
            external: self.external.index,
        };
        errors.extend(self.kernel.sync(desired, ours));
        errors
    }

    pub(super) fn take_reconciled(&mut self) -> usize {
        self.kernel.take_reconciled()
    }

    pub(super) fn add(&mut self, lease: &Lease) -> Vec<Error> {
        self.leases.insert(lease.subnet, lease.clone());
        let Some(node) = &self.node else {
            return Vec::new();
        };
        let (desired, mut errors) = plan(node, self.external.index, std::iter::once(lease));
        errors.extend(self.kernel.update(&lease.subnet, &desired));
        errors
    }

    pub(super) fn remove(&mut self, subnet: &Subnet) -> Vec<Error> {
        self.leases.remove(subnet);
        self.kernel.update(subnet, &Desired::new())
    }

    pub(super) fn teardown(mut self) -> Vec<Error> {
        self.kernel.clear()
    }
}

/// The routes that `leases` ask for, through the interface `external`, and which leases are not used.
pub fn plan<'a>(
    node: &Node,
    external: u32,
    leases: impl Iterator<Item = &'a Lease>,
) -> (Desired, Vec<Error>) {
    let mut desired = Desired::new();
    let mut errors = Vec::new();
    let others = leases
        .filter(|lease| lease.subnet != node.subnet)
        .filter(|lease| lease.attributes.backend.as_deref() == Some(TYPE));
    for lease in others {
        let halves = std::iter::once(node.half_v4(lease)).chain(node.half_v6(lease));
        for half in halves {
            match half {
                Ok(half) => {
                    desired.insert(half.subnet, entry(half, external));
                }
                Err((subnet, source)) => errors.push(Error::Lease { subnet, source }),
            }
        }
    }
    (desired, errors)
}

fn entry(half: Half, external: u32) -> Entry {
    Entry {
        subnet: half.subnet,
        route: Entry::route(half.subnet, half.public, Some(external)),
        tunnel: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::testing::{EXTERNAL, external, lease, node};

    #[test]
    fn each_peer_is_a_gateway() {
        let mut six = lease("10.5.26.0/24", "10.99.0.12", Some(TYPE));
        six.subnet.v6 = Some("fd00:5:0:26::/64".parse().expect("a network"));
        six.attributes.public_ipv6 = Some("fd99::12".parse().expect("an address"));
        let leases = [
            six,
            lease("10.5.9.0/24", "10.99.0.11", Some(TYPE)),
            lease("10.5.27.0/24", "10.99.0.13", Some("vxlan")),
            lease("10.5.28.0/24", "10.99.0.14", None),
            lease("10.5.29.0/24", "127.0.0.1", Some(TYPE)),
        ];
        let mut node = node();
        node.networks
            .push("fd00:5::/48".parse().expect("a network"));
        let (desired, errors) = plan(&node, EXTERNAL, leases.iter());
        let routes: Vec<String> = (desired.values())
            .map(|entry| entry.route.to_string())
            .collect();
        assert_eq!(
            routes,
            [
                "10.5.26.0/24 via 10.99.0.12",
                "fd00:5:0:26::/64 via fd99::12"
            ]
        );
        assert!(
            desired
                .values()
                .all(|entry| entry.route.index == Some(EXTERNAL))
        );
        assert_eq!(errors.len(), 1);
        assert_eq!(
            errors[0].to_string(),
            "the lease of 10.5.29.0/24 is not used"
        );
    }

    #[test]
    fn another_public_address_is_refused() {
        let settings = crate::backend::testing::settings();
        let mut external = external();
        external.public_ip = std::net::Ipv4Addr::new(203, 0, 113, 5);
        let error = HostGw::prepare(&settings, &external).expect_err("translated");
        assert!(matches!(error, Error::PublicAddress { .. }));
        assert!(error.hint().is_some());
    }
}
