//! VXLAN, neighbours, forwarding entries, routes and look-ups against this machine's kernel.

use std::net::IpAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::netns::Namespace;

const MAC: [u8; 6] = [0x72, 0xc6, 0xaf, 0x94, 0x21, 0xbc];

/// Runs `test` in a fresh namespace where `eth0` is up with 10.99.0.11/24 and fd99::11/64.
fn on_a_node(test: impl FnOnce(Netlink, u32) + Send) {
    Namespace::anonymous()
        .expect("namespace")
        .run(|| {
            let netlink = Netlink::open().expect("netlink");
            let index = netlink.create_veth("eth0", "far", None).expect("veth");
            let far = netlink.link("far").expect("look").expect("there").index;
            netlink.set_up(far).expect("up");
            netlink.set_up(index).expect("up");
            for address in ["10.99.0.11/24", "fd99::11/64"] {
                netlink.add_address(index, net(address)).expect("address");
            }
            test(netlink, index);
        })
        .expect("enter");
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a network")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn shown(program: &str, arguments: &str) -> String {
    let output = Command::new(program)
        .args(arguments.split(' '))
        .output()
        .expect("iproute2");
    assert!(output.status.success(), "{program} {arguments}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn plain(underlying: u32, local: &str) -> Vxlan {
    Vxlan {
        id: 1,
        underlying: Some(underlying),
        local: Some(ip(local)),
        port: Vxlan::PORT,
        learning: false,
        gbp: false,
        group: None,
        l2miss: false,
    }
}

#[test]
fn a_vxlan_device_is_what_was_asked_for() {
    on_a_node(|netlink, eth0| {
        let wanted = plain(eth0, "10.99.0.11");
        let index = netlink
            .create_vxlan("flannel.1", MAC, &wanted)
            .expect("vxlan");
        assert_eq!(netlink.vxlan(index).expect("look"), Some(wanted));
        let link = netlink.link("flannel.1").expect("look").expect("there");
        assert_eq!((link.mac, link.mtu), (MAC, 1450));
        let text = shown("ip", "-d link show flannel.1");
        let detail = "vxlan id 1 local 10.99.0.11 dev eth0 srcport 0 0 dstport 8472 nolearning ttl auto ageing 300 udpcsum noudp6zerocsumtx noudp6zerocsumrx";
        assert!(text.contains(detail), "{text}");
        assert_eq!(netlink.vxlan(eth0).expect("look"), None);
        assert_eq!(netlink.vxlan(4711).expect("look"), None);

        let other = Vxlan {
            id: 77,
            port: 4789,
            learning: true,
            gbp: true,
            ..plain(eth0, "fd99::11")
        };
        let index = netlink
            .create_vxlan("flannel-v6.77", MAC, &other)
            .expect("vxlan");
        assert_eq!(netlink.vxlan(index).expect("look"), Some(other));
        assert_eq!(
            netlink
                .link("flannel-v6.77")
                .expect("look")
                .expect("there")
                .mtu,
            1430
        );
    });
}

#[test]
fn neighbours_and_forwardings_are_set_replaced_listed_and_deleted() {
    on_a_node(|netlink, eth0| {
        let index = netlink
            .create_vxlan("flannel.1", [2, 0, 0, 0, 0, 1], &plain(eth0, "10.99.0.11"))
            .expect("vxlan");
        netlink.set_up(index).expect("up");
        let mut neighbour = Neighbour {
            index,
            address: ip("10.5.5.0"),
            mac: [2, 0, 0, 0, 0, 9],
        };
        let mut forwarding = Forwarding {
            index,
            mac: MAC,
            destination: ip("10.99.0.7"),
        };
        for _ in 0..2 {
            let changes = [
                Change::SetNeighbour(neighbour),
                Change::SetForwarding(forwarding),
            ];
            for result in netlink.change_all(&changes) {
                result.expect("set");
            }
            neighbour.mac = MAC;
            forwarding.destination = ip("10.99.0.12");
        }
        assert_eq!(netlink.neighbours(index).expect("list"), [neighbour]);
        assert_eq!(netlink.forwardings(index).expect("list"), [forwarding]);
        let text = shown("ip", "neigh show dev flannel.1");
        assert_eq!(text.trim(), "10.5.5.0 lladdr 72:c6:af:94:21:bc PERMANENT");
        let text = shown("bridge", "fdb show dev flannel.1");
        assert_eq!(
            text.trim(),
            "72:c6:af:94:21:bc dst 10.99.0.12 self permanent"
        );
        for _ in 0..2 {
            netlink
                .change(&Change::DeleteNeighbour(neighbour))
                .expect("gone is fine");
            netlink
                .change(&Change::DeleteForwarding(forwarding))
                .expect("gone is fine");
        }
        assert_eq!(netlink.neighbours(index).expect("list"), []);
        assert_eq!(netlink.forwardings(index).expect("list"), []);
        // bridge(8) writes them with another state.
        shown(
            "bridge",
            "fdb add 72:c6:af:94:21:bc dst 10.99.0.12 dev flannel.1 self permanent",
        );
        assert_eq!(netlink.forwardings(index).expect("list"), [forwarding]);
    });
}

#[test]
fn routes_are_shown_as_flannels_are() {
    on_a_node(|netlink, eth0| {
        let index = netlink
            .create_vxlan("flannel.1", MAC, &plain(eth0, "10.99.0.11"))
            .expect("vxlan");
        netlink.set_up(index).expect("up");
        let boot = |destination, gateway, index| Route {
            protocol: Protocol::BOOT,
            ..Route::new(net(destination), Some(ip(gateway)), index)
        };
        let onlink = Route {
            onlink: true,
            ..boot("10.5.5.0/24", "10.5.5.0", index)
        };
        let anywhere = Route {
            index: None,
            ..boot("10.5.6.0/24", "10.99.0.12", eth0)
        };
        let six = Route {
            onlink: true,
            metric: Some(1024),
            ..boot("fd00:5:0:59::/64", "fd00:5:0:59::", index)
        };
        let whole = Route {
            scope: Scope::Universe,
            gateway: None,
            ..boot("10.6.0.0/16", "0.0.0.0", index)
        };
        for route in [&onlink, &anywhere, &six, &whole] {
            for _ in 0..2 {
                netlink
                    .change(&Change::SetRoute(route.clone()))
                    .expect("set, and again");
            }
        }
        let found = netlink
            .main_routes(|route| route.protocol == Protocol::BOOT)
            .expect("list");
        let through_eth0 = Route {
            index: Some(eth0),
            ..anywhere.clone()
        };
        assert_eq!(found.len(), 4, "{found:?}");
        for route in [&onlink, &through_eth0, &six, &whole] {
            assert!(found.contains(route), "{route:?} in {found:?}");
        }
        let text = shown("ip", "-4 -d route show");
        for line in [
            "10.5.5.0/24 via 10.5.5.0 dev flannel.1 proto boot scope global onlink",
            "10.5.6.0/24 via 10.99.0.12 dev eth0 proto boot scope global",
            "10.6.0.0/16 dev flannel.1 proto boot scope global",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        let moved = Route {
            gateway: Some(ip("10.99.0.13")),
            ..through_eth0.clone()
        };
        netlink
            .change(&Change::SetRoute(moved.clone()))
            .expect("replace");
        let found = netlink
            .main_routes(|route| route.destination == moved.destination)
            .expect("list");
        assert_eq!(found.as_slice(), std::slice::from_ref(&moved));
        for route in [onlink, moved, six, whole] {
            for _ in 0..2 {
                netlink
                    .change(&Change::DeleteRoute(route.clone()))
                    .expect("gone is fine");
            }
        }
        let left = netlink
            .main_routes(|route| route.protocol == Protocol::BOOT)
            .expect("list");
        assert_eq!(left, []);
    });
}

#[test]
fn a_thousand_changes_are_made_and_each_refusal_is_told() {
    on_a_node(|netlink, eth0| {
        let route = |number: u32, gateway| Route {
            protocol: Protocol::BOOT,
            ..Route::new(
                net(&format!("10.{}.{}.0/24", 100 + number / 256, number % 256)),
                Some(ip(gateway)),
                eth0,
            )
        };
        let mut changes: Vec<Change> = (0..1000)
            .map(|number| Change::SetRoute(route(number, "10.99.0.12")))
            .collect();
        changes[500] = Change::SetRoute(route(500, "192.0.2.1"));
        let results = netlink.change_all(&changes);
        assert_eq!(results.len(), 1000);
        for (number, result) in results.into_iter().enumerate() {
            match number {
                500 => {
                    let error = result.expect_err("no such neighbour").to_string();
                    let start = "cannot set the route 10.101.244.0/24 via 192.0.2.1";
                    assert!(error.starts_with(start), "{error}");
                }
                _ => result.expect("set"),
            }
        }
        let count = netlink
            .main_routes(|route| route.protocol == Protocol::BOOT)
            .expect("list")
            .len();
        assert_eq!(count, 999);
    });
}

#[test]
fn the_way_to_an_address() {
    on_a_node(|netlink, eth0| {
        let way = |address| netlink.route_to(ip(address)).expect("look");
        let direct = Way {
            index: eth0,
            source: Some(ip("10.99.0.11")),
            direct: true,
        };
        assert_eq!(way("10.99.0.12"), Some(direct.clone()));
        assert_eq!(way("192.0.2.1"), None);
        assert_eq!(way("2001:db8::1"), None);
        let own = way("10.99.0.11").expect("local");
        assert!(!own.direct, "{own:?}");
        let default = Route::new(net("0.0.0.0/0"), Some(ip("10.99.0.1")), eth0);
        netlink.add_route(&default).expect("route");
        let over_a_gateway = Way {
            direct: false,
            ..direct
        };
        assert_eq!(way("192.0.2.1"), Some(over_a_gateway));
        assert!(way("fd99::12").is_some_and(|way| way.direct));
    });
}

#[test]
fn word_of_changes_is_heard() {
    on_a_node(|netlink, eth0| {
        let watch = Watch::open().expect("open");
        // What the node's own addresses still bring about, as IPv6 takes its time.
        let deadline = Instant::now() + Duration::from_secs(10);
        while watch.changed().expect("look") != Changed::default() {
            assert!(Instant::now() < deadline, "it never is quiet");
            std::thread::sleep(Duration::from_millis(50));
        }
        let route = Route::new(net("192.0.2.0/24"), Some(ip("10.99.0.1")), eth0);
        netlink.add_route(&route).expect("route");
        let changed = watch.changed().expect("look");
        assert!(changed.routes);
        let index = netlink.create_bridge("b0").expect("bridge");
        netlink.delete(index).expect("delete");
        assert!(watch.changed().expect("look").links);
    });
}

proptest! {
    #[test]
    fn any_answer_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = (vxlan::read(&bytes), lookup::read(&bytes));
        let _ = (neighbour::read_neighbour(&bytes), neighbour::read_forwarding(&bytes));
    }
}
