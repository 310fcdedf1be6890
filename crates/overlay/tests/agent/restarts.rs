//! Agents that end and begin again, hosts too: the same subnet, and traffic goes on.

use crate::config;
use crate::lab::{Lab, Node, Place, Stream, reach};

const ONE: Place = Place::Node(1);

/// Two nodes that reach each other with packets of the overlay's whole MTU.
fn joined<'l>(lab: &'l Lab, mtu: u32, arguments: &[&str]) -> (Node<'l>, Node<'l>) {
    let (one, two) = (lab.agent(1, arguments), lab.agent(2, arguments));
    for node in [&one, &two] {
        assert_eq!(node.subnet_env().mtu, mtu);
        node.bridge();
    }
    reach(&one, &two, mtu);
    (one, two)
}

/// Both agents are restarted in turn, by both signals, while traffic passes both ways; nothing is lost.
fn nothing_is_lost(backend: &str, mtu: u32) {
    let lab = Lab::new(2, &config(backend));
    let (mut one, mut two) = joined(&lab, mtu, &[]);
    let keys = (one.key(), two.key());
    let (first, second) = (
        lab.pod(1, &one.gateway(), mtu),
        lab.pod(2, &two.gateway(), mtu),
    );
    let addresses = [&first, &second].map(|pod| pod.address.to_string());
    first.pings(&addresses[1], mtu);
    second.pings(&addresses[0], mtu);
    let there = Stream::start(
        &lab,
        (first.place(), &addresses[0]),
        (second.place(), &addresses[1]),
    );
    let back = Stream::start(
        &lab,
        (second.place(), &addresses[1]),
        (first.place(), &addresses[0]),
    );
    for node in [&mut one, &mut two] {
        for signal in ["TERM", "KILL"] {
            node.kill(signal);
            there.goes_on();
            node.start_again();
            // What it does to the kernel when it knows the others is done when it says whom it knows.
            node.knows(1);
            back.goes_on();
        }
    }
    assert_eq!((one.key(), two.key()), keys);
    for (sent, lost) in [there.end(), back.end()] {
        assert_eq!(lost, 0, "of {sent} datagrams");
    }
    for node in [&one, &two] {
        assert_eq!(node.said("for current IP"), 2, "{}", node.log());
    }
}

#[test]
fn vxlan_loses_nothing() {
    nothing_is_lost(r#"{"Type":"vxlan"}"#, 1450);
}

#[test]
fn vxlan_with_direct_routing_loses_nothing() {
    nothing_is_lost(r#"{"Type":"vxlan","DirectRouting":true}"#, 1450);
}

#[test]
fn host_gw_loses_nothing() {
    nothing_is_lost(r#"{"Type":"host-gw"}"#, 1500);
}

#[test]
fn in_user_space_traffic_comes_back() {
    for (backend, mtu) in [
        (r#"{"Type":"udp"}"#, 1472),
        (r#"{"Type":"wireguard"}"#, 1420),
    ] {
        let lab = Lab::new(2, &config(backend));
        let (mut one, mut two) = joined(&lab, mtu, &[]);
        let (source, target) = (one.gateway(), two.gateway());
        let stream = Stream::start(&lab, (one.place(), &source), (two.place(), &target));
        for node in [&mut one, &mut two] {
            node.kill("KILL");
            node.start_again();
            stream.goes_on();
        }
        reach(&one, &two, mtu);
        assert_eq!((one.gateway(), two.gateway()), (source, target));
    }
}

#[test]
fn the_device_keeps_its_mac() {
    let lab = Lab::new(2, &config(r#"{"Type":"vxlan"}"#));
    let (mut one, two) = joined(&lab, 1450, &[]);
    let mac = "cat /sys/class/net/flannel.1/address";
    let before = lab.sh(ONE, mac);
    one.kill("KILL");
    one.start_again();
    one.knows(1);
    assert_eq!(lab.sh(ONE, mac), before);

    // Deleted while it is away, it is another: its peer follows, and keeps nothing of the old one.
    one.kill("TERM");
    lab.sh(ONE, "ip link del flannel.1");
    one.start_again();
    one.knows(1);
    let after = lab.sh(ONE, mac);
    assert_ne!(after, before);
    lab.becomes(
        two.place(),
        "bridge fdb show dev flannel.1 | cut -d' ' -f1; ip neigh show dev flannel.1 | cut -d' ' -f3",
        &format!("{after}\n{after}"),
    );
    reach(&one, &two, 1450);

    // Deleted while it runs, it is made again with the MAC its peers know.
    lab.sh(ONE, "ip link del flannel.1");
    reach(&one, &two, 1450);
    assert_eq!(lab.sh(ONE, mac), after);
}

#[test]
fn a_host_that_rebooted_has_its_subnet() {
    let lab = Lab::new(2, &config(r#"{"Type":"vxlan"}"#));
    let mut one = lab.node(1);
    let copy = format!("--subnet-copy={}", one.path("copy").display());
    one.start(&[&copy]);
    let key = one.key();
    let before = one.text_of_subnet_env();
    one.reboot();
    // Whoever looked after etcd tidied it up: the copy alone remembers.
    lab.delete(&format!("subnets/{key}"));
    one.start_again();
    one.says(
        &format!("Found previously leased subnet ({}), reusing", one.subnet()),
        1,
    );
    assert_eq!(one.text_of_subnet_env(), before);
}

#[test]
fn a_host_that_reboots_under_traffic_gets_it_again() {
    let lab = Lab::new(2, &config(r#"{"Type":"vxlan"}"#));
    let (one, mut two) = joined(&lab, 1450, &[]);
    let (source, target) = (one.gateway(), two.gateway());
    let mac = "cat /sys/class/net/flannel.1/address";
    let before = lab.sh(two.place(), mac);
    let stream = Stream::start(&lab, (one.place(), &source), (two.place(), &target));
    two.reboot();
    two.start_again();
    two.subnet_env();
    two.bridge();
    stream.goes_on();
    assert_eq!(two.gateway(), target);
    assert_ne!(lab.sh(two.place(), mac), before);
    let (sent, lost) = stream.end();
    assert!(lost > 0 && lost < sent, "{lost} of {sent}: it was away");
    reach(&one, &two, 1450);
}
