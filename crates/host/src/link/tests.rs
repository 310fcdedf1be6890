//! Against this machine's kernel, in namespaces of their own.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::route::RouteMessage;
use proptest::prelude::*;

use super::*;

/// Runs `test` in a fresh namespace, with a connection to it.
fn in_namespace(test: impl FnOnce(Netlink) + Send) {
    Namespace::anonymous()
        .expect("namespace")
        .run(|| test(Netlink::open().expect("netlink")))
        .expect("enter");
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a network")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn there(netlink: &Netlink, name: &str) -> Link {
    netlink.link(name).expect("look").expect("there")
}

#[test]
fn a_bridge_with_a_port_in_another_namespace() {
    in_namespace(|netlink| {
        let sandbox = Namespace::anonymous().expect("namespace");
        let bridge = netlink.create_bridge("ignite0").expect("bridge");
        let port = netlink
            .create_veth("veth1", "eth0", Some(&sandbox))
            .expect("veth");
        netlink.set_master(port, Some(bridge)).expect("master");
        netlink.set_up(bridge).expect("up");
        netlink.set_up(port).expect("up");
        let link = there(&netlink, "veth1");
        assert_eq!((link.master, link.up), (Some(bridge), true));
        assert_eq!(link.kind.as_deref(), Some("veth"));
        assert_eq!(there(&netlink, "ignite0").kind.as_deref(), Some("bridge"));
        assert_eq!(netlink.link("eth0").expect("look"), None);

        let inside = Netlink::open_in(&sandbox).expect("netlink");
        let peer = there(&inside, "eth0");
        assert_eq!(peer.peer, Some(port));
        assert_eq!(link.peer, Some(peer.index));
        netlink.set_master(port, None).expect("no master");
        assert_eq!(there(&netlink, "veth1").master, None);
        netlink.delete(port).expect("delete");
        netlink.delete(port).expect("gone is fine");
        assert_eq!(inside.link("eth0").expect("look"), None);
    });
}

#[test]
fn hairpin_is_set_on_the_port() {
    in_namespace(|netlink| {
        let bridge = netlink.create_bridge("b0").expect("bridge");
        let port = netlink.create_veth("p0", "p1", None).expect("veth");
        assert!(netlink.set_hairpin(port, true).is_err(), "no port yet");
        netlink.set_master(port, Some(bridge)).expect("master");
        netlink.set_hairpin(port, true).expect("on");
        let shown = std::process::Command::new("bridge")
            .args(["-d", "link", "show", "dev", "p0"])
            .output()
            .expect("bridge(8)");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.contains("hairpin on"), "{shown}");
    });
}

#[test]
fn a_links_properties() {
    in_namespace(|netlink| {
        let mac = [0x02, 1, 2, 3, 4, 5];
        let index = netlink.create_veth("a", "b", None).expect("veth");
        netlink.set_mac(index, mac).expect("mac");
        netlink.set_mtu(index, 1400).expect("mtu");
        netlink.rename(index, "eth7").expect("rename");
        let link = netlink.link_by_index(index).expect("look").expect("there");
        assert_eq!(
            (link.name.as_str(), link.mac, link.mtu, link.up),
            ("eth7", mac, 1400, false)
        );
        netlink.set_up(index).expect("up");
        netlink.set_down(index).expect("down");
        assert!(!there(&netlink, "eth7").up);
        let names: Vec<String> = netlink
            .links()
            .expect("list")
            .into_iter()
            .map(|link| link.name)
            .collect();
        assert_eq!(names, ["lo", "b", "eth7"]);
    });
}

#[test]
fn refusals_say_what_and_why() {
    in_namespace(|netlink| {
        netlink.create_bridge("b0").expect("bridge");
        let error = netlink.create_bridge("b0").expect_err("taken");
        assert_eq!(error.to_string(), "cannot create bridge b0");
        assert!(error.is_exists());
        let error = netlink.set_up(4711).expect_err("absent");
        assert_eq!(error.to_string(), "cannot set link number 4711 up");
        assert!(error.is_not_found());
        let index = there(&netlink, "lo").index;
        let route = Route::new(net("192.0.2.0/24"), Some(ip("198.51.100.1")), index);
        let error = netlink.add_route(&route).expect_err("loopback is down");
        let text = error.to_string();
        assert!(
            text.starts_with("cannot add the route 192.0.2.0/24 via 198.51.100.1"),
            "{text}"
        );
        assert!(
            error.detail.is_some(),
            "the kernel has a word on this: {error:?}"
        );
    });
}

#[test]
fn addresses_of_both_families() {
    in_namespace(|netlink| {
        let index = netlink.create_veth("a", "b", None).expect("veth");
        let other = there(&netlink, "b").index;
        netlink
            .disable_ipv6_address(index)
            .expect("no address of its own");
        netlink.set_up(index).expect("up");
        netlink.set_up(other).expect("up");
        let addresses = [net("10.61.0.2/16"), net("fd00::2/64")];
        for address in addresses {
            netlink.add_address(index, address).expect("add");
            netlink.add_address(index, address).expect("twice is fine");
        }
        assert_eq!(netlink.addresses(index).expect("list"), addresses);
        netlink.delete_address(index, addresses[0]).expect("delete");
        netlink
            .delete_address(index, addresses[0])
            .expect("gone is fine");
        assert_eq!(netlink.addresses(index).expect("list"), addresses[1..]);
        netlink.flush_addresses(index).expect("flush");
        assert!(netlink.addresses(index).expect("list").is_empty());
    });
}

#[test]
fn routes_of_both_families() {
    in_namespace(|netlink| {
        let index = netlink.create_veth("a", "b", None).expect("veth");
        netlink.set_up(there(&netlink, "b").index).expect("up");
        netlink.set_up(index).expect("up");
        netlink
            .add_address(index, net("10.61.0.2/16"))
            .expect("address");
        netlink
            .add_address(index, net("fd00::2/64"))
            .expect("address");
        let default = Route::new(net("0.0.0.0/0"), Some(ip("10.61.0.1")), index);
        let default6 = Route {
            metric: Some(7),
            mtu: Some(1300),
            ..Route::new(net("::/0"), Some(ip("fd00::1")), index)
        };
        let elsewhere = Route {
            table: 1000,
            metric: Some(5),
            mtu: Some(1400),
            advmss: Some(1360),
            ..Route::new(net("192.0.2.0/24"), None, index)
        };
        for route in [&default, &default6, &elsewhere] {
            netlink.add_route(route).expect("add");
            assert!(netlink.add_route(route).expect_err("twice").is_exists());
        }
        let routes = netlink.routes().expect("list");
        for route in [&default, &default6, &elsewhere] {
            assert!(routes.contains(route), "{route:?} in {routes:?}");
        }
        let on_link = Route {
            protocol: Protocol::KERNEL,
            ..Route::new(net("10.61.0.0/16"), None, index)
        };
        assert!(routes.contains(&on_link), "{routes:?}");
        for route in [&default, &default6, &elsewhere] {
            netlink.delete_route(route).expect("delete");
            netlink.delete_route(route).expect("gone is fine");
        }
        assert!(!netlink.routes().expect("list").contains(&default));
    });
}

#[test]
fn every_next_hop_is_a_route() {
    in_namespace(|netlink| {
        let index = netlink.create_veth("a", "b", None).expect("veth");
        let other = there(&netlink, "b").index;
        for (index, address) in [(index, "10.1.0.2/24"), (other, "10.2.0.2/24")] {
            netlink.set_up(index).expect("up");
            netlink.add_address(index, net(address)).expect("address");
        }
        let status = std::process::Command::new("ip")
            .args("route add 192.0.2.0/24 nexthop via 10.1.0.1 nexthop via 10.2.0.1".split(' '))
            .status()
            .expect("ip(8)");
        assert!(status.success());
        let routes = netlink.routes().expect("list");
        for (index, gateway) in [(index, "10.1.0.1"), (other, "10.2.0.1")] {
            let hop = Route {
                protocol: Protocol::BOOT,
                ..Route::new(net("192.0.2.0/24"), Some(ip(gateway)), index)
            };
            assert!(routes.contains(&hop), "{hop} in {routes:?}");
        }
    });
}

#[test]
fn long_lists_come_whole() {
    in_namespace(|netlink| {
        let bridge = netlink.create_bridge("b0").expect("bridge");
        netlink.set_up(bridge).expect("up");
        for number in 0..150 {
            netlink
                .create_veth(&format!("v{number}"), &format!("w{number}"), None)
                .expect("veth");
            let address = format!("10.9.{number}.1/24");
            netlink.add_address(bridge, net(&address)).expect("address");
        }
        assert_eq!(netlink.links().expect("list").len(), 302);
        let addresses = netlink.addresses(bridge).expect("list");
        assert_eq!(
            addresses.iter().filter(|net| net.addr().is_ipv4()).count(),
            150
        );
    });
}

#[test]
fn lists_are_right_while_they_change() {
    in_namespace(|netlink| {
        // Several datagrams, so that changes fall between them.
        const FIXED: usize = 100;
        for number in 0..FIXED {
            netlink
                .create_bridge(&format!("b{number}"))
                .expect("bridge");
        }
        let namespace = Namespace::current().expect("namespace");
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let other = Netlink::open_in(&namespace).expect("netlink");
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let index = other.create_bridge("other").expect("bridge");
                    other.delete(index).expect("delete");
                }
            });
            let lists: Vec<_> = (0..100).map(|_| netlink.links()).collect();
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            for list in lists {
                let list = list.expect("list");
                let fixed = list
                    .iter()
                    .filter(|link| link.name.starts_with('b'))
                    .count();
                assert_eq!(fixed, FIXED);
            }
        });
    });
}

/// The answers of this machine's kernel about a namespace with a bit of everything, as bytes.
fn answers() -> Vec<(u16, Vec<u8>)> {
    let namespace = Namespace::anonymous().expect("namespace");
    let work = || {
        let netlink = Netlink::open().expect("netlink");
        let bridge = netlink.create_bridge("b0").expect("bridge");
        let port = netlink.create_veth("a", "b", None).expect("veth");
        netlink.set_master(port, Some(bridge)).expect("master");
        netlink.set_up(bridge).expect("up");
        netlink.set_up(port).expect("up");
        netlink
            .add_address(bridge, net("10.61.0.1/16"))
            .expect("address");
        netlink
            .add_address(bridge, net("fd00::1/64"))
            .expect("address");
        let bytes = |payload: &[u8]| Ok(Some(payload.to_vec()));
        let mut found = Vec::new();
        let mut add = |kind, payloads: Vec<Vec<u8>>| {
            found.extend(payloads.into_iter().map(|payload| (kind, payload)));
        };
        let (links, routes) = (LinkMessage::default(), RouteMessage::default());
        let addresses = AddressMessage::default();
        add(
            libc::RTM_GETLINK,
            netlink
                .socket
                .dump(libc::RTM_GETLINK, &links, bytes)
                .expect("dump"),
        );
        add(
            libc::RTM_GETADDR,
            netlink
                .socket
                .dump(libc::RTM_GETADDR, &addresses, bytes)
                .expect("dump"),
        );
        add(
            libc::RTM_GETROUTE,
            netlink
                .socket
                .dump(libc::RTM_GETROUTE, &routes, bytes)
                .expect("dump"),
        );
        found
    };
    namespace.run(work).expect("enter")
}

fn read_any(kind: u16, bytes: &[u8]) {
    match kind {
        libc::RTM_GETLINK => drop(read(bytes)),
        libc::RTM_GETADDR => drop(address::read(bytes, 1)),
        _ => drop(route::read(bytes)),
    }
}

#[test]
fn damaged_answers_are_read_or_refused() {
    let answers = answers();
    assert!(answers.len() > 10);
    for (kind, bytes) in &answers {
        for length in 0..bytes.len() {
            read_any(*kind, &bytes[..length]);
            for value in [0, 1, 3, 0x7f, 0xff] {
                let mut damaged = bytes.clone();
                damaged[length] = value;
                read_any(*kind, &damaged);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_answer_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = (read(&bytes), route::read(&bytes), address::read(&bytes, 1));
    }
}
