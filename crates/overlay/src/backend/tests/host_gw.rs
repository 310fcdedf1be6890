//! `host-gw` beside routes of others.

use ignite_host::link::{Protocol, Route};

use super::*;

#[test]
fn host_gw_routes_over_peers_and_touches_nothing_else() {
    let (first, second, index) = two_nodes();
    let work = || {
        let routes = || shown("ip route show root 10.5.0.0/16");
        let others = [
            "10.5.20.0/24 via 10.99.0.30 dev eth0 proto static",
            "10.5.21.0/24 via 10.99.0.30 dev eth0 metric 50",
            "10.5.22.0/25 via 10.99.0.30 dev eth0",
        ];
        // Left by an earlier life of ours: one peer is gone, one has moved.
        let stale = ["10.5.5.0/24 via 10.99.0.31", "10.5.6.0/24 via 10.99.0.31"];
        for route in others.iter().chain(&stale) {
            shown(&format!("ip route add {route}"));
        }

        let (mut backend, prepared) = prepare(Options::HostGw, 11, "10.5.9.0/24");
        assert_eq!(
            (prepared.backend, prepared.data, prepared.mtu),
            (Some("host-gw"), None, 1500)
        );
        let peer = lease("10.5.5.0/24", "10.99.0.12", Some("host-gw"));
        let wanted = std::iter::once("10.5.5.0/24 via 10.99.0.12 dev eth0").chain(others);
        let wanted = wanted.collect::<Vec<_>>().join("\n");
        none(backend.sync(std::slice::from_ref(&peer)));
        assert_eq!(routes(), wanted);
        let detail = shown("ip -d route show 10.5.5.0/24");
        assert_eq!(
            detail,
            "unicast 10.5.5.0/24 via 10.99.0.12 dev eth0 proto boot scope global"
        );
        second
            .run(|| {
                shown("ip addr add 10.5.5.1/32 dev lo");
                shown("ip link set lo up");
                shown("ip route add 10.5.9.0/24 via 10.99.0.11");
            })
            .expect("enter");
        assert_eq!(ping("10.5.5.1", 1500), "64");

        shown("ip route del 10.5.5.0/24");
        none(backend.tick());
        assert_eq!(routes(), wanted);
        let unreachable = lease("10.5.7.0/24", "192.0.2.9", Some("host-gw"));
        let errors = backend.add(&unreachable);
        assert!(matches!(errors[..], [Error::Peer { .. }]), "{errors:?}");
        none(backend.remove(&unreachable.subnet));
        none(backend.teardown());
        assert_eq!(routes(), others.join("\n"));
        let netlink = Netlink::open().expect("netlink");
        let boot = |route: &Route| route.protocol == Protocol::BOOT && route.index == Some(index);
        assert_eq!(netlink.main_routes(boot).expect("list").len(), 2);
    };
    first.run(work).expect("enter");
}
