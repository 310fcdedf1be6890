//! Which node a packet goes to.
//!
//! The threads that move packets take the whole table at once, and it is replaced as a whole: whoever
//! changes it never waits for a packet, nor a packet for it.

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, PoisonError, RwLock};

use ipnet::Ipv4Net;

/// The peers by subnet, and this node's own address on the overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    own: Ipv4Addr,
    /// By prefix length, the longest first, then by network. All nodes have one length, so a look-up
    /// is one in a hash.
    lengths: Vec<(Mask, HashMap<u32, SocketAddrV4>)>,
}

type Mask = u32;

impl Table {
    /// A table of these peers.
    pub fn new(own: Ipv4Addr, peers: impl IntoIterator<Item = (Ipv4Net, SocketAddrV4)>) -> Self {
        let mut lengths: BTreeMap<Mask, HashMap<u32, SocketAddrV4>> = BTreeMap::new();
        for (subnet, endpoint) in peers {
            let mask = subnet.netmask().to_bits();
            let network = subnet.network().to_bits();
            (lengths.entry(mask).or_default()).insert(network, endpoint);
        }
        Self {
            own,
            lengths: lengths.into_iter().rev().collect(),
        }
    }

    /// Where packets to `destination` go: the node with the longest subnet around it.
    pub fn find(&self, destination: Ipv4Addr) -> Option<SocketAddrV4> {
        let bits = destination.to_bits();
        (self.lengths.iter()).find_map(|(mask, peers)| peers.get(&(bits & mask)).copied())
    }

    /// This node's address on the overlay.
    pub fn own(&self) -> Ipv4Addr {
        self.own
    }
}

/// The table in use.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<RwLock<Arc<Table>>>);

impl Shared {
    pub(super) fn new(table: Table) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(table))))
    }

    /// The table as it is now.
    pub(super) fn get(&self) -> Arc<Table> {
        // It is replaced at once: a panic elsewhere cannot leave half of it.
        let guard = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&guard)
    }

    pub(super) fn set(&self, table: Table) {
        let table = Arc::new(table);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = table;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(peers: &[(&str, u8)]) -> Table {
        let peers = peers.iter().map(|(subnet, host)| {
            let endpoint = SocketAddrV4::new(Ipv4Addr::new(10, 99, 0, *host), 8285);
            (subnet.parse().expect("a network"), endpoint)
        });
        Table::new(Ipv4Addr::new(10, 5, 9, 0), peers)
    }

    fn host(table: &Table, destination: &str) -> Option<u8> {
        let found = table.find(destination.parse().expect("an address"))?;
        Some(found.ip().octets()[3])
    }

    #[test]
    fn the_longest_subnet_wins() {
        let table = table(&[("10.5.5.0/24", 5), ("10.5.6.0/24", 6), ("10.5.4.0/22", 4)]);
        for (destination, wanted) in [
            ("10.5.5.255", Some(5)),
            ("10.5.6.0", Some(6)),
            ("10.5.7.1", Some(4)),
            ("10.5.8.1", None),
            ("0.0.0.0", None),
        ] {
            assert_eq!(host(&table, destination), wanted, "{destination}");
        }
        assert_eq!(host(&self::table(&[("0.0.0.0/0", 9)]), "8.8.8.8"), Some(9));
        assert_eq!(host(&self::table(&[]), "8.8.8.8"), None);
    }

    #[test]
    fn a_table_taken_stays_while_it_is_replaced() {
        let shared = Shared::new(table(&[("10.5.5.0/24", 5)]));
        let before = shared.get();
        shared.set(table(&[]));
        assert_eq!(host(&before, "10.5.5.1"), Some(5));
        assert_eq!(host(&shared.get(), "10.5.5.1"), None);
    }
}
