//! The overlay's records: acquired, kept, lost, reserved.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use ignite_overlay::lease::{Attributes, Lease, Subnet};
use ignite_overlay::pool::{Decision, Take};
use ignite_overlay::registry::{
    AcquireError, Error, Held, Registry, Reserved, Snapshot, Unreserve,
};
use ignite_overlay::subnet_env::{Half, SubnetEnv};

use crate::server::Etcd;

pub const P: &str = "/coreos.com/network";

#[derive(Debug, thiserror::Error)]
#[error("out of subnets")]
struct OutOfSubnets;

pub fn registry(etcd: &Etcd) -> Registry {
    Registry::new(etcd.client(), P)
}

pub fn subnet(text: &str) -> Subnet {
    Subnet {
        v4: text.parse().expect("net"),
        v6: None,
    }
}

pub fn node(last: u8) -> Attributes {
    Attributes {
        public_ip: Ipv4Addr::new(10, 99, 0, last),
        public_ipv6: None,
        backend: Some("host-gw".into()),
        data: None,
        v6_data: None,
    }
}

/// What a pool decides, in its simplest form: one's own, else the first that is free.
fn first_free<'a>(
    own: &'a Attributes,
    pool: &'a [&str],
) -> impl FnMut(&Snapshot) -> Result<Decision, OutOfSubnets> + 'a {
    move |snapshot| {
        let leases = snapshot.leases();
        let (ours, others): (Vec<&Lease>, Vec<_>) = leases
            .iter()
            .partition(|lease| lease.attributes.public_ip == own.public_ip);
        let mut all = pool.iter().map(|net| subnet(net));
        let (fitting, delete): (Vec<Subnet>, Vec<_>) = ours
            .iter()
            .map(|lease| lease.subnet)
            .partition(|ours| pool.iter().any(|net| subnet(net) == *ours));
        let free = |net: &Subnet| {
            let taken = others.iter().any(|lease| lease.subnet == *net);
            !taken && !snapshot.unreadable.contains(net)
        };
        let take = match fitting.first() {
            Some(subnet) => Take::Reuse(*subnet),
            None => Take::Create(all.find(free).ok_or(OutOfSubnets)?),
        };
        Ok(Decision { delete, take })
    }
}

pub async fn acquire(registry: &Registry, own: &Attributes, pool: &[&str]) -> Held {
    let held = registry.acquire(own, first_free(own, pool)).await;
    held.expect("a subnet")
}

/// How many etcd leases there are.
async fn lease_count(etcd: &Etcd) -> usize {
    let said = etcd.raw("/v3/lease/leases", "{}").await;
    said.matches(r#"{"ID""#).count()
}

pub async fn lease_of(etcd: &Etcd, subnet: &str) -> Option<Option<i64>> {
    let key = format!("{P}/subnets/{}", subnet.replace('/', "-"));
    let pair = etcd.client().get(&key).await.expect("get").pair;
    pair.map(|pair| pair.lease)
}

#[tokio::test]
async fn a_lease_is_acquired_kept_and_released() {
    let etcd = Etcd::start().await;
    let registry = registry(&etcd);
    let own = node(1);
    let pool = ["10.5.1.0/24", "10.5.2.0/24"];
    let mut held = acquire(&registry, &own, &pool).await;
    assert_eq!(held.subnet, subnet(pool[0]));
    assert_eq!(lease_of(&etcd, pool[0]).await, Some(held.lease_id));
    let ends = held
        .expires
        .expect("a lease")
        .duration_since(std::time::SystemTime::now());
    assert!((86_300..=86_400).contains(&ends.expect("later").as_secs()));

    // A restart finds its own, with a new etcd lease; the old one is gone.
    let again = acquire(&registry, &own, &pool).await;
    assert_eq!(again.subnet, held.subnet);
    assert_ne!(again.lease_id, held.lease_id);
    assert_eq!(lease_count(&etcd).await, 1);

    held = again.clone();
    registry.announce(&mut held, &own).await.expect("announce");
    assert!(held.revision > again.revision);
    let revision = held.revision;
    assert_eq!(
        held,
        Held {
            revision,
            ..again.clone()
        }
    );
    registry.renew(&mut held, &own).await.expect("renew");
    assert_ne!(held.lease_id, again.lease_id);
    assert_eq!(lease_of(&etcd, pool[0]).await, Some(held.lease_id));
    assert_eq!(lease_count(&etcd).await, 1);

    // Gone by another's hand: an announcement says so, a renewal makes it again.
    etcd.client()
        .delete(&format!("{P}/subnets/10.5.1.0-24"))
        .await
        .expect("delete");
    let gone = registry.announce(&mut held, &own).await;
    assert!(matches!(gone, Err(Error::Gone { .. })), "{gone:?}");
    registry.renew(&mut held, &own).await.expect("renew");
    assert_eq!(lease_of(&etcd, pool[0]).await, Some(held.lease_id));

    registry.release(held, &own).await.expect("release");
    assert_eq!(lease_of(&etcd, pool[0]).await, None);
    assert_eq!(lease_count(&etcd).await, 0);
}

#[tokio::test]
async fn what_does_not_fit_is_removed_and_what_became_anothers_is_not_stolen() {
    let etcd = Etcd::start().await;
    let registry = registry(&etcd);
    let own = node(1);
    let mut held = acquire(&registry, &own, &["10.5.1.0/24"]).await;
    let moved = acquire(&registry, &own, &["10.6.1.0/24"]).await;
    assert_eq!(moved.subnet, subnet("10.6.1.0/24"));
    assert_eq!(lease_of(&etcd, "10.5.1.0/24").await, None);
    assert_eq!(lease_count(&etcd).await, 1);

    let other = acquire(&registry, &node(2), &["10.5.1.0/24"]).await;
    for outcome in [
        registry.renew(&mut held, &own).await,
        registry.announce(&mut held, &own).await,
    ] {
        assert!(matches!(outcome, Err(Error::Taken { .. })), "{outcome:?}");
    }
    registry.release(held, &own).await.expect("nothing of ours");
    assert_eq!(lease_of(&etcd, "10.5.1.0/24").await, Some(other.lease_id));
}

#[tokio::test]
async fn an_etcd_lease_with_other_keys_is_not_revoked() {
    let etcd = Etcd::start().await;
    let (registry, client, own) = (registry(&etcd), etcd.client(), node(1));
    let shared = client
        .grant(NonZeroU32::new(600).expect("not zero"))
        .await
        .expect("grant");
    client
        .put("/precious", b"v", Some(shared.id))
        .await
        .expect("put");
    let key = format!("{P}/subnets/10.5.1.0-24");
    client
        .put(&key, own.to_json().as_bytes(), Some(shared.id))
        .await
        .expect("put");
    let held = acquire(&registry, &own, &["10.5.1.0/24"]).await;
    assert_ne!(held.lease_id, Some(shared.id));
    assert!(client.get("/precious").await.expect("get").pair.is_some());
}

#[tokio::test]
async fn lost_races_are_run_again_and_leave_nothing_behind() {
    let etcd = Etcd::start().await;
    let registry = registry(&etcd);
    let nodes: Vec<Attributes> = (1..=6).map(node).collect();
    let pool = [
        "10.5.1.0/24",
        "10.5.2.0/24",
        "10.5.3.0/24",
        "10.5.4.0/24",
        "10.5.5.0/24",
    ];
    // All want the first that is free, all at once; there is one too few.
    let races = nodes
        .iter()
        .map(|own| registry.acquire(own, first_free(own, &pool)));
    let outcomes = futures_util::future::join_all(races).await;
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (5, 1));
    assert!(matches!(lost[0], Err(AcquireError::Decide(OutOfSubnets))));
    assert_eq!(registry.leases().await.expect("leases").found.len(), 5);
    assert_eq!(lease_count(&etcd).await, 5);

    let always_late = registry
        .acquire(&node(9), |_| {
            Ok::<_, OutOfSubnets>(Decision {
                delete: Vec::new(),
                take: Take::Create(subnet(pool[0])),
            })
        })
        .await;
    assert!(
        matches!(always_late, Err(AcquireError::Contended)),
        "{always_late:?}"
    );
    assert_eq!(lease_count(&etcd).await, 5);
}

#[tokio::test]
async fn a_reservation_stays_one() {
    let etcd = Etcd::start().await;
    let registry = registry(&etcd);
    let (own, net) = (node(1), subnet("10.5.7.0/24"));
    let pool = ["10.5.1.0/24", "10.5.7.0/24"];
    assert_eq!(
        registry
            .reserve(&net, own.public_ip)
            .await
            .expect("reserve"),
        Reserved::New
    );
    assert_eq!(
        registry
            .reserve(&net, own.public_ip)
            .await
            .expect("reserve"),
        Reserved::Already
    );
    let taken = registry.reserve(&net, node(2).public_ip).await;
    assert!(matches!(taken, Err(Error::Taken { .. })), "{taken:?}");

    let mut held = acquire(&registry, &own, &pool).await;
    assert_eq!(
        (held.subnet, held.lease_id, held.expires),
        (net, None, None)
    );
    registry.renew(&mut held, &own).await.expect("renew");
    registry.announce(&mut held, &own).await.expect("announce");
    registry.release(held.clone(), &own).await.expect("release");
    assert_eq!(lease_of(&etcd, pool[1]).await, Some(None));
    assert_eq!(lease_count(&etcd).await, 0);
    let all = registry.reservations().await.expect("reservations");
    assert_eq!((all.len(), &all[0].lease.attributes), (1, &own));

    // The holder learns that it has a lease now, and keeps that.
    assert!(
        registry
            .unreserve(&net, Unreserve::Lapse)
            .await
            .expect("unreserve")
    );
    let leased = registry.unreserve(&net, Unreserve::Now).await;
    assert!(
        matches!(leased, Err(Error::NotReserved { .. })),
        "{leased:?}"
    );
    registry.announce(&mut held, &own).await.expect("announce");
    assert!(held.lease_id.is_some() && held.expires.is_some());
    // And the reverse.
    assert_eq!(
        registry
            .reserve(&net, own.public_ip)
            .await
            .expect("reserve"),
        Reserved::WasLeased
    );
    registry.renew(&mut held, &own).await.expect("renew");
    assert_eq!((held.lease_id, lease_count(&etcd).await), (None, 0));

    assert!(
        registry
            .unreserve(&net, Unreserve::Now)
            .await
            .expect("unreserve")
    );
    assert!(
        !registry
            .unreserve(&net, Unreserve::Now)
            .await
            .expect("again")
    );
    let gone = registry.renew(&mut held, &own).await;
    assert!(matches!(gone, Err(Error::Gone { .. })), "{gone:?}");
}

#[tokio::test]
async fn only_an_own_lease_is_given_back() {
    let etcd = Etcd::start().await;
    let registry = registry(&etcd);
    let own = node(11);
    let held = registry
        .acquire(&own, first_free(&own, &["10.5.1.0/24"]))
        .await;
    let held = held.expect("a subnet");
    let file = SubnetEnv {
        ipv4: Some(Half {
            networks: vec!["10.5.0.0/16".parse().expect("net")],
            subnet: held.subnet.v4,
        }),
        ipv6: None,
        mtu: 1500,
        ip_masq: false,
    };
    let (ours, other) = (Ipv4Addr::new(10, 99, 0, 11), Ipv4Addr::new(10, 99, 0, 12));
    for not_ours in [&[][..], &[other]] {
        assert!(!registry.give_back(&file, not_ours).await.expect("answer"));
    }
    assert!(
        registry
            .give_back(&file, &[other, ours])
            .await
            .expect("answer")
    );
    assert!(!registry.give_back(&file, &[ours]).await.expect("answer"));
    assert_eq!(registry.leases().await.expect("leases").found.len(), 0);
}
