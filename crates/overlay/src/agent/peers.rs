//! The other nodes, as this one knows them: what is told of their coming and going.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use crate::lease::{Attributes, Lease, Subnet};

/// One other node.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Peer {
    pub attributes: Attributes,
    /// When its lease was new or said something new.
    pub changed: SystemTime,
}

/// The other nodes by subnet.
#[derive(Debug, Default)]
pub(super) struct Peers(BTreeMap<Subnet, Peer>);

impl Peers {
    /// Notes a lease; whether it says anything new.
    pub fn add(&mut self, lease: &Lease, now: SystemTime) -> bool {
        let known = self.0.get(&lease.subnet);
        if known.is_some_and(|known| known.attributes == lease.attributes) {
            return false;
        }
        let verb = if known.is_some() { "changed" } else { "added" };
        tracing::info!(
            "Subnet {verb}: {} via {}",
            lease.subnet.v4,
            lease.attributes.public_ip
        );
        let peer = Peer {
            attributes: lease.attributes.clone(),
            changed: now,
        };
        self.0.insert(lease.subnet, peer);
        true
    }

    /// Notes that a lease is gone; whether it was known.
    pub fn remove(&mut self, subnet: &Subnet) -> bool {
        let known = self.0.remove(subnet);
        if let Some(peer) = &known {
            let by = peer.attributes.public_ip;
            tracing::info!("Subnet removed: {} via {by}", subnet.v4);
        }
        known.is_some()
    }

    /// Notes that there are these and no others.
    pub fn replace(&mut self, leases: &[Lease], now: SystemTime) {
        let there: BTreeSet<Subnet> = leases.iter().map(|lease| lease.subnet).collect();
        let gone: Vec<Subnet> = self
            .0
            .keys()
            .filter(|subnet| !there.contains(subnet))
            .copied()
            .collect();
        for subnet in gone {
            self.remove(&subnet);
        }
        for lease in leases {
            self.add(lease, now);
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Subnet, &Peer)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(subnet: &str, public_ip: [u8; 4]) -> Lease {
        Lease {
            subnet: Subnet {
                v4: subnet.parse().expect("a network"),
                v6: None,
            },
            attributes: Attributes {
                public_ip: public_ip.into(),
                public_ipv6: None,
                backend: None,
                data: None,
                v6_data: None,
            },
        }
    }

    #[test]
    fn only_what_is_new_changes_anything() {
        let (early, late) = (SystemTime::UNIX_EPOCH, SystemTime::now());
        let mut peers = Peers::default();
        let one = lease("10.5.1.0/24", [10, 99, 0, 1]);
        assert!(peers.add(&one, early));
        assert!(!peers.add(&one, late));
        assert_eq!(peers.iter().next().expect("there").1.changed, early);
        assert!(peers.add(&lease("10.5.1.0/24", [10, 99, 0, 2]), late));
        peers.replace(&[lease("10.5.2.0/24", [10, 99, 0, 1])], late);
        let subnets: Vec<String> = peers
            .iter()
            .map(|(subnet, _)| subnet.v4.to_string())
            .collect();
        assert_eq!(subnets, ["10.5.2.0/24"]);
        assert!(!peers.remove(&one.subnet));
    }
}
