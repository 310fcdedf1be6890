//! `vxlan`, the other node set up with plain commands.

use ignite_host::sysctl;
use serde_json::json;

use super::*;
use crate::backend::testing::vxlan_lease;
use crate::backend::vxlan;

const THEIR_MAC: &str = "72:c6:af:94:21:bc";

fn vxlan() -> Options {
    Options::Vxlan(vxlan::Options::default())
}

/// The vxlan backend's data of the lease.
fn mac(prepared: &Prepared) -> String {
    let data = prepared.data.as_ref().expect("data");
    assert_eq!(data["VNI"], json!(1));
    data["VtepMAC"].as_str().expect("a text").to_owned()
}

/// Node 2 by hand, as if it were another's implementation.
fn their_vxlan(our_mac: &str) {
    for command in [
        "ip link add flannel.1 type vxlan id 1 dev eth0 local 10.99.0.12 dstport 8472 nolearning",
        "ip link set flannel.1 address 72:c6:af:94:21:bc mtu 1450 up",
        "ip addr add 10.5.5.0/32 dev flannel.1",
        &format!("ip neigh add 10.5.9.0 lladdr {our_mac} dev flannel.1 nud permanent"),
        &format!("bridge fdb add {our_mac} dst 10.99.0.11 dev flannel.1 self permanent"),
        "ip route add 10.5.9.0/24 via 10.5.9.0 dev flannel.1 onlink",
    ] {
        shown(command);
    }
}

#[test]
fn vxlan_with_a_node_set_up_by_hand() {
    let (first, second, _) = two_nodes();
    let work = || {
        let (mut backend, prepared) = prepare(vxlan(), 11, "10.5.9.0/24");
        assert_eq!((prepared.backend, prepared.mtu), (Some("vxlan"), 1450));
        let our_mac = mac(&prepared);
        second.run(|| their_vxlan(&our_mac)).expect("enter");

        let detail = shown("ip -d link show flannel.1");
        let made = "vxlan id 1 local 10.99.0.11 dev eth0 srcport 0 0 dstport 8472 nolearning ttl auto ageing 300 udpcsum noudp6zerocsumtx noudp6zerocsumrx";
        assert!(detail.contains(made), "{detail}");
        assert!(detail.contains("mtu 1450"), "{detail}");
        let addresses = shown("ip -4 addr show flannel.1");
        assert!(
            addresses.contains("inet 10.5.9.0/32 scope global flannel.1"),
            "{addresses}"
        );
        let accept = sysctl::get("net/ipv6/conf/flannel.1/accept_ra").expect("there");
        assert_eq!(accept, "0");

        none(backend.sync(&[
            vxlan_lease("10.5.5.0/24", "10.99.0.12", THEIR_MAC),
            vxlan_lease("10.5.9.0/24", "10.99.0.11", &our_mac),
        ]));
        assert_eq!(
            shown("ip neigh show dev flannel.1"),
            "10.5.5.0 lladdr 72:c6:af:94:21:bc PERMANENT"
        );
        assert_eq!(
            shown("bridge fdb show dev flannel.1"),
            "72:c6:af:94:21:bc dst 10.99.0.12 self permanent"
        );
        assert_eq!(
            shown("ip route show dev flannel.1"),
            "10.5.5.0/24 via 10.5.5.0 onlink"
        );
        assert_eq!(ping("10.5.5.0", 1450), "64");

        // Without us traffic goes on, and another life finds the device and its MAC address.
        drop(backend);
        assert_eq!(ping("10.5.5.0", 1450), "64");
        let (mut backend, again) = prepare(vxlan(), 11, "10.5.9.0/24");
        assert_eq!(mac(&again), our_mac);
        none(backend.sync(&[vxlan_lease("10.5.5.0/24", "10.99.0.12", THEIR_MAC)]));
        assert_eq!(ping("10.5.5.0", 1450), "64");

        none(backend.remove(&own("10.5.5.0/24")));
        for left in ["ip neigh show dev flannel.1", "ip route show dev flannel.1"] {
            assert_eq!(shown(left), "");
        }
        assert_eq!(shown("bridge fdb show dev flannel.1"), "");
        none(backend.teardown());
        let netlink = Netlink::open().expect("netlink");
        assert_eq!(netlink.link("flannel.1").expect("look"), None);
    };
    first.run(work).expect("enter");
}

#[test]
fn vxlan_follows_changed_leases_and_repairs_what_was_broken() {
    let (first, _second, _) = two_nodes();
    let work = || {
        let (mut backend, prepared) = prepare(vxlan(), 11, "10.5.9.0/24");
        none(backend.sync(&[vxlan_lease("10.5.5.0/24", "10.99.0.12", THEIR_MAC)]));
        // The peer's device was made anew.
        none(backend.add(&vxlan_lease(
            "10.5.5.0/24",
            "10.99.0.13",
            "02:00:00:00:00:05",
        )));
        let state = || {
            let neighbours = shown("ip neigh show dev flannel.1");
            let forwardings = shown("bridge fdb show dev flannel.1");
            let routes = shown("ip route show dev flannel.1");
            [neighbours, forwardings, routes]
        };
        let wanted = [
            "10.5.5.0 lladdr 02:00:00:00:00:05 PERMANENT",
            "02:00:00:00:00:05 dst 10.99.0.13 self permanent",
            "10.5.5.0/24 via 10.5.5.0 onlink",
        ];
        assert_eq!(state(), wanted);

        let broken = [
            "ip neigh del 10.5.5.0 dev flannel.1",
            "bridge fdb replace 02:00:00:00:00:05 dst 10.99.0.99 dev flannel.1 self permanent",
            "bridge fdb add 02:00:00:00:00:77 dst 10.99.0.77 dev flannel.1 self permanent",
            "ip neigh add 10.5.7.0 lladdr 02:00:00:00:00:77 dev flannel.1 nud permanent",
            "ip route add 10.5.7.0/24 via 10.5.7.0 dev flannel.1 onlink",
            "ip route del 10.5.5.0/24",
        ];
        for command in broken {
            shown(command);
        }
        backend.take_reconciled();
        none(backend.tick());
        assert_eq!(backend.take_reconciled(), broken.len());
        none(backend.tick());
        assert_eq!(backend.take_reconciled(), 0);
        assert_eq!(state(), wanted);

        shown("ip link del flannel.1");
        none(backend.tick());
        assert_eq!(state(), wanted);
        let netlink = Netlink::open().expect("netlink");
        let made = netlink.link("flannel.1").expect("look").expect("there");
        let text = made.mac.map(|byte| format!("{byte:02x}")).join(":");
        assert_eq!(text, mac(&prepared), "peers know this one");

        // Another subnet: the old address goes, others of the device stay.
        shown("ip addr add 192.0.2.1/32 dev flannel.1");
        backend.assign(own("10.5.10.0/24")).expect("assign");
        let addresses = shown("ip -4 -o addr show flannel.1");
        assert!(!addresses.contains("10.5.9.0"), "{addresses}");
        assert!(addresses.contains("10.5.10.0/32") && addresses.contains("192.0.2.1"));

        // What is no vxlan device of ours is in the way.
        none(backend.teardown());
        shown("ip link add flannel.1 type bridge");
        let (backend, _) = prepare(vxlan(), 11, "10.5.9.0/24");
        assert!(shown("ip -d link show flannel.1").contains("vxlan id 1"));
        none(backend.teardown());
    };
    first.run(work).expect("enter");
}

#[test]
fn vxlan_leaves_the_tunnel_out_where_no_gateway_is_between() {
    let (first, _second, _) = two_nodes();
    let work = || {
        let options = vxlan::Options {
            direct_routing: true,
            ..vxlan::Options::default()
        };
        let (mut backend, _) = prepare(Options::Vxlan(options), 11, "10.5.9.0/24");
        shown("ip route add 10.98.0.0/24 via 10.99.0.1");
        none(backend.add(&vxlan_lease("10.5.5.0/24", "10.99.0.12", THEIR_MAC)));
        none(backend.add(&vxlan_lease(
            "10.5.6.0/24",
            "10.98.0.5",
            "02:00:00:00:00:06",
        )));
        assert_eq!(
            shown("ip route show root 10.5.0.0/16 proto boot"),
            "10.5.5.0/24 via 10.99.0.12 dev eth0\n10.5.6.0/24 via 10.5.6.0 dev flannel.1 onlink"
        );
        assert_eq!(
            shown("bridge fdb show dev flannel.1"),
            "02:00:00:00:00:06 dst 10.98.0.5 self permanent"
        );
        // Now there is a gateway to the first as well.
        shown("ip route add 10.99.0.12/32 via 10.99.0.1");
        none(backend.tick());
        assert!(shown("ip route show 10.5.5.0/24").contains("dev flannel.1 onlink"));
        none(backend.remove(&own("10.5.5.0/24")));
        none(backend.remove(&own("10.5.6.0/24")));
        assert_eq!(shown("ip route show root 10.5.0.0/16 proto boot"), "");
    };
    first.run(work).expect("enter");
}

#[test]
fn a_refused_peer_leaves_nothing_and_is_tried_again() {
    let (first, _second, _) = two_nodes();
    let work = || {
        let (mut backend, _) = prepare(vxlan(), 11, "10.5.9.0/24");
        shown("ip link set flannel.1 down");
        // Routes need a device that is up, neighbours and forwarding entries do not.
        let peer = vxlan_lease("10.5.5.0/24", "10.99.0.12", THEIR_MAC);
        let errors = backend.add(&peer);
        assert!(matches!(errors[..], [Error::Peer { .. }]), "{errors:?}");
        assert_eq!(errors[0].to_string(), "10.5.5.0/24 cannot be reached");
        assert_eq!(shown("bridge fdb show dev flannel.1"), "");
        none(backend.tick());
        assert_eq!(
            shown("ip route show dev flannel.1"),
            "10.5.5.0/24 via 10.5.5.0 onlink"
        );
    };
    first.run(work).expect("enter");
}

#[test]
fn a_thousand_peers() {
    let (first, _second, _) = two_nodes();
    let work = || {
        let (mut backend, _) = prepare(vxlan(), 11, "10.5.9.0/26");
        let peer = |number: u32| {
            let subnet = Ipv4Addr::from_bits(Ipv4Addr::new(10, 5, 16, 0).to_bits() + number * 32);
            let public = Ipv4Addr::from_bits(Ipv4Addr::new(10, 100, 0, 1).to_bits() + number);
            let mac = format!("02:00:00:00:{:02x}:{:02x}", number / 256, number % 256);
            vxlan_lease(&format!("{subnet}/27"), &public.to_string(), &mac)
        };
        let leases: Vec<Lease> = (0..1000).map(peer).collect();
        let lines = |command| shown(command).lines().count();
        let count = || {
            [
                lines("ip neigh show dev flannel.1"),
                lines("bridge fdb show dev flannel.1"),
                lines("ip route show dev flannel.1"),
            ]
        };
        none(backend.sync(&leases));
        assert_eq!(count(), [1000; 3]);
        none(backend.add(&peer(1000)));
        assert_eq!(count(), [1001; 3]);
        none(backend.sync(&leases[..10]));
        assert_eq!(count(), [10; 3]);
    };
    first.run(work).expect("enter");
}

/// The lease of node 10.99.0.`host` in a dual-stack network, and its backend.
fn dual_stack(host: u8) -> (Backend, Lease) {
    let external = External {
        address_v6: format!("fd99::{host}").parse().ok(),
        public_ipv6: format!("fd99::{host}").parse().ok(),
        ..of_node(host)
    };
    let settings = Settings {
        ipv6_network: "fd00:5::/48".parse().ok(),
        options: vxlan(),
        ..settings()
    };
    let (mut backend, prepared) = Backend::prepare(&settings, &external).expect("prepare");
    let public = external.public_ip.to_string();
    let mut lease = lease(&format!("10.5.{host}.0/24"), &public, prepared.backend);
    lease.subnet.v6 = format!("fd00:5:0:{host}::/64").parse().ok();
    lease.attributes.public_ipv6 = external.public_ipv6;
    lease.attributes.data = prepared.data;
    lease.attributes.v6_data = prepared.v6_data;
    assert_eq!(prepared.mtu, 1450);
    backend.assign(lease.subnet).expect("assign");
    (backend, lease)
}

#[test]
fn vxlan_of_both_families_between_two_of_ours() {
    let (first, second, _) = two_nodes();
    for (namespace, address) in [(&first, "fd99::11/64"), (&second, "fd99::12/64")] {
        let netlink = Netlink::open_in(namespace).expect("netlink");
        let index = netlink.link("eth0").expect("look").expect("there").index;
        let address = address.parse().expect("an address");
        netlink.add_address(index, address).expect("address");
    }
    let (mut theirs, their_lease) = second.run(|| dual_stack(12)).expect("enter");
    let work = || {
        let (mut ours, our_lease) = dual_stack(11);
        let leases = [our_lease, their_lease];
        none(ours.sync(&leases));
        none(second.run(|| theirs.sync(&leases)).expect("enter"));
        let routes = shown("ip -6 route show root fd00:5::/48 proto boot");
        assert_eq!(
            routes,
            "fd00:5:0:12::/64 via fd00:5:0:12:: dev flannel-v6.1 metric 1024 onlink pref medium"
        );
        assert!(shown("ip link show flannel-v6.1").contains("mtu 1430"));
        assert_eq!(ping("10.5.12.0", 1450), "64");
        // 48 bytes of headers before the payload.
        let text = shown("ping -6 -c 2 -i 0.1 -W 5 -M do -s 1382 fd00:5:0:12::");
        assert!(text.contains(" 0% packet loss"), "{text}");

        // What is in place is recognised, and left in place.
        let watch = ignite_host::link::Watch::open().expect("open");
        none(ours.tick());
        assert!(!watch.changed().expect("look").routes);
        none(ours.teardown());
        assert_eq!(shown("ip -6 route show root fd00:5::/48"), "");
    };
    first.run(work).expect("enter");
}
