//! The overlay's records, watched.

use std::num::NonZeroU32;
use std::time::Duration;

use ignite_overlay::etcd::{Client, Settings};
use ignite_overlay::lease::Lease;
use ignite_overlay::registry::{Event, Held, LeaseWatch, Own, Registry};

use crate::gate::Gate;
use crate::leases::{P, acquire, lease_of, node, registry, subnet};
use crate::server::{Etcd, soon};

async fn next(watch: &mut LeaseWatch) -> Event {
    soon("an event", watch.next()).await.expect("not ended")
}

#[tokio::test]
async fn a_lease_that_ends_is_told_to_others() {
    let etcd = Etcd::start().await;
    let registry = registry(&etcd);
    let two = NonZeroU32::new(2).expect("not zero");
    let short = registry.clone().with_lease_time(two);
    let mut watch = registry.watch_leases(Some(subnet("10.5.9.0/24")), None);
    assert_eq!(next(&mut watch).await, Event::Own(Own::Removed));
    assert_eq!(next(&mut watch).await, Event::Resynced(Vec::new()));
    let held = acquire(&short, &node(1), &["10.5.1.0/24"]).await;
    let lease = Lease {
        subnet: held.subnet,
        attributes: node(1),
    };
    assert_eq!(next(&mut watch).await, Event::Added(lease));
    let own = acquire(&registry, &node(2), &["10.5.9.0/24"]).await;
    let put = Own::Put {
        attributes: Box::new(node(2)),
        lease_id: own.lease_id,
    };
    assert_eq!(next(&mut watch).await, Event::Own(put));
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
    assert!(matches!(
        next(&mut watch).await,
        Event::Own(Own::Put { .. })
    ));
    let lease = Lease {
        subnet: third.subnet,
        attributes: node(3),
    };
    assert_eq!(next(&mut watch).await, Event::Resynced(vec![lease]));
    direct.release(third, &node(3)).await.expect("release");
    assert_eq!(
        next(&mut watch).await,
        Event::Removed(subnet("10.5.3.0/24"))
    );
}

#[tokio::test]
async fn what_others_write_may_be_anything() {
    let etcd = Etcd::start().await;
    let (registry, client) = (registry(&etcd), etcd.client());
    let good = acquire(&registry, &node(1), &["10.5.1.0/24"]).await;
    let mut watch = registry.watch_leases(None, None);
    assert!(matches!(next(&mut watch).await, Event::Resynced(all) if all.len() == 1));
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
