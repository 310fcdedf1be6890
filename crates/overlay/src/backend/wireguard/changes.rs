//! From the peers a device has to those it should have: values, no system call.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use ignite_host::wireguard::{self as host, Known};

use super::plan::{Peer, Peers};

/// Keys older than this are not used any more (`REJECT_AFTER_TIME`): there is no session.
const SESSION: Duration = Duration::from_secs(180);

/// What makes the one into the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes<'a> {
    /// Keys of peers that are to go.
    pub(super) remove: Vec<[u8; 32]>,
    /// Peers that are new or to be different.
    pub(super) set: Vec<(&'a [u8; 32], &'a Peer)>,
}

impl<'a> Changes<'a> {
    /// From `have` to `wanted`.
    pub(super) fn between(have: &Peers, wanted: &'a Peers) -> Self {
        let gone = |key: &&[u8; 32]| !wanted.contains_key(*key);
        let differs = |(key, peer): &(&[u8; 32], &Peer)| have.get(*key) != Some(*peer);
        Self {
            remove: have.keys().filter(gone).copied().collect(),
            set: wanted.iter().filter(differs).collect(),
        }
    }

    /// The same for these keys alone.
    pub(super) fn of_keys(keys: &[[u8; 32]], have: &Peers, wanted: &'a Peers) -> Self {
        let gone = |key: &&[u8; 32]| have.contains_key(*key) && !wanted.contains_key(*key);
        let differs = |(key, peer): &(&[u8; 32], &Peer)| have.get(*key) != Some(*peer);
        let wanted = |key| wanted.get_key_value(key);
        Self {
            remove: keys.iter().filter(gone).copied().collect(),
            set: keys.iter().filter_map(wanted).filter(differs).collect(),
        }
    }

    /// In the kernel's words.
    pub(super) fn for_kernel(&self) -> Vec<host::Change> {
        let remove = self.remove.iter().copied().map(host::Change::Remove);
        let set = |(key, peer): &(&[u8; 32], &Peer)| {
            host::Change::Set(host::Peer {
                key: **key,
                preshared: peer.preshared,
                endpoint: Some(peer.endpoint),
                keepalive: peer.keepalive,
                allowed: peer.subnets.iter().copied().collect(),
            })
        };
        remove.chain(self.set.iter().map(set)).collect()
    }
}

/// What the kernel has, as if it had been told so. With a session, the place a peer speaks from is
/// better than the one its lease tells: it may be behind address translation, or have moved. Without
/// one, the lease is all there is.
pub(super) fn has(found: Vec<Known>, wanted: &Peers, now: SystemTime) -> Peers {
    let nowhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let peer = |Known { peer, handshake }: Known| {
        let session = handshake.is_some_and(|since| {
            // A clock that was set back makes no session old.
            now.duration_since(since).unwrap_or_default() < SESSION
        });
        let told = wanted.get(&peer.key).filter(|_| session);
        let endpoint = match told {
            Some(told) => told.endpoint,
            None => peer.endpoint.unwrap_or(nowhere),
        };
        let has = Peer {
            preshared: peer.preshared,
            endpoint,
            subnets: peer.allowed.into_iter().collect(),
            keepalive: peer.keepalive,
        };
        (peer.key, has)
    };
    found.into_iter().map(peer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_host::wireguard::{Change, Secret};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// What a kernel makes of changes, in order.
    fn apply(peers: &mut BTreeMap<[u8; 32], host::Peer>, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Remove(key) => drop(peers.remove(&key)),
                Change::Set(peer) => {
                    for other in peers.values_mut() {
                        other
                            .allowed
                            .retain(|network| !peer.allowed.contains(network));
                    }
                    peers.insert(peer.key, peer);
                }
            }
        }
    }

    fn known(peers: &BTreeMap<[u8; 32], host::Peer>, handshake: Option<SystemTime>) -> Vec<Known> {
        let known = |peer: &host::Peer| Known {
            peer: peer.clone(),
            handshake,
        };
        peers.values().map(known).collect()
    }

    fn peer(last: u8) -> Peer {
        Peer {
            preshared: Some(Secret([7; 32])),
            endpoint: SocketAddr::from(([10, 99, 0, last], 51820)),
            subnets: [format!("10.5.{last}.0/24").parse().expect("a network")].into(),
            keepalive: 25,
        }
    }

    #[test]
    fn a_session_knows_better_than_a_lease() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let wanted = Peers::from([([1; 32], peer(12))]);
        let mut kernel = BTreeMap::new();
        apply(
            &mut kernel,
            Changes::between(&Peers::new(), &wanted).for_kernel(),
        );
        // It speaks from behind a translation.
        let roamed: SocketAddr = "203.0.113.9:4711".parse().expect("an endpoint");
        kernel.get_mut(&[1; 32]).expect("there").endpoint = Some(roamed);
        let set = |handshake: Option<SystemTime>, wanted: &Peers| {
            let has = has(known(&kernel, handshake), wanted, now);
            Changes::between(&has, wanted).set.len()
        };
        let ago = |seconds| Some(now - Duration::from_secs(seconds));
        assert_eq!(set(ago(179), &wanted), 0);
        assert_eq!(set(Some(now + Duration::from_secs(9)), &wanted), 0);
        assert_eq!(set(ago(180), &wanted), 1);
        assert_eq!(set(None, &wanted), 1);
        // What else differs is set, session or not.
        let mut other = wanted.clone();
        other.values_mut().for_each(|peer| peer.keepalive = 0);
        assert_eq!(set(ago(1), &other), 1);
    }

    #[test]
    fn a_peer_nobody_knows_goes() {
        let wanted = Peers::from([([1; 32], peer(12))]);
        let stranger = host::Peer {
            key: [2; 32],
            preshared: None,
            endpoint: None,
            keepalive: 0,
            allowed: Vec::new(),
        };
        let mut kernel = BTreeMap::from([(stranger.key, stranger)]);
        let has = has(known(&kernel, None), &wanted, SystemTime::now());
        apply(&mut kernel, Changes::between(&has, &wanted).for_kernel());
        assert_eq!(kernel.keys().collect::<Vec<_>>(), [&[1; 32]]);
    }

    fn any_peers() -> impl Strategy<Value = Peers> {
        // Each subnet with one key, as plans have it.
        let choice = (1u8..6, 0u8..3, any::<bool>());
        prop::collection::btree_map(0u8..12, choice, 0..8).prop_map(|owners| {
            let mut peers = Peers::new();
            for (subnet, (key, keepalive, secret)) in owners {
                let entry = peers.entry([key; 32]).or_insert_with(|| Peer {
                    preshared: secret.then_some(Secret([9; 32])),
                    subnets: std::collections::BTreeSet::new(),
                    keepalive: keepalive.into(),
                    ..peer(key)
                });
                entry.subnets.extend(peer(subnet).subnets);
            }
            peers
        })
    }

    proptest! {
        #[test]
        fn from_anything_to_what_is_wanted(before in any_peers(), wanted in any_peers()) {
            let mut kernel = BTreeMap::new();
            apply(&mut kernel, Changes::between(&Peers::new(), &before).for_kernel());
            let now = SystemTime::now();
            let found = has(known(&kernel, None), &wanted, now);
            prop_assert_eq!(&found, &before);
            apply(&mut kernel, Changes::between(&found, &wanted).for_kernel());
            let found = has(known(&kernel, Some(now)), &wanted, now);
            prop_assert_eq!(Changes::between(&found, &wanted), Changes::default());
            prop_assert_eq!(found, wanted);
        }
    }
}
