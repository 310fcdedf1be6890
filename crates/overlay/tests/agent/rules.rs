//! Rules of the packet filter, by what they do to traffic; and health, as it is told.

use std::net::{IpAddr, Ipv4Addr};

use crate::config;
use crate::lab::{Lab, Node, Place, Pod, reach, soon};

const ONE: Place = Place::Node(1);
const OUTSIDE: (Place, IpAddr) = (Place::Switch, IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1)));

const ARGUMENTS: [&str; 2] = ["--ip-masq", "--iptables-resync=1"];

/// The forward policy that Docker sets, among others.
fn nothing_is_forwarded(lab: &Lab) {
    for node in 1..=2 {
        lab.sh(Place::Node(node), "iptables -P FORWARD DROP");
    }
}

/// Two nodes with a pod each, of which the world outside knows where they are.
fn joined(lab: &Lab) -> ([Node<'_>; 2], [Pod<'_>; 2]) {
    let nodes = [lab.agent(1, &ARGUMENTS), lab.agent(2, &ARGUMENTS)];
    let pods = [1, 2].map(|number| {
        let node = &nodes[number - 1];
        let gateway = node.gateway();
        node.bridge();
        lab.sh(
            Place::Switch,
            &format!("ip route add {} via 10.99.0.1{number}", node.subnet()),
        );
        lab.pod(number, &gateway, 1450)
    });
    reach(&nodes[0], &nodes[1], 1450);
    (nodes, pods)
}

/// Addresses are as Flannel's nodes have them on all ways.
fn addresses_are_right(lab: &Lab, [one, two]: &[Pod<'_>; 2]) {
    assert_eq!(
        lab.seen(one.at(), OUTSIDE).to_string(),
        "10.99.0.11",
        "to outside"
    );
    assert_eq!(lab.seen(OUTSIDE, one.at()), OUTSIDE.1, "from outside");
    assert_eq!(lab.seen(one.at(), two.at()), one.at().1, "pod to pod");
    assert_eq!(lab.seen(two.at(), one.at()), two.at().1, "and back");
}

#[test]
fn sources_are_masqueraded_only_on_the_way_out() {
    let lab = Lab::new(2, &config(r#"{"Type":"vxlan"}"#));
    nothing_is_forwarded(&lab);
    let (nodes, pods) = joined(&lab);
    addresses_are_right(&lab, &pods);

    // From outside to a pod of another node: this one's address, so that answers find it again.
    lab.sh(
        Place::Switch,
        &format!("ip route replace {} via 10.99.0.11", nodes[1].subnet()),
    );
    let network = nodes[0].subnet().replace("/24", "");
    assert_eq!(lab.seen(OUTSIDE, pods[1].at()).to_string(), network);
}

#[test]
fn rules_come_back() {
    let lab = Lab::new(2, &config(r#"{"Type":"vxlan"}"#));
    nothing_is_forwarded(&lab);
    let (nodes, pods) = joined(&lab);
    let rules = "nft list ruleset | grep -c masquerade; iptables -S | grep -v ^-P";
    let before = lab.sh(ONE, rules);
    assert!(before.contains("flanneld forward"), "{before}");
    for flush in [
        "iptables -F",
        "iptables -F; iptables -X",
        "iptables -D FORWARD 1",
        "nft flush table inet ignite-overlay-10.5.0.0-16",
        "nft flush ruleset; iptables -P FORWARD DROP",
    ] {
        lab.sh(ONE, flush);
        soon(&format!("rules after {flush}"), || {
            match lab.try_sh(ONE, rules) {
                output if String::from_utf8_lossy(&output.stdout).trim() == before => Ok(()),
                output => Err(format!("{output:?}\n{}", nodes[0].log())),
            }
        });
    }
    addresses_are_right(&lab, &pods);
}

/// The chains of a `flanneld` of v0.20.1 in the same namespace.
const OF_FLANNEL: &str = "
    iptables -t nat -N FLANNEL-POSTRTG
    iptables -t nat -I POSTROUTING -m comment --comment 'flanneld masq' -j FLANNEL-POSTRTG
    rule() { iptables -t nat -A FLANNEL-POSTRTG \"$@\"; }
    rule -s 10.5.0.0/16 -d 10.5.0.0/16 -m comment --comment 'flanneld masq' -j RETURN
    rule -s 10.5.0.0/16 ! -d 224.0.0.0/4 -m comment --comment 'flanneld masq' -j MASQUERADE --random-fully
    rule ! -s 10.5.0.0/16 -d $1 -m comment --comment 'flanneld masq' -j RETURN
    rule ! -s 10.5.0.0/16 -d 10.5.0.0/16 -m comment --comment 'flanneld masq' -j MASQUERADE --random-fully
    iptables -N FLANNEL-FWD
    iptables -I FORWARD -m comment --comment 'flanneld forward' -j FLANNEL-FWD
    iptables -A FLANNEL-FWD -s 10.5.0.0/16 -m comment --comment 'flanneld forward' -j ACCEPT
    iptables -A FLANNEL-FWD -d 10.5.0.0/16 -m comment --comment 'flanneld forward' -j ACCEPT";

#[test]
fn chains_of_flannel_are_left_as_they_are() {
    let lab = Lab::new(2, &config(r#"{"Type":"vxlan"}"#));
    lab.put("subnets/10.5.133.0-24", r#"{"PublicIP":"10.99.0.11"}"#);
    lab.sh(ONE, &OF_FLANNEL.replace("$1", "10.5.133.0/24"));
    nothing_is_forwarded(&lab);
    let chains = "iptables -S; iptables -t nat -S";
    let before = lab.sh(ONE, chains);
    let (mut nodes, pods) = joined(&lab);
    assert_eq!(nodes[0].subnet(), "10.5.133.0/24");
    addresses_are_right(&lab, &pods);
    nodes[0].kill("KILL");
    nodes[0].start_again();
    nodes[0].knows(1);
    addresses_are_right(&lab, &pods);
    assert_eq!(lab.sh(ONE, chains), before);
}

#[test]
fn health_is_told() {
    let lab = Lab::new(1, &config(r#"{"Type":"vxlan"}"#));
    let one = lab.agent(1, &["--healthz-port=8090"]);
    one.subnet_env();
    let ask = "printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' | busybox nc 10.99.0.11 8090";
    soon("it is ready", || {
        let answer = lab.sh(Place::Switch, ask);
        match answer.starts_with("HTTP/1") && answer.contains(" 200 ") {
            true => Ok(()),
            false => Err(answer),
        }
    });
}
