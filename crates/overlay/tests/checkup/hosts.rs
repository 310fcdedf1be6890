//! Hosts that reach each other, and what keeps them from it.

use serde_json::Value;

use crate::lab::{Lab, Place, soon};
use crate::{config, kinds, look, told, until, until_well};

fn peer<'v>(found: &'v Value, public_ip: &str) -> &'v Value {
    let peers = found["peers"].as_array().expect("peers");
    let peer = peers.iter().find(|peer| peer["publicIp"] == public_ip);
    peer.unwrap_or_else(|| panic!("no {public_ip}: {found:#}"))
}

#[test]
fn hosts_with_vxlan() {
    let lab = Lab::new(2, &config(r#"{"Type":"vxlan"}"#));
    let (_one, two) = (lab.agent(1, &[]), lab.agent(2, &[]));
    for node in [1, 2] {
        let found = until_well(&lab, node, 1);
        assert!(found["peers"][0]["roundTripMs"].as_f64() > Some(0.0));
        assert_eq!(found["etcd"][0]["state"], "ok");
        assert!(found["etcd"][0]["roundTripMs"].as_f64() > Some(0.0));
        let own = &found["node"];
        assert_eq!(own["agent"], "running");
        assert_eq!(
            (own["backend"].as_str(), own["mtu"].as_u64()),
            (Some("vxlan"), Some(1450))
        );
        assert_eq!(
            (own["device"].as_str(), own["reserved"].as_bool()),
            (Some("flannel.1"), Some(false))
        );
        assert_eq!(own["freeSubnets"], 98);
        let left = own["leaseSecondsLeft"].as_u64().expect("a lease");
        assert!((86_000..=86_400).contains(&left), "{left}");
    }

    lab.sh(Place::Node(2), "nft 'add table inet t; add chain inet t i { type filter hook input priority 0; }; add rule inet t i udp dport 8472 drop'");
    let found = look(&lab, 1);
    assert_eq!(kinds(&found), ["port-filtered"]);
    let text = told(&found, "port-filtered");
    assert!(
        text.contains("8472/udp from here to 10.99.0.12 or back is filtered"),
        "{text}"
    );
    assert_eq!(peer(&found, "10.99.0.12")["reachable"], "no");
    lab.sh(Place::Node(2), "nft delete table inet t");
    until_well(&lab, 1, 1);

    lab.sh(Place::Node(1), "nft 'add table inet t; add chain inet t o { type filter hook output priority 0; }; add rule inet t o oifname flannel.1 drop'");
    let found = look(&lab, 1);
    assert!(told(&found, "local-rule").contains("Operation not permitted"));
    lab.sh(Place::Node(1), "nft delete table inet t");

    // A link between the hosts that takes no large packets.
    lab.sh(Place::Switch, "ip link set p2 mtu 1400");
    let found = look(&lab, 1);
    assert!(told(&found, "path-mtu").contains("Packets of 1450 bytes do not get to"));
    assert_eq!(peer(&found, "10.99.0.12")["reachable"], "yes");
    lab.sh(Place::Switch, "ip link set p2 mtu 1500");
    lab.sh(Place::Node(1), "ip link set flannel.1 mtu 1400");
    let found = look(&lab, 1);
    assert!(
        told(&found, "device-mtu").contains("The device flannel.1 takes packets of 1400 bytes")
    );
    lab.sh(Place::Node(1), "ip link set flannel.1 mtu 1450");

    // A host that is gone. That it is, is not known: it may drop echoes.
    lab.sh(Place::Node(2), "ip link set eth0 down");
    let found = look(&lab, 1);
    assert_eq!(peer(&found, "10.99.0.12")["reachable"], "unknown");
    assert!(told(&found, "host-silent").contains("10.99.0.12 does not answer"));
    let found = until(&lab, 2, "the agent sees it", |found| {
        kinds(found).contains(&"interface-gone")
    });
    assert!(told(&found, "interface-gone").contains("eth0"));
    drop(two);
}

#[test]
fn routes_instead_of_a_tunnel() {
    let lab = Lab::new(2, &config(r#"{"Type":"host-gw"}"#));
    let (_one, two) = (lab.agent(1, &[]), lab.agent(2, &[]));
    two.subnet_env();
    let found = until(&lab, 1, "its peer", |found| {
        found["node"]["subnet"].is_string() && found["peers"][0]["hint"].is_string()
    });
    let peer = &found["peers"][0];
    assert_eq!(peer["reachable"], "unknown");
    let hint = peer["hint"].as_str().expect("text");
    assert!(hint.contains("nothing may run there yet"), "{found:#}");
    two.bridge();
    until_well(&lab, 1, 1);
}

#[test]
fn direct_routes() {
    let lab = Lab::new(2, &config(r#"{"Type":"vxlan","DirectRouting":true}"#));
    let (_one, _two) = (lab.agent(1, &[]), lab.agent(2, &[]));
    until_well(&lab, 1, 1);
}

#[test]
fn udp_and_its_port() {
    let lab = Lab::new(2, &config(r#"{"Type":"udp","Port":8999}"#));
    let (_one, _two) = (lab.agent(1, &[]), lab.agent(2, &[]));
    until_well(&lab, 1, 1);
    lab.sh(Place::Node(2), "nft 'add table inet t; add chain inet t i { type filter hook input priority 0; }; add rule inet t i udp dport 8999 drop'");
    assert!(told(&look(&lab, 1), "port-filtered").contains("8999/udp"));
}

#[test]
fn strangers_in_etcd() {
    let lab = Lab::new(1, &config(r#"{"Type":"vxlan"}"#));
    let one = lab.agent(1, &[]);
    until_well(&lab, 1, 0);
    let data = r#""BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"6e:00:00:00:00:01"}"#;
    for (subnet, address) in [
        ("10.5.60.0-24", "127.0.0.1"),
        ("10.5.61.0-24", "224.0.0.1"),
        ("10.5.62.0-24", "255.255.255.255"),
        ("10.5.63.0-24", "10.5.64.1"),
    ] {
        lab.put(
            &format!("subnets/{subnet}"),
            &format!(r#"{{"PublicIP":"{address}",{data}}}"#),
        );
    }
    lab.put("subnets/10.5.70.0-24", "not json");
    lab.put(
        "subnets/10.5.71.0-24",
        r#"{"PublicIP":"10.99.0.71","BackendType":"host-gw"}"#,
    );
    lab.put("subnets/10.5.72.0-24", r#"{"PublicIP":"10.99.0.72"}"#);
    let all = [
        "backend-mismatch",
        "peer-unreadable",
        "peer-refused",
        "peer-refused",
        "peer-refused",
        "peer-refused",
    ];
    // What the agent has found by then, too, is not told twice.
    soon("the agent has seen them", || {
        let status = one.status();
        let found = status["troubles"].as_array().map(Vec::len);
        (found >= Some(5))
            .then_some(())
            .ok_or_else(|| status.to_string())
    });
    let found = until(&lab, 1, "all are told", |found| kinds(found) == all);
    assert!(told(&found, "peer-unreadable").contains("10.5.70.0/24"));
    assert!(told(&found, "backend-mismatch").contains("restart the agent on 10.99.0.71"));
    for address in [
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "10.5.64.1",
        "10.99.0.71",
    ] {
        assert_eq!(peer(&found, address)["reachable"], "unknown");
    }
    let reserved = peer(&found, "10.99.0.72");
    assert_eq!(reserved["hint"], "reserved; its host has not joined");
}
