//! The overlay's records, watched.

use std::num::NonZeroU32;
use std::time::Duration;

use ignite_overlay::etcd::{Client, Settings};
use ignite_overlay::lease::{Attributes, Lease};
use ignite_overlay::registry::{Event, Held, LeaseWatch, Own, Registry};

use crate::gate::Gate;
use crate::leases::{P, acquire, lease_of, node, registry, subnet};
use crate::server::{Etcd, soon};

async fn next(watch: &mut LeaseWatch) -> Event {
    soon("an event", watch.next()).await.expect("not ended")
}

/// Something about our own lease, and when.
async fn next_own(watch: &mut LeaseWatch) -> (Own, i64) {
    match next(watch).await {
        Event::Own { own, revision } => (own, revision),
        other => panic!("{other:?}"),
    }
}

fn resynced(leases: &[Lease]) -> Event {
    Event::Resynced {
        leases: leases.to_vec(),
        unreadable: Vec::new(),
    }
}

#[tokio::test]
async fn a_lease_that_ends_is_told_to_others() {
    let etcd = Etcd::start().await;
    let registry = registry(&etcd);
    let two = NonZeroU32::new(2).expect("not zero");
    let short = registry.clone().with_lease_time(two);
    let mut watch = registry.watch_leases(Some(subnet("10.5.9.0/24")), None);
    assert_eq!(next_own(&mut watch).await.0, Own::Removed);
    assert_eq!(next(&mut watch).await, resynced(&[]));
    let own = acquire(&registry, &node(2), &["10.5.9.0/24"]).await;
    let put = Own::Put {
        attributes: Box::new(node(2)),
        lease_id: own.lease_id,
        mod_revision: own.revision,
    };
    assert_eq!(next_own(&mut watch).await, (put, own.revision));
    // Last, as it may end while a slow machine does anything else.
    let held = acquire(&short, &node(1), &["10.5.1.0/24"]).await;
    let lease = Lease {
        subnet: held.subnet,
        attributes: node(1),
    };
    assert_eq!(next(&mut watch).await, Event::Added(lease));
    assert_eq!(next(&mut watch).await, Event::Removed(held.subnet));
}

#[tokio::test]
async fn leases_are_listed_again_after_compaction() {
    let etcd = Etcd::start().await;
    let direct = registry(&etcd);
    let gate = Gate::before(etcd.port()).await;
    let client = Client::new(Settings::new([gate.endpoint.clone()])).expect("client");
    let pool = ["10.5.1.0/24", "10.5.2.0/24", "10.5.3.0/24"];
    let first = acquire(&direct, &node(1), &pool).await;
    let own = acquire(&direct, &node(2), &pool).await;
    let revision = direct.leases().await.expect("leases").revision;
    let mut watch = Registry::new(client, P).watch_leases(Some(own.subnet), Some(revision));
    acquire(&direct, &node(1), &pool).await;
    assert!(matches!(next(&mut watch).await, Event::Added(_)));

    gate.cut();
    let first = Held {
        lease_id: lease_of(&etcd, pool[0]).await.expect("there"),
        ..first
    };
    direct.release(first, &node(1)).await.expect("release");
    let third = acquire(&direct, &node(3), &["10.5.3.0/24"]).await;
    let revision = direct.leases().await.expect("leases").revision;
    etcd.client().compact(revision).await.expect("compact");
    gate.open();
    assert!(matches!(next_own(&mut watch).await.0, Own::Put { .. }));
    let lease = Lease {
        subnet: third.subnet,
        attributes: node(3),
    };
    assert_eq!(next(&mut watch).await, resynced(&[lease]));
    direct.release(third, &node(3)).await.expect("release");
    assert_eq!(
        next(&mut watch).await,
        Event::Removed(subnet("10.5.3.0/24"))
    );
}

#[tokio::test]
async fn what_is_too_much_at_once_is_listed_again_without_it() {
    let etcd = Etcd::start().await;
    let direct = registry(&etcd);
    let gate = Gate::before(etcd.port()).await;
    let client = Client::new(Settings::new([gate.endpoint.clone()])).expect("client");
    let mut watch = Registry::new(client, P).watch_leases(None, None);
    assert_eq!(next(&mut watch).await, resynced(&[]));
    gate.cut();
    let large = vec![b'v'; 1 << 20];
    let lies: Vec<_> = (1..=20).map(|n| format!("10.5.{n}.0/24")).collect();
    for lie in &lies {
        let key = format!("{P}/subnets/{}", lie.replace('/', "-"));
        let put = etcd.client().put(&key, &large, None).await;
        put.expect("put");
    }
    let held = acquire(&direct, &node(1), &["10.5.99.0/24"]).await;
    gate.open();
    let Event::Resynced { leases, unreadable } = next(&mut watch).await else {
        panic!("nothing was listed");
    };
    assert_eq!((leases.len(), unreadable.len()), (1, lies.len()));
    direct
        .release(held.clone(), &node(1))
        .await
        .expect("release");
    assert_eq!(next(&mut watch).await, Event::Removed(held.subnet));
}

#[tokio::test]
async fn what_others_write_may_be_anything() {
    let etcd = Etcd::start().await;
    let (registry, client) = (registry(&etcd), etcd.client());
    let good = acquire(&registry, &node(1), &["10.5.1.0/24"]).await;
    let mut watch = registry.watch_leases(None, None);
    assert!(matches!(next(&mut watch).await, Event::Resynced { leases, .. } if leases.len() == 1));
    for (tail, value) in [
        ("10.5.2.0-24", "no JSON"),
        ("10.5.2.0-24", ""),
        ("10.5.3.0-24", r#"{"PublicIP":"not an address"}"#),
        ("nonsense", r#"{"PublicIP":"10.99.0.9","PublicIPv6":null}"#),
        ("", "x"),
        ("10.5.2.0-24/deeper", "x"),
    ] {
        let key = format!("{P}/subnets/{tail}");
        client.put(&key, value.as_bytes(), None).await.expect("put");
    }
    let found = registry.leases().await.expect("leases");
    assert_eq!(found.found.len(), 1, "{found:?}");
    // They are nobody's to take.
    let unreadable = ["10.5.2.0/24", "10.5.3.0/24"].map(subnet);
    assert_eq!(found.unreadable, unreadable);
    client
        .delete(&format!("{P}/subnets/nonsense"))
        .await
        .expect("delete");
    registry
        .release(good.clone(), &node(1))
        .await
        .expect("release");
    for subnet in [unreadable[0], unreadable[0], unreadable[1]] {
        assert_eq!(next(&mut watch).await, Event::Unreadable(subnet));
    }
    assert_eq!(next(&mut watch).await, Event::Removed(good.subnet));
}

#[tokio::test]
async fn the_configuration_is_read_and_watched() {
    let etcd = Etcd::start().await;
    let (registry, client) = (registry(&etcd), etcd.client());
    let config = registry.config().await.expect("config");
    assert_eq!(config.bytes, None);
    let mut watch = registry.watch_config(config.revision);
    let key = format!("{P}/config");
    client
        .put(&format!("{key}2"), b"another key", None)
        .await
        .expect("put");
    client.put(&key, b"{}", None).await.expect("put");
    assert_eq!(
        soon("a change", watch.next()).await,
        Some(Some(b"{}".to_vec()))
    );
    client.delete(&key).await.expect("delete");
    assert_eq!(soon("a change", watch.next()).await, Some(None));
    client.put(&key, b"{1}", None).await.expect("put");
    assert_eq!(
        soon("a change", watch.next()).await,
        Some(Some(b"{1}".to_vec()))
    );
    assert_eq!(
        registry.config().await.expect("config").bytes,
        Some(b"{1}".to_vec())
    );
    let more = tokio::time::timeout(Duration::from_millis(200), watch.next()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn late_word_of_our_own_writes_changes_nothing() {
    let etcd = Etcd::start().await;
    let registry = registry(&etcd);
    let own = node(1);
    let mut held = acquire(&registry, &own, &["10.5.1.0/24"]).await;
    let before = registry.leases().await.expect("leases").revision;
    let mut watch = registry.watch_leases(Some(held.subnet), Some(before));
    // Nobody reads the watch meanwhile.
    registry.announce(&mut held, &own).await.expect("announce");
    etcd.client()
        .delete(&format!("{P}/subnets/10.5.1.0-24"))
        .await
        .expect("delete");
    registry.renew(&mut held, &own).await.expect("renew");
    let renewed = held.clone();

    let (put, revision) = next_own(&mut watch).await;
    let Own::Put { lease_id, .. } = put else {
        panic!("{put:?}");
    };
    assert_ne!(lease_id, renewed.lease_id);
    assert!(held.knows_better(revision));
    registry
        .adopt(&mut held, lease_id, revision)
        .await
        .expect("adopt");
    assert_eq!(held, renewed, "a dead lease is taken for ours");
    let (removed, revision) = next_own(&mut watch).await;
    assert_eq!(removed, Own::Removed);
    assert!(held.knows_better(revision));
    let (_, revision) = next_own(&mut watch).await;
    assert!(!held.knows_better(revision));
    assert_eq!(revision, held.revision);
}

#[tokio::test]
async fn a_listing_tells_which_write_it_is_of() {
    let etcd = Etcd::start().await;
    let registry = registry(&etcd);
    let held = acquire(&registry, &node(1), &["10.5.1.0/24"]).await;
    acquire(&registry, &node(2), &["10.5.2.0/24"]).await;
    let mut watch = registry.watch_leases(Some(held.subnet), None);
    let (own, revision) = next_own(&mut watch).await;
    assert!(revision > held.revision);
    let listed = Own::Put {
        attributes: Box::new(node(1)),
        lease_id: held.lease_id,
        mod_revision: held.revision,
    };
    assert_eq!(own, listed);
}

#[tokio::test]
async fn what_overwrote_our_lease_is_told_and_written_over() {
    let etcd = Etcd::start().await;
    let (registry, client) = (registry(&etcd), etcd.client());
    let own = node(1);
    let mut held = acquire(&registry, &own, &["10.5.1.0/24"]).await;
    let other = acquire(&registry, &node(2), &["10.5.2.0/24"]).await;
    let before = registry.leases().await.expect("leases").revision;
    let mut watch = registry.watch_leases(Some(held.subnet), Some(before));
    let key = format!("{P}/subnets/10.5.1.0-24");
    client.put(&key, b"nonsense", None).await.expect("put");
    let (told, revision) = next_own(&mut watch).await;
    assert_eq!(told, Own::Unreadable);
    assert!(!held.knows_better(revision));

    // The same in a listing, and of another node.
    let others = format!("{P}/subnets/10.5.2.0-24");
    client.put(&others, b"nonsense", None).await.expect("put");
    let mut watch = registry.watch_leases(Some(held.subnet), None);
    assert_eq!(next_own(&mut watch).await.0, Own::Unreadable);
    let listed = Event::Resynced {
        leases: Vec::new(),
        unreadable: vec![other.subnet],
    };
    assert_eq!(next(&mut watch).await, listed);

    // It was a lease, and is one again, whatever nonsense is attached to.
    for announced in [false, true] {
        client.put(&key, b"nonsense", None).await.expect("put");
        match announced {
            true => registry.announce(&mut held, &own).await.expect("announce"),
            false => registry.renew(&mut held, &own).await.expect("renew"),
        }
        assert!(held.lease_id.is_some() && held.expires.is_some());
        assert_eq!(lease_of(&etcd, "10.5.1.0/24").await, Some(held.lease_id));
        let pair = client.get(&key).await.expect("get").pair.expect("there");
        assert_eq!(pair.value, own.to_json().as_bytes());
    }
}

#[tokio::test]
async fn a_node_whose_address_changes_keeps_its_lease_unless_another_took_it() {
    let etcd = Etcd::start().await;
    let registry = registry(&etcd);
    let pool = ["10.5.1.0/24"];
    let mut held = acquire(&registry, &node(1), &pool).await;
    registry
        .announce(&mut held, &node(7))
        .await
        .expect("announce");
    assert_eq!(held.written, node(7));
    let found = registry.leases().await.expect("leases").found;
    assert_eq!(found[0].lease.attributes, node(7));
    assert_eq!(found[0].lease_id, held.lease_id);
    registry.renew(&mut held, &node(8)).await.expect("renew");

    // A write whose answer never came is ours all the same.
    let unanswered = held.clone();
    registry
        .announce(&mut held, &node(8))
        .await
        .expect("announce");
    held = unanswered;
    registry
        .announce(&mut held, &node(9))
        .await
        .expect("announce");
    registry
        .announce(&mut held, &node(8))
        .await
        .expect("announce");

    // Another node got the address we had, and with it, as Flannel has it, the lease.
    let theirs = Attributes {
        backend: Some("vxlan".into()),
        ..node(8)
    };
    acquire(&registry, &theirs, &pool).await;
    let taken = registry.announce(&mut held, &node(9)).await;
    assert!(
        matches!(taken, Err(ignite_overlay::registry::Error::Taken { .. })),
        "{taken:?}"
    );
}

#[tokio::test]
async fn failures_are_counted() {
    let etcd = Etcd::start().await;
    let gate = Gate::before(etcd.port()).await;
    let client = Client::new(Settings::new([gate.endpoint.clone()])).expect("client");
    let failures = client.failures();
    let count = || failures.load(std::sync::atomic::Ordering::Relaxed);
    let mut watch = client.watch("/w/", 1);
    client.put("/w/a", b"1", None).await.expect("put");
    soon("a message", watch.next()).await.expect("not ended");
    assert_eq!(count(), 0);
    gate.cut();
    client.get("/w/a").await.expect_err("cut");
    assert!(count() > 0);
    let before = count();
    let broken = async {
        while count() == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("the watch to break", broken).await;
}
