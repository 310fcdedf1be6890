//! Which node a packet goes to.
//!
//! The threads that move packets take the whole table at once, and while one has it, it does not change:
//! whoever changes it never waits for a packet.

use std::collections::HashMap;
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
        let mut table = Self {
            own,
            lengths: Vec::new(),
        };
        for (subnet, endpoint) in peers {
            table.insert(subnet, endpoint);
        }
        table
    }

    /// Adds a peer, in place of an earlier one of the same subnet.
    pub fn insert(&mut self, subnet: Ipv4Net, endpoint: SocketAddrV4) {
        let (mask, network) = bits(subnet);
        let at = self.lengths.partition_point(|(other, _)| *other > mask);
        if self.lengths.get(at).is_none_or(|(other, _)| *other != mask) {
            self.lengths.insert(at, (mask, HashMap::new()));
        }
        self.lengths[at].1.insert(network, endpoint);
    }

    /// Removes the peer of a subnet, if there is one.
    pub fn remove(&mut self, subnet: Ipv4Net) {
        let (mask, network) = bits(subnet);
        for (_, peers) in self.lengths.iter_mut().filter(|(other, _)| *other == mask) {
            peers.remove(&network);
        }
        self.lengths.retain(|(_, peers)| !peers.is_empty());
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

fn bits(subnet: Ipv4Net) -> (Mask, u32) {
    (subnet.netmask().to_bits(), subnet.network().to_bits())
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
        // Nothing that changes it panics halfway.
        let guard = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&guard)
    }

    pub(super) fn set(&self, table: Table) {
        let table = Arc::new(table);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// Changes the table in place, or a copy of it if a thread has it at this moment.
    pub(super) fn change(&self, change: impl FnOnce(&mut Table)) {
        let mut guard = self.0.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut guard));
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
    fn a_peer_more_and_one_less_is_the_table_of_those_that_are_left() {
        let peers = [("10.5.5.0/24", 5), ("10.5.6.0/24", 6), ("10.5.4.0/22", 4)];
        let mut table = table(&peers[1..]);
        let subnet = |text: &str| text.parse().expect("a network");
        table.remove(subnet("10.5.7.0/24"));
        assert_eq!(table, self::table(&peers[1..]));
        table.insert(
            subnet("10.5.5.0/24"),
            SocketAddrV4::new(Ipv4Addr::new(10, 99, 0, 5), 8285),
        );
        assert_eq!(table, self::table(&peers));
        table.remove(subnet("10.5.4.0/22"));
        assert_eq!(table, self::table(&peers[..2]));
    }

    #[test]
    fn a_table_taken_stays_while_it_is_replaced() {
        let shared = Shared::new(table(&[("10.5.5.0/24", 5)]));
        let before = shared.get();
        shared.change(|table| table.remove("10.5.5.0/24".parse().expect("a network")));
        assert_eq!(host(&before, "10.5.5.1"), Some(5));
        assert_eq!(host(&shared.get(), "10.5.5.1"), None);
        let before = shared.get();
        shared.set(table(&[("10.5.6.0/24", 6)]));
        assert_eq!(host(&before, "10.5.6.1"), None);
        assert_eq!(host(&shared.get(), "10.5.5.1"), None);
    }
}
