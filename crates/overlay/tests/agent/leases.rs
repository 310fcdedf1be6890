//! Leases that come and go: others', and one's own.

use crate::lab::{Lab, Place, soon};
use crate::{config, vxlan_value};

const ONE: Place = Place::Node(1);
const PEER: &str = "subnets/10.5.200.0-24";
const MACS: [&str; 2] = ["6e:00:00:00:00:0c", "6e:00:00:00:00:0d"];

/// All that a node has of its vxlan peers.
const TRACES: &str = "ip route show dev flannel.1; ip neigh show dev flannel.1; \
                      bridge fdb show dev flannel.1";

fn traces(mac: &str, public_ip: &str) -> String {
    format!(
        "10.5.200.0/24 via 10.5.200.0 onlink \n10.5.200.0 lladdr {mac} PERMANENT \n{mac} dst {public_ip} self permanent"
    )
}

#[test]
fn a_peer_leaves_nothing_behind() {
    let lab = Lab::new(1, &config(r#"{"Type":"vxlan"}"#));
    let one = lab.agent(1, &[]);
    one.subnet_env();
    let value = vxlan_value("10.99.0.12", MACS[0]);

    // Its key is deleted.
    lab.put(PEER, &value);
    lab.becomes(ONE, TRACES, &traces(MACS[0], "10.99.0.12"));
    lab.delete(PEER);
    lab.becomes(ONE, TRACES, "");

    // Its lease ends.
    lab.put_leased(PEER, &value, &lab.grant(3));
    lab.becomes(ONE, TRACES, &traces(MACS[0], "10.99.0.12"));
    lab.becomes(ONE, TRACES, "");

    // It has another MAC address, another host, and both at once.
    for (host, mac) in [(12, 0), (12, 1), (13, 1), (12, 0)] {
        let public_ip = format!("10.99.0.{host}");
        lab.put(PEER, &vxlan_value(&public_ip, MACS[mac]));
        lab.becomes(ONE, TRACES, &traces(MACS[mac], &public_ip));
    }

    // It is of another backend all at once.
    lab.put(
        PEER,
        r#"{"PublicIP":"10.99.0.12","PublicIPv6":null,"BackendType":"host-gw"}"#,
    );
    lab.becomes(ONE, TRACES, "");
}

#[test]
fn a_peer_that_left_while_the_agent_was_away_leaves_nothing_behind() {
    let lab = Lab::new(1, &config(r#"{"Type":"vxlan"}"#));
    let mut one = lab.agent(1, &[]);
    one.subnet_env();
    lab.put(PEER, &vxlan_value("10.99.0.12", MACS[0]));
    lab.becomes(ONE, TRACES, &traces(MACS[0], "10.99.0.12"));
    one.kill("KILL");
    lab.put(PEER, &vxlan_value("10.99.0.12", MACS[1]));
    one.start_again();
    lab.becomes(ONE, TRACES, &traces(MACS[1], "10.99.0.12"));
    one.kill("KILL");
    lab.delete(PEER);
    one.start_again();
    lab.becomes(ONE, TRACES, "");
}

#[test]
fn ones_own_key_comes_back() {
    let lab = Lab::new(1, &config(r#"{"Type":"vxlan"}"#));
    let mut one = lab.agent(1, &[]);
    let (key, subnet) = (one.key(), one.subnet());
    let value = lab.value(&key);
    let own = format!("subnets/{key}");
    let is_there = |why: &str| {
        soon(why, || {
            let leases = lab.leases();
            match leases == [(key.clone(), value.clone(), true)] {
                true => Ok(()),
                false => Err(format!("{leases:?}\n{}", one.log())),
            }
        });
    };

    // Deleted while it runs, under traffic of others; and by the end of its lease.
    lab.delete(&own);
    is_there("the key that was deleted");
    let revoked = lab.records()[0].1.lease.expect("a lease").to_string();
    lab.call("/v3/lease/revoke", &serde_json::json!({"ID": revoked}));
    is_there("the key whose lease was revoked");

    // Deleted while it is away: the file remembers.
    one.kill("TERM");
    lab.delete(&own);
    one.start_again();
    let words = format!("Found previously leased subnet ({subnet}), reusing");
    one.says(&words, 3);
    assert_eq!(one.subnet(), subnet);
}

#[test]
fn a_reservation_stays_one() {
    let lab = Lab::new(1, &config(r#"{"Type":"alloc"}"#));
    lab.put("subnets/10.5.177.0-24", r#"{"PublicIP":"10.99.0.11"}"#);
    let mut one = lab.agent(1, &[]);
    let value = r#"{"PublicIP":"10.99.0.11","PublicIPv6":null}"#;
    let expected = [("10.5.177.0-24".to_owned(), value.to_owned(), false)];
    assert_eq!(one.gateway(), "10.5.177.1");
    assert_eq!(lab.leases(), expected);
    // Nor do an announcement and another life make a lease of it.
    let first = lab.records()[0].1.mod_revision;
    soon("an announcement", || {
        match lab.records()[0].1.mod_revision > first {
            true => Ok(()),
            false => Err(one.log()),
        }
    });
    one.kill("TERM");
    one.start_again();
    one.says("for current IP (10.99.0.11), reusing", 2);
    assert_eq!(lab.leases(), expected);
}

#[test]
fn a_node_without_a_lease_goes_on_repairing() {
    // One subnet, which another takes: there is none to come by.
    let lab = Lab::new(
        1,
        r#"{"Network":"10.5.0.0/16","SubnetMin":"10.5.9.0","SubnetMax":"10.5.9.0","Backend":{"Type":"vxlan"}}"#,
    );
    let one = lab.agent(1, &[]);
    one.subnet_env();
    lab.put(PEER, &vxlan_value("10.99.0.12", MACS[0]));
    lab.becomes(ONE, TRACES, &traces(MACS[0], "10.99.0.12"));
    lab.put("subnets/10.5.9.0-24", &vxlan_value("10.99.0.13", MACS[1]));
    one.says("no lease: ", 1);
    lab.sh(ONE, "ip link del flannel.1");
    lab.becomes(ONE, "ip -o link show flannel.1 2>/dev/null | wc -l", "1");
    lab.becomes(ONE, TRACES, &traces(MACS[0], "10.99.0.12"));
}

#[test]
fn another_network_is_another_subnet() {
    let lab = Lab::new(1, &config(r#"{"Type":"alloc"}"#));
    let mut one = lab.agent(1, &[]);
    one.subnet_env();
    lab.put(
        "config",
        r#"{"Network":"10.6.0.0/16","Backend":{"Type":"alloc"}}"#,
    );
    one.says("The network config changed", 1);
    one.kill("TERM");
    one.start_again();
    soon("a subnet of the new network, and none of the old", || {
        let leases = lab.leases();
        match leases.len() == 1 && leases[0].0.starts_with("10.6.") {
            true => Ok(()),
            false => Err(format!("{leases:?}\n{}", one.log())),
        }
    });
    soon("the file says so", || {
        match one
            .text_of_subnet_env()
            .starts_with("FLANNEL_NETWORK=10.6.0.0/16\nFLANNEL_SUBNET=10.6.")
        {
            true => Ok(()),
            false => Err(one.text_of_subnet_env()),
        }
    });
}

#[test]
fn a_short_lease_is_renewed() {
    let lab = Lab::new(1, &config(r#"{"Type":"alloc"}"#));
    let one = lab.agent(1, &["--lease-time=4"]);
    one.says("Lease renewed", 3);
    assert_eq!(lab.leases().len(), 1);
}
