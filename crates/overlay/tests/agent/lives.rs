//! The lives of two nodes.

use crate::lab::{Lab, Node, soon};
use crate::ping;

fn config(backend: &str) -> String {
    format!(r#"{{"Network":"10.5.0.0/16","Backend":{backend}}}"#)
}

/// Two nodes that reach each other with packets of the overlay's whole MTU.
fn joined<'l>(lab: &'l Lab, mtu: u32) -> (Node<'l>, Node<'l>) {
    let (one, two) = (lab.agent(1, &[]), lab.agent(2, &[]));
    for node in [&one, &two] {
        assert_eq!(node.subnet_env().mtu, mtu);
        node.bridge();
    }
    reach(lab, &one, &two, mtu);
    (one, two)
}

fn reach(lab: &Lab, one: &Node<'_>, two: &Node<'_>, mtu: u32) {
    ping(lab, (1, one), two, mtu);
    ping(lab, (2, two), one, mtu);
}

#[test]
fn vxlan() {
    let lab = Lab::new(2, &config(r#"{"Type":"vxlan"}"#));
    let (mut one, two) = joined(&lab, 1450);
    let leases = lab.leases();
    assert_eq!(leases.len(), 2);
    let mac = lab.sh(1, "cat /sys/class/net/flannel.1/address");
    let subnet = one.subnet_env().subnet().expect("a subnet").v4;
    let key = format!("{}-24", subnet.addr());
    let expected = format!(
        r#"{{"PublicIP":"10.99.0.11","PublicIPv6":null,"BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"{mac}"}}}}"#
    );
    assert!(
        leases.contains(&(key.clone(), expected, true)),
        "{leases:?}"
    );
    assert_eq!(
        one.text_of_subnet_env(),
        format!(
            "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET={}/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n",
            one.gateway()
        )
    );
    one.says("Allocated lease", 1);
    one.says("Subnet added: ", 1);

    // Killed, traffic goes on; back, it is the node it was.
    one.kill("-KILL");
    reach(&lab, &one, &two, 1450);
    one.start(&[]);
    one.says("for current IP (10.99.0.11), reusing", 1);
    reach(&lab, &one, &two, 1450);
    assert_eq!(lab.sh(1, "cat /sys/class/net/flannel.1/address"), mac);

    // Its key deleted while it is away: the file remembers.
    one.kill("-TERM");
    lab.delete(&format!("subnets/{key}"));
    soon("its peer forgets it", || {
        let routes = lab.sh(
            2,
            "ip route show dev flannel.1; bridge fdb show dev flannel.1",
        );
        match routes.is_empty() {
            true => Ok(()),
            false => Err(routes),
        }
    });
    one.start(&[]);
    one.says(
        &format!("Found previously leased subnet ({subnet}), reusing"),
        1,
    );
    reach(&lab, &one, &two, 1450);

    // The same while it runs.
    lab.delete(&format!("subnets/{key}"));
    one.says(
        &format!("Found previously leased subnet ({subnet}), reusing"),
        2,
    );
    reach(&lab, &one, &two, 1450);

    // With another MAC its peer follows, and keeps nothing of the old one.
    one.kill("-TERM");
    lab.sh(1, "ip link del flannel.1");
    one.start(&[]);
    reach(&lab, &one, &two, 1450);
    let forwarding = lab.sh(2, "bridge fdb show dev flannel.1");
    assert_eq!(forwarding.lines().count(), 1, "{forwarding}");
    soon("its status names its peer", || {
        let status = one.status();
        match status["peers"][0]["publicIp"] == "10.99.0.12" {
            true => Ok(()),
            false => Err(status.to_string()),
        }
    });
}

#[test]
fn vxlan_with_direct_routing() {
    let lab = Lab::new(2, &config(r#"{"Type":"vxlan","DirectRouting":true}"#));
    let (_one, _two) = joined(&lab, 1450);
    let routes = lab.sh(1, "ip route");
    assert!(routes.contains("via 10.99.0.12 dev eth0"), "{routes}");
}

#[test]
fn host_gw() {
    let lab = Lab::new(2, &config(r#"{"Type":"host-gw"}"#));
    let (_one, two) = joined(&lab, 1500);
    let subnet = two.subnet_env().subnet().expect("a subnet").v4;
    let route = lab.sh(1, &format!("ip route show {subnet}"));
    assert_eq!(route, format!("{subnet} via 10.99.0.12 dev eth0"));
}

#[test]
fn udp() {
    // Without a word of the backend, as with Flannel.
    let lab = Lab::new(2, r#"{"Network":"10.5.0.0/16"}"#);
    let (mut one, two) = joined(&lab, 1472);
    let values: Vec<String> = lab
        .leases()
        .into_iter()
        .map(|(_, value, _)| value)
        .collect();
    assert!(values.contains(&r#"{"PublicIP":"10.99.0.11","PublicIPv6":null}"#.to_owned()));
    one.kill("-KILL");
    one.start(&[]);
    reach(&lab, &one, &two, 1472);
}

#[test]
fn wireguard() {
    let lab = Lab::new(
        2,
        &config(r#"{"Type":"wireguard","PersistentKeepaliveInterval":25}"#),
    );
    let (_one, _two) = joined(&lab, 1420);
}

#[test]
fn etcd_comes_and_goes() {
    let mut lab = Lab::new(2, &config(r#"{"Type":"vxlan"}"#));
    // Nothing is borrowed while etcd is stopped and started.
    let namespaces = (lab.namespace(1), lab.namespace(2));
    assert_ne!(namespaces.0, namespaces.1);
    {
        let (one, two) = joined(&lab, 1450);
        lab.sh(0, "ip link set br0 type bridge ageing_time 30000");
        // A firewall between: the answers do not come any more.
        lab.sh(0, "ip addr del 10.99.0.1/24 dev br0");
        std::thread::sleep(std::time::Duration::from_secs(3));
        reach(&lab, &one, &two, 1450);
        lab.sh(0, "ip addr add 10.99.0.1/24 dev br0");
        let third = two.subnet_env().subnet().expect("a subnet").v4;
        lab.put("subnets/10.5.250.0-24", r#"{"PublicIP":"10.99.0.99","BackendType":"vxlan","BackendData":{"VtepMAC":"6E:00:00:00:00:01"}}"#);
        soon("a third node is known", || {
            let routes = lab.sh(1, "ip route");
            match routes.contains("10.5.250.0/24") {
                true => Ok(()),
                false => Err(format!("{third}: {routes}")),
            }
        });
    }
    lab.stop_etcd();
    lab.start_etcd();
    lab.put("after", "it is back");
}

#[test]
fn the_last_subnet_is_one_nodes() {
    let lab = Lab::new(
        2,
        r#"{"Network":"10.5.0.0/22","SubnetLen":24,"SubnetMin":"10.5.1.0","SubnetMax":"10.5.1.0","Backend":{"Type":"alloc"}}"#,
    );
    let one = lab.agent(1, &[]);
    assert_eq!(one.gateway(), "10.5.1.1");
    let mut two = lab.agent(2, &[]);
    two.says("no IPv4 subnet is free", 1);
    soon("the second ends", || {
        two.is_over().map(drop).ok_or_else(|| two.log())
    });
}

#[test]
fn bad_neighbours_and_bad_configurations() {
    let lab = Lab::new(2, r#"{"Network":"10.5.0.0/29","Backend":{"Type":"vxlan"}}"#);
    let one = lab.agent(1, &[]);
    one.says("Couldn't fetch network config", 1);
    for (key, value) in [
        ("10.5.60.0-24", "not json"),
        (
            "10.5.61.0-24",
            r#"{"PublicIP":"10.99.0.61","BackendType":"unknown"}"#,
        ),
        (
            "10.5.62.0-24",
            r#"{"PublicIP":"10.99.0.62","BackendType":"vxlan"}"#,
        ),
        (
            "10.5.63.5-24",
            r#"{"PublicIP":"10.99.0.63","BackendType":"vxlan","BackendData":{"VtepMAC":"6E:00:00:00:00:01"}}"#,
        ),
        (
            "10.5.64.0-24&fd00::-64",
            r#"{"PublicIP":"10.99.0.64","BackendType":"vxlan","BackendData":{"VtepMAC":"6E:00:00:00:00:02"}}"#,
        ),
        (
            "10.5.65.0-24",
            r#"{"PublicIP":"10.99.0.65","BackendType":"vxlan","BackendData":{"VNI":70000,"VtepMAC":"6E:00:00:00:00:03"}}"#,
        ),
    ] {
        lab.put(&format!("subnets/{key}"), value);
    }
    lab.put("config", &config(r#"{"Type":"vxlan"}"#));
    let two = lab.agent(2, &[]);
    for node in [&one, &two] {
        node.subnet_env();
        node.bridge();
    }
    reach(&lab, &one, &two, 1450);
}

#[test]
fn a_reservation_stays_one() {
    let lab = Lab::new(1, &config(r#"{"Type":"alloc"}"#));
    lab.put("subnets/10.5.77.0-24", r#"{"PublicIP":"10.99.0.11"}"#);
    let one = lab.agent(1, &[]);
    assert_eq!(one.gateway(), "10.5.77.1");
    let expected = r#"{"PublicIP":"10.99.0.11","PublicIPv6":null}"#;
    assert_eq!(
        lab.leases(),
        [("10.5.77.0-24".to_owned(), expected.to_owned(), false)]
    );
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
    one.kill("-TERM");
    one.start(&[]);
    soon("a subnet of the new network", || {
        let leases = lab.leases();
        let keys: Vec<&str> = leases.iter().map(|(key, ..)| key.as_str()).collect();
        match keys.len() == 1 && keys[0].starts_with("10.6.") {
            true => Ok(()),
            false => Err(format!("{keys:?}\n{}", one.log())),
        }
    });
    one.forget_subnet();
}

#[test]
fn a_short_lease_is_renewed() {
    let lab = Lab::new(1, &config(r#"{"Type":"alloc"}"#));
    let one = lab.agent(1, &["--lease-time=4"]);
    one.says("Lease renewed", 3);
    assert_eq!(lab.leases().len(), 1);
}

#[test]
fn nodes_that_start_together_know_each_other() {
    let lab = Lab::new(3, &config(r#"{"Type":"vxlan"}"#));
    let mut nodes: Vec<Node<'_>> = (1..=3).map(|node| lab.agent(node, &[])).collect();
    for node in &nodes {
        node.bridge();
    }
    for round in 0..5 {
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            ping(&lab, (from + 1, &nodes[from]), &nodes[to], 1450);
        }
        if round < 4 {
            for node in &mut nodes {
                node.kill("-KILL");
            }
            for node in &mut nodes {
                node.start(&[]);
            }
        }
    }
}

#[test]
fn rules_come_back_and_health_is_told() {
    let lab = Lab::new(2, &config(r#"{"Type":"vxlan"}"#));
    for node in 1..=2 {
        lab.sh(node, "iptables -P FORWARD DROP");
    }
    let arguments = ["--ip-masq", "--iptables-resync=1", "--healthz-port=8090"];
    let (one, two) = (lab.agent(1, &arguments), lab.agent(2, &arguments));
    for node in [&one, &two] {
        node.bridge();
    }
    reach(&lab, &one, &two, 1450);
    let rules = "iptables -S FLANNEL-FWD; nft list ruleset | grep -c masquerade";
    let before = lab.sh(1, rules);
    assert!(before.contains("flanneld forward"), "{before}");
    lab.sh(1, "iptables -F FLANNEL-FWD; nft list tables | grep ignite-overlay | sed 's/^/delete /' | nft -f -");
    soon("the rules are back", || match lab.try_sh(1, rules) {
        output if String::from_utf8_lossy(&output.stdout).trim() == before => Ok(()),
        output => Err(format!("{output:?}\n{}", one.log())),
    });
    let asked = "printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' | busybox nc 10.99.0.11 8090";
    let answer = lab.sh(2, asked);
    assert!(
        answer.starts_with("HTTP/1") && answer.contains(" 200 "),
        "{answer}"
    );
}
