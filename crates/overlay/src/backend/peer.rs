//! What of another node's lease can be believed.
//!
//! Everybody who can write to etcd can write a lease. One that lies must not take over traffic of this
//! node, of addresses outside the overlay, or send the tunnel's packets into the tunnel.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Settings;
use crate::interface::External;
use crate::lease::{Lease, Subnet};

/// Why a lease, or one address family of it, is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its subnet is not of this network.
    #[error("it is outside of the network {network}")]
    Outside {
        /// The network.
        network: IpNet,
    },
    /// It overlaps with what this node leased.
    #[error("it overlaps with this node's own subnet {own}")]
    Overlap {
        /// The own subnet.
        own: IpNet,
    },
    /// Its node cannot be one.
    #[error("its public address {public} is not that of another host")]
    NotAHost {
        /// The address.
        public: IpAddr,
    },
    /// Another node has this node's address.
    #[error("its public address {public} is this node's own")]
    OwnAddress {
        /// The address.
        public: IpAddr,
    },
    /// Its node would be reached through the overlay.
    #[error("its public address {public} is an address of the overlay")]
    InOverlay {
        /// The address.
        public: IpAddr,
    },
    /// It does not say which MAC address or key its device has.
    #[error("its backend's data is missing or cannot be read")]
    Data,
    /// Another node has this node's MAC address.
    #[error("its MAC address is that of this node's device")]
    OwnMac,
    /// Another node has the key of this one, or of a third.
    #[error("its public key is that of another node")]
    Key,
    /// Another node leased it as well.
    #[error("it is another node's as well")]
    Taken,
    /// Nodes reach each other over IPv6, and its node does not say how.
    #[error("its node has no public IPv6 address")]
    WithoutIpv6,
}

/// This node, as far as others' leases are compared with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The networks: IPv4, and IPv6 if dual-stack.
    pub networks: Vec<IpNet>,
    /// What it leased.
    pub subnet: Subnet,
    /// Addresses peers, and its own interface, have for it.
    pub addresses: Vec<IpAddr>,
}

/// One address family of a lease, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Half {
    /// Whose traffic it is about; no host bits.
    pub subnet: IpNet,
    /// Where it goes.
    pub public: IpAddr,
}

impl Node {
    /// This node.
    pub fn new(settings: &Settings, external: &External, subnet: Subnet) -> Self {
        let addresses = [
            Some(external.address.into()),
            Some(external.public_ip.into()),
            external.address_v6.map(Into::into),
            external.public_ipv6.map(Into::into),
        ];
        Self {
            networks: networks(settings),
            subnet,
            addresses: addresses.into_iter().flatten().collect(),
        }
    }

    /// The own subnet's families.
    pub fn subnets(&self) -> impl Iterator<Item = IpNet> {
        let v6 = self.subnet.v6.map(IpNet::V6);
        std::iter::once(IpNet::V4(self.subnet.v4)).chain(v6)
    }

    /// The IPv4 half of a lease.
    pub fn half_v4(&self, lease: &Lease) -> Result<Half, (IpNet, Refusal)> {
        let subnet = IpNet::V4(lease.subnet.v4.trunc());
        self.check(subnet, lease.attributes.public_ip.into())
    }

    /// The IPv6 half of a lease, if lease and network have one.
    pub fn half_v6(&self, lease: &Lease) -> Option<Result<Half, (IpNet, Refusal)>> {
        self.networks.iter().find(|network| is_v6(network))?;
        let subnet = IpNet::V6(lease.subnet.v6?.trunc());
        Some(self.check(subnet, lease.attributes.public_ipv6?.into()))
    }

    /// Both families of a lease, reached over the one address `public`; IPv6 if lease and network have
    /// it.
    pub fn halves_over(
        &self,
        lease: &Lease,
        public: IpAddr,
    ) -> impl Iterator<Item = Result<Half, (IpNet, Refusal)>> {
        let v6 = (lease.subnet.v6).filter(|_| self.networks.iter().any(is_v6));
        let subnets = std::iter::once(IpNet::V4(lease.subnet.v4.trunc()))
            .chain(v6.map(|v6| IpNet::V6(v6.trunc())));
        subnets.map(move |subnet| self.check(subnet, public))
    }

    fn check(&self, subnet: IpNet, public: IpAddr) -> Result<Half, (IpNet, Refusal)> {
        let refusal = self.refusal(subnet, public);
        match refusal {
            Some(refusal) => Err((subnet, refusal)),
            None => Ok(Half { subnet, public }),
        }
    }

    fn refusal(&self, subnet: IpNet, public: IpAddr) -> Option<Refusal> {
        let family = |network: &&IpNet| is_v6(network) == is_v6(&subnet);
        let network = *self.networks.iter().find(family)?;
        let overlap = |own: &IpNet| own.contains(&subnet) || subnet.contains(own);
        if !network.contains(&subnet) {
            return Some(Refusal::Outside { network });
        }
        if let Some(own) = self.subnets().find(overlap) {
            return Some(Refusal::Overlap { own });
        }
        if !is_a_host(public) {
            return Some(Refusal::NotAHost { public });
        }
        if self.addresses.contains(&public) {
            return Some(Refusal::OwnAddress { public });
        }
        let inside = self
            .networks
            .iter()
            .any(|network| network.contains(&public));
        inside.then_some(Refusal::InOverlay { public })
    }
}

/// The networks of all families.
pub fn networks(settings: &Settings) -> Vec<IpNet> {
    let v6 = settings.ipv6_network.map(|network| network.trunc().into());
    std::iter::once(settings.network.trunc().into())
        .chain(v6)
        .collect()
}

fn is_v6(network: &IpNet) -> bool {
    matches!(network, IpNet::V6(_))
}

fn is_a_host(address: IpAddr) -> bool {
    let broadcast = match address {
        // 0/8 is "this network".
        IpAddr::V4(address) => address.is_broadcast() || address.octets()[0] == 0,
        IpAddr::V6(_) => false,
    };
    !(broadcast || address.is_unspecified() || address.is_loopback() || address.is_multicast())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::testing::{external, lease, settings};

    fn node() -> Node {
        let subnet = lease("10.5.9.0/24", "10.99.0.11", None).subnet;
        Node::new(&settings(), &external(), subnet)
    }

    fn refusal(subnet: &str, public: &str) -> Option<String> {
        let lease = lease(subnet, public, None);
        let refused = node().half_v4(&lease).err();
        refused.map(|(_, refusal)| refusal.to_string())
    }

    #[test]
    fn leases_that_lie_are_refused() {
        assert_eq!(refusal("10.5.7.0/24", "10.99.0.12"), None);
        for (subnet, public, why) in [
            (
                "0.0.0.0/0",
                "10.99.0.12",
                "outside of the network 10.5.0.0/16",
            ),
            (
                "10.6.0.0/24",
                "10.99.0.12",
                "outside of the network 10.5.0.0/16",
            ),
            ("10.5.0.0/16", "10.99.0.12", "own subnet 10.5.9.0/24"),
            ("10.5.9.0/24", "10.99.0.12", "own subnet"),
            ("10.5.9.128/25", "10.99.0.12", "own subnet"),
            ("10.5.7.0/24", "0.0.0.0", "not that of another host"),
            ("10.5.7.0/24", "0.1.2.3", "not that of another host"),
            ("10.5.7.0/24", "127.0.0.1", "not that of another host"),
            ("10.5.7.0/24", "239.1.2.3", "not that of another host"),
            ("10.5.7.0/24", "255.255.255.255", "not that of another host"),
            ("10.5.7.0/24", "10.99.0.11", "this node's own"),
            ("10.5.7.0/24", "10.5.8.2", "an address of the overlay"),
        ] {
            let refusal = refusal(subnet, public).expect("refused");
            assert!(refusal.contains(why), "{subnet} {public}: {refusal}");
        }
    }

    #[test]
    fn an_ipv6_half_needs_a_dual_stack_network() {
        let mut lease = lease("10.5.7.0/24", "10.99.0.12", None);
        lease.subnet.v6 = Some("fd00:5:0:7::/64".parse().expect("a network"));
        lease.attributes.public_ipv6 = Some("fd99::12".parse().expect("an address"));
        assert_eq!(node().half_v6(&lease), None);
        let mut dual = node();
        dual.networks
            .push("fd00:5::/48".parse().expect("a network"));
        let half = dual.half_v6(&lease).expect("both have one").expect("fine");
        assert_eq!(half.public.to_string(), "fd99::12");
        dual.networks[1] = "fd00:6::/48".parse().expect("a network");
        assert!(dual.half_v6(&lease).is_some_and(|half| half.is_err()));
    }
}
