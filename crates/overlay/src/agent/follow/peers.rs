//! The other nodes, as this one knows them: what is told of their coming and going.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::SystemTime;

use crate::lease::{Attributes, Lease, Subnet};

/// So many changes of a kind are named at once, after which they are counted.
const NAMED: usize = 20;

/// One other node.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Peer {
    pub attributes: Attributes,
    /// When its lease was new or said something new.
    pub changed: SystemTime,
}

/// The other nodes by subnet.
#[derive(Debug, Default)]
pub(super) struct Peers {
    known: BTreeMap<Subnet, Peer>,
    /// Whose records cannot be read now, whether they are known or not.
    unreadable: BTreeSet<Subnet>,
}

/// What happened to one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Removed,
    Changed,
    Added,
}

/// A change to be told: of which subnet, and its node's address.
type Told = (Change, Subnet, Ipv4Addr);

impl Peers {
    /// Notes a lease; whether it says anything new.
    pub fn add(&mut self, lease: &Lease, now: SystemTime) -> bool {
        let told = self.note(lease, now);
        tell(told.as_slice());
        told.is_some()
    }

    /// Notes that a lease is gone; whether it was known.
    pub fn remove(&mut self, subnet: &Subnet) -> bool {
        let told = self.forget(subnet);
        tell(told.as_slice());
        told.is_some()
    }

    /// Notes that a record cannot be read; whether that is new. What it said before is kept.
    pub fn add_unreadable(&mut self, subnet: Subnet) -> bool {
        self.unreadable.insert(subnet)
    }

    /// Notes that a record can be read, or is gone; whether that is new.
    pub fn remove_unreadable(&mut self, subnet: &Subnet) -> bool {
        self.unreadable.remove(subnet)
    }

    /// Notes that there are these and no others. What `unreadable` leases said before is kept; those are
    /// returned.
    pub fn replace(
        &mut self,
        leases: &[Lease],
        unreadable: &[Subnet],
        now: SystemTime,
    ) -> Vec<Lease> {
        let there: BTreeSet<Subnet> = leases.iter().map(|lease| lease.subnet).collect();
        self.unreadable = unreadable.iter().copied().collect();
        let (kept, gone): (Vec<Subnet>, Vec<Subnet>) = self
            .known
            .keys()
            .filter(|subnet| !there.contains(subnet))
            .copied()
            .partition(|subnet| self.unreadable.contains(subnet));
        let mut told: Vec<Told> = gone.iter().filter_map(|gone| self.forget(gone)).collect();
        told.extend(leases.iter().filter_map(|lease| self.note(lease, now)));
        tell(&told);
        let lease = |subnet: Subnet| {
            let attributes = self.known.get(&subnet)?.attributes.clone();
            Some(Lease { subnet, attributes })
        };
        kept.into_iter().filter_map(lease).collect()
    }

    fn note(&mut self, lease: &Lease, now: SystemTime) -> Option<Told> {
        let known = self.known.get(&lease.subnet);
        let change = match known {
            Some(known) if known.attributes == lease.attributes => return None,
            Some(_) => Change::Changed,
            None => Change::Added,
        };
        let peer = Peer {
            attributes: lease.attributes.clone(),
            changed: now,
        };
        self.known.insert(lease.subnet, peer);
        Some((change, lease.subnet, lease.attributes.public_ip))
    }

    fn forget(&mut self, subnet: &Subnet) -> Option<Told> {
        let peer = self.known.remove(subnet)?;
        Some((Change::Removed, *subnet, peer.attributes.public_ip))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Subnet, &Peer)> {
        self.known.iter()
    }

    /// Whose records cannot be read now.
    pub fn unreadable(&self) -> impl Iterator<Item = &Subnet> {
        self.unreadable.iter()
    }
}

fn tell(changes: &[Told]) {
    for line in lines(changes) {
        tracing::info!("{line}");
    }
}

/// A line for each change, but few of any number.
fn lines(changes: &[Told]) -> Vec<String> {
    let mut lines = Vec::new();
    for (kind, verb) in [
        (Change::Removed, "removed"),
        (Change::Changed, "changed"),
        (Change::Added, "added"),
    ] {
        let all = || changes.iter().filter(|(change, ..)| *change == kind);
        let named = all().take(NAMED);
        lines.extend(named.map(|(_, subnet, by)| format!("Subnet {verb}: {} via {by}", subnet.v4)));
        if let Some(more) = all().count().checked_sub(NAMED).filter(|more| *more > 0) {
            lines.push(format!("Subnets {verb}: {more} more"));
        }
    }
    lines
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
        let kept = peers.replace(&[lease("10.5.2.0/24", [10, 99, 0, 1])], &[], late);
        assert_eq!(kept, []);
        let subnets: Vec<String> = peers
            .iter()
            .map(|(subnet, _)| subnet.v4.to_string())
            .collect();
        assert_eq!(subnets, ["10.5.2.0/24"]);
        assert!(!peers.remove(&one.subnet));
    }

    #[test]
    fn what_cannot_be_read_any_more_is_kept_as_it_was() {
        let mut peers = Peers::default();
        let now = SystemTime::now();
        let one = lease("10.5.1.0/24", [10, 99, 0, 1]);
        let never_known = lease("10.5.3.0/24", [10, 99, 0, 3]).subnet;
        peers.replace(
            &[one.clone(), lease("10.5.2.0/24", [10, 99, 0, 2])],
            &[],
            now,
        );
        let kept = peers.replace(&[], &[one.subnet, never_known], now);
        assert_eq!(kept, std::slice::from_ref(&one));
        assert!(peers.iter().map(|(subnet, _)| subnet).eq([&one.subnet]));
        assert!(peers.unreadable().eq([&one.subnet, &never_known]));
        assert!(!peers.add_unreadable(never_known));
        assert!(peers.remove_unreadable(&never_known) && peers.add_unreadable(never_known));
        peers.replace(&[], &[], now);
        assert_eq!(peers.unreadable().count(), 0);
    }

    #[test]
    fn thousands_are_counted_and_single_ones_named() {
        let told = |change, number: u16| {
            let [high, low] = number.to_be_bytes();
            let subnet = lease(&format!("10.{high}.{low}.0/24"), [0; 4]).subnet;
            (change, subnet, Ipv4Addr::new(10, 99, high, low))
        };
        let mut changes: Vec<Told> = (0..5000)
            .map(|number| told(Change::Added, number))
            .collect();
        changes.push(told(Change::Removed, 5001));
        let lines = lines(&changes);
        assert_eq!(lines.len(), NAMED + 2);
        assert_eq!(lines[0], "Subnet removed: 10.19.137.0/24 via 10.99.19.137");
        assert_eq!(lines[1], "Subnet added: 10.0.0.0/24 via 10.99.0.0");
        assert_eq!(lines[NAMED + 1], "Subnets added: 4980 more");
    }
}
