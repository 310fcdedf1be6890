//! Devices and peers of all modes, as values.

use std::net::Ipv6Addr;

use serde_json::{Value, json};

use super::key::encode;
use super::*;
use crate::backend::testing::{lease, node, settings};

fn key(byte: u8) -> String {
    encode(&[byte; 32])
}

fn wireguard_lease(subnet: &str, public: &str, data: Value) -> Lease {
    let mut lease = lease(subnet, public, Some(TYPE));
    lease.attributes.data = Some(data);
    lease
}

/// A lease of both families, of node 10.99.0.`last` and `v6`.
fn dual(last: u8, v6: &str, byte: u8) -> Lease {
    let mut lease = wireguard_lease(
        &format!("10.5.{last}.0/24"),
        &format!("10.99.0.{last}"),
        json!({"PublicKey": key(byte), "Port": 51820}),
    );
    lease.subnet.v6 = format!("fd00:5:0:{last}::/64").parse().ok();
    lease.attributes.public_ipv6 = v6.parse().ok();
    lease.attributes.v6_data = Some(json!({"PublicKey": key(byte), "Port": 51821}));
    lease
}

/// What `mode` makes of the leases for a dual-stack node: a line for each peer, with its device, and a
/// line for each refusal.
fn planned(mode: Mode, leases: &[Lease]) -> (Vec<String>, Vec<String>) {
    let options = Options {
        mode,
        ..Options::default()
    };
    let mut node = node();
    node.networks
        .push("fd00:5::/48".parse().expect("a network"));
    planned_for(&node, &options, "2001:db8::11".parse().ok(), leases)
}

fn planned_for(
    node: &Node,
    options: &Options,
    public_ipv6: Option<Ipv6Addr>,
    leases: &[Lease],
) -> (Vec<String>, Vec<String>) {
    let own = Own {
        node,
        key: [9; 32],
        public_ipv6,
    };
    let (devices, errors) = plan(own, options, leases.iter());
    let peers = devices.iter().enumerate().flat_map(|(number, peers)| {
        peers.values().map(move |peer| {
            let subnets: Vec<String> = peer.subnets.iter().map(ToString::to_string).collect();
            format!("{number} {} {}", peer.endpoint, subnets.join(" "))
        })
    });
    let reason = |error: &Error| std::error::Error::source(error).map(ToString::to_string);
    (peers.collect(), errors.iter().filter_map(reason).collect())
}

#[test]
fn a_peer_is_its_key_its_endpoint_and_its_subnet() {
    let leases = [
        wireguard_lease("10.5.5.0/24", "10.99.0.12", json!({"PublicKey": key(1)})),
        wireguard_lease(
            "10.5.6.0/24",
            "10.99.0.13",
            json!({"publickey": key(2), "Port": 7}),
        ),
        wireguard_lease("10.5.7.0/24", "10.99.0.14", json!({"PublicKey": key(2)})),
        wireguard_lease("10.5.8.0/24", "10.99.0.15", json!({"PublicKey": key(9)})),
        wireguard_lease("10.5.10.0/24", "10.99.0.16", json!({"PublicKey": "no"})),
        lease("10.5.11.0/24", "10.99.0.17", Some("vxlan")),
        wireguard_lease("10.5.6.0/24", "10.99.0.18", json!({"PublicKey": key(3)})),
    ];
    let (peers, errors) = planned_for(&node(), &Options::default(), None, &leases);
    assert_eq!(
        peers,
        [
            "0 10.99.0.12:51820 10.5.5.0/24",
            "0 10.99.0.13:7 10.5.6.0/24"
        ]
    );
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert!(errors[0].contains("public key") && errors[1].contains("public key"));
    assert!(errors[2].contains("data") && errors[3].contains("another node's as well"));
}

#[test]
fn every_mode_has_its_devices() {
    let named = |mode, dual_stack: bool| {
        let settings = Settings {
            ipv6_network: "fd00:5::/48".parse().ok().filter(|_| dual_stack),
            ..settings()
        };
        let options = Options {
            mode,
            ..Options::default()
        };
        let device = |wanted: Wanted| {
            let networks: Vec<String> = wanted.networks.iter().map(ToString::to_string).collect();
            format!("{} {} {}", wanted.name, wanted.port, networks.join(" "))
        };
        let devices = devices(&settings, &options).into_iter().map(device);
        devices.collect::<Vec<_>>()
    };
    assert_eq!(
        named(Mode::Separate, true),
        [
            "flannel-wg 51820 10.5.0.0/16",
            "flannel-wg-v6 51821 fd00:5::/48"
        ]
    );
    for mode in [Mode::Auto, Mode::Ipv4, Mode::Ipv6] {
        assert_eq!(
            named(mode, true),
            ["flannel-wg 51820 10.5.0.0/16 fd00:5::/48"]
        );
    }
    for mode in [Mode::Separate, Mode::Auto, Mode::Ipv4] {
        assert_eq!(named(mode, false), ["flannel-wg 51820 10.5.0.0/16"]);
    }
}

#[test]
fn both_families_of_a_node() {
    let leases = [dual(12, "2001:db8::12", 1), dual(13, "fd99::13", 2)];
    let both = |last: u8| format!("10.5.{last}.0/24 fd00:5:0:{last}::/64");
    let check = |mode, expected: &[String]| {
        let (peers, errors) = planned(mode, &leases);
        assert_eq!(peers, expected, "{mode:?}");
        assert_eq!(errors, [""; 0], "{mode:?}");
    };
    check(
        Mode::Separate,
        &[
            "0 10.99.0.12:51820 10.5.12.0/24".to_owned(),
            "0 10.99.0.13:51820 10.5.13.0/24".to_owned(),
            "1 [2001:db8::12]:51821 fd00:5:0:12::/64".to_owned(),
            "1 [fd99::13]:51821 fd00:5:0:13::/64".to_owned(),
        ],
    );
    let v4 = |last| format!("0 10.99.0.{last}:51820 {}", both(last));
    let v6 = |last, address| format!("0 [{address}]:51820 {}", both(last));
    check(Mode::Ipv4, &[v4(12), v4(13)]);
    check(Mode::Ipv6, &[v6(12, "2001:db8::12"), v6(13, "fd99::13")]);
    check(Mode::Auto, &[v6(12, "2001:db8::12"), v4(13)]);
}

#[test]
fn what_one_device_cannot_have_is_refused() {
    let mut outside = dual(14, "2001:db8::14", 4);
    outside.subnet.v6 = "fd00:6::/64".parse().ok();
    let mut without_v6 = dual(15, "", 5);
    without_v6.attributes.v6_data = None;
    let own_address = dual(11, "2001:db8::15", 6);
    let same_key = dual(16, "2001:db8::16", 4);
    let leases = [outside, without_v6, own_address, same_key];
    let (peers, errors) = planned(Mode::Ipv4, &leases);
    assert_eq!(
        peers,
        [
            "0 10.99.0.14:51820 10.5.14.0/24",
            "0 10.99.0.15:51820 10.5.15.0/24 fd00:5:0:15::/64"
        ]
    );
    let own = "its public address 10.99.0.11 is this node's own";
    assert_eq!(
        errors,
        [
            "it is outside of the network fd00:5::/48",
            own,
            own,
            "its public key is that of another node"
        ]
    );
    let (peers, errors) = planned(Mode::Ipv6, &leases[1..2]);
    assert_eq!(peers, [""; 0]);
    assert_eq!(errors, ["its node has no public IPv6 address"]);
}

/// The peers of a plan, as lines.
fn told(plan: &Plan) -> Vec<String> {
    let peers = [0, 1].into_iter().flat_map(|number| {
        let peers = plan.peers(number).iter();
        peers.map(move |(key, peer)| format!("{number} {key:?} {peer:?}"))
    });
    peers.collect()
}

#[test]
fn one_lease_after_the_other_is_all_of_them() {
    let node = node();
    let (own, options) = (own_of(&node), Options::default());
    let number = |number: u8| {
        let data = json!({"PublicKey": key(number), "Port": 7});
        let address = format!("10.99.0.{number}");
        wireguard_lease(&format!("10.5.{number}.0/24"), &address, data)
    };
    let leases: Vec<Lease> = (20..40).map(number).collect();
    let (all, errors) = Plan::of(own, &options, leases.iter());
    assert!(errors.is_empty(), "{errors:?}");
    let mut plan = Plan::default();
    for lease in leases.iter().rev() {
        assert_eq!(plan.slots(&lease.subnet), []);
        assert!(plan.put(own, &options, lease).is_empty());
        assert_eq!(plan.slots(&lease.subnet).len(), 1);
    }
    assert_eq!(told(&plan), told(&all));
    for lease in &leases[5..] {
        assert_eq!(plan.take(&lease.subnet).len(), 1);
        assert_eq!(plan.take(&lease.subnet), []);
    }
    let (few, _) = Plan::of(own, &options, leases[..5].iter());
    assert_eq!(told(&plan), told(&few));
    // What is free again can be had again.
    assert!(plan.put(own, &options, &leases[7]).is_empty());
}

#[test]
fn who_waits_for_a_key_gets_it_when_it_is_free() {
    let node = node();
    let (own, options) = (own_of(&node), Options::default());
    let of = |subnet, byte| wireguard_lease(subnet, "10.99.0.12", json!({"PublicKey": key(byte)}));
    let (old, new) = (of("10.5.5.0/24", 1), of("10.5.6.0/24", 1));
    let mut plan = Plan::default();
    assert!(plan.put(own, &options, &old).is_empty());
    assert_eq!(plan.put(own, &options, &new).len(), 1);
    assert_eq!(plan.take(&old.subnet), [(0, [1; 32])]);
    assert_eq!(plan.next_waiting(&[1; 32]), Some(new.subnet));
    assert_eq!(plan.next_waiting(&[1; 32]), None);
    assert!(plan.put(own, &options, &new).is_empty());
}

fn own_of(node: &Node) -> Own<'_> {
    Own {
        node,
        key: [9; 32],
        public_ipv6: None,
    }
}
