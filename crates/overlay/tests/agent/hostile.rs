//! Neighbours that lie, by mistake or not: the agent goes on, serves its good peer, and does not grow.

use crate::lab::{Lab, Node, Place, Stream, reach, soon};
use crate::{config, vxlan_value};

const ONE: Place = Place::Node(1);
const MAC: &str = "6e:00:00:00:00:01";

/// Everything that leads into tunnels.
const TRACES: &str = "ip route show dev flannel.1 | sort; ip neigh show dev flannel.1 | sort; \
                      bridge fdb show dev flannel.1 | sort";

/// So much memory is never reached, in KiB: what an agent has, and what 10,000 leases take.
const ENOUGH: u64 = 96 << 10;

/// The most memory the agent ever had, in KiB.
fn most_memory(node: &Node<'_>) -> u64 {
    let path = format!("/proc/{}/status", node.pid());
    let status = std::fs::read_to_string(path).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

/// Records of which nothing is to come of; the node has this subnet, and this MAC address.
fn lies(subnet: &str, mac: &str) -> Vec<(String, String)> {
    let overlapping = subnet.replace(".0/24", ".128-25");
    let value = |public_ip: &str| vxlan_value(public_ip, MAC);
    let of_type = |members: &str| format!(r#"{{"PublicIP":"10.99.0.61",{members}}}"#);
    let huge = format!(
        r#"{{"PublicIP":"10.99.0.61","X":"{}"}}"#,
        "x".repeat(1 << 20)
    );
    let deep = "[".repeat(100_000);
    let lies = [
        ("10.5.60.0-24", "not json".to_owned()),
        ("10.5.61.0-24", of_type(r#""BackendType":"unheard-of""#)),
        ("10.5.62.0-24", of_type(r#""BackendType":"vxlan""#)),
        ("10.5.63.5-24", value("10.99.0.63")),
        ("10.5.64.0-24&fd00::-64&", value("10.99.0.64")),
        (
            "10.5.65.0-24",
            of_type(r#""BackendType":"VXLAN","BackendData":{"VtepMAC":"6e:00:00:00:00:01"}"#),
        ),
        ("10.5.66.0-24", value("127.0.0.1")),
        ("10.5.67.0-24", value("255.255.255.255")),
        ("10.5.68.0-24", value("10.99.0.11")),
        ("10.5.69.0-24", value("239.1.2.3")),
        ("10.5.70.0-24", value("0.0.0.0")),
        ("10.5.71.0-24", value("10.5.9.9")),
        ("10.5.0.0-16", value("10.99.0.61")),
        ("0.0.0.0-0", value("10.99.0.61")),
        ("10.6.1.0-24", value("10.99.0.61")),
        ("10.99.0.0-24", value("10.99.0.61")),
        (&overlapping, value("10.99.0.61")),
        ("10.5.72.0-24", vxlan_value("10.99.0.61", mac)),
        (
            "10.5.73.0-24",
            vxlan_value("10.99.0.61", "01:00:5e:00:00:01"),
        ),
        (
            "10.5.74.0-24",
            vxlan_value("10.99.0.61", "ff:ff:ff:ff:ff:ff"),
        ),
        (
            "10.5.75.0-24",
            vxlan_value("10.99.0.61", "00:00:00:00:00:00"),
        ),
        ("10.5.76.0-24", huge),
        ("10.5.77.0-24", deep),
        (
            "10.5.78.0-24",
            of_type(
                r#""BackendType":"vxlan","BackendData":{"VNI":-1,"VtepMAC":"6e:00:00:00:00:01"}"#,
            ),
        ),
        ("10.5.79.0-33", value("10.99.0.61")),
        ("gateway", value("10.99.0.61")),
        ("", value("10.99.0.61")),
    ];
    let named = lies.map(|(key, value)| (format!("subnets/{key}"), value));
    named.into()
}

/// Nodes whose records are odd, and which are served all the same.
const ODD: [(&str, &str); 2] = [
    (
        "subnets/10.5.80.0-24",
        r#"{"PublicIP":"10.99.0.80","BackendType":"vxlan","BackendData":{"VNI":70000,"VtepMAC":"6E-00-00-00-00-80"}}"#,
    ),
    (
        "subnets/10.5.81.0-24&fd00:5:0:81::-64",
        r#"{"PublicIP":"10.99.0.81","PublicIPv6":"fd99::81","BackendType":"vxlan","BackendData":{"VtepMAC":"6e:00:00:00:00:81"},"BackendV6Data":{"VtepMAC":"6e:00:00:00:00:82"}}"#,
    ),
];

/// Two nodes that reach each other.
fn joined(lab: &Lab, mtu: u32) -> (Node<'_>, Node<'_>) {
    let (one, two) = (lab.agent(1, &[]), lab.agent(2, &[]));
    for node in [&one, &two] {
        node.bridge();
    }
    reach(&one, &two, mtu);
    (one, two)
}

#[test]
fn of_lies_nothing_comes() {
    let lab = Lab::new(2, &config(r#"{"Type":"vxlan"}"#));
    let (mut one, two) = joined(&lab, 1450);
    let mac = lab.sh(ONE, "cat /sys/class/net/flannel.1/address");
    let stream = Stream::start(
        &lab,
        (one.place(), &one.gateway()),
        (two.place(), &two.gateway()),
    );
    for (key, value) in lies(&one.subnet(), &mac) {
        lab.put(&key, &value);
    }
    for (key, value) in ODD {
        lab.put(key, value);
    }
    let served = served(&lab, &two);
    lab.becomes(ONE, TRACES, &served);

    // Another life finds all of them at once. (The one with this node's address would be its own.)
    lab.delete("subnets/10.5.68.0-24");
    one.kill("KILL");
    one.start_again();
    soon("it has looked at all", || {
        match one.status()["pid"] == one.pid() {
            true => Ok(()),
            false => Err(one.log()),
        }
    });
    lab.becomes(ONE, TRACES, &served);
    let (sent, lost) = stream.end();
    assert_eq!(lost, 0, "of {sent}");
    reach(&one, &two, 1450);
    assert!(most_memory(&one) < ENOUGH, "{} KiB", most_memory(&one));
}

/// What node 1 has of those that are served, and nothing else.
fn served(lab: &Lab, two: &Node<'_>) -> String {
    let mac = lab.sh(two.place(), "cat /sys/class/net/flannel.1/address");
    let network = two.subnet().replace("/24", "");
    let peers = [
        (network.as_str(), mac.as_str(), "10.99.0.12"),
        ("10.5.80.0", "6e:00:00:00:00:80", "10.99.0.80"),
        ("10.5.81.0", "6e:00:00:00:00:81", "10.99.0.81"),
    ];
    let routes = peers.map(|(network, ..)| format!("{network}/24 via {network} onlink "));
    let neighbours = peers.map(|(network, mac, _)| format!("{network} lladdr {mac} PERMANENT "));
    let forwarding =
        peers.map(|(_, mac, public_ip)| format!("{mac} dst {public_ip} self permanent"));
    let mut lines = [routes, neighbours, forwarding];
    lines.iter_mut().for_each(|lines| lines.sort());
    lines.concat().join("\n")
}

/// Whatever a stranger may write, many times.
fn flood(count: usize) -> Vec<(String, String)> {
    let values = [
        "not json".to_owned(),
        vxlan_value("127.0.0.1", MAC),
        vxlan_value("10.99.0.61", "ff:ff:ff:ff:ff:ff"),
        r#"{"PublicIP":"10.99.0.61","BackendType":"vxlan"}"#.to_owned(),
        format!(
            r#"{{"PublicIP":"10.99.0.61","BackendType":"{}"}}"#,
            "x".repeat(200)
        ),
    ];
    let key = |number: usize| {
        let (third, fourth) = (number / 64, number % 64 * 4);
        match number % 7 {
            6 => format!("subnets/10.6.{third}.{fourth}-30"),
            _ => format!("subnets/10.5.{third}.{fourth}-30"),
        }
    };
    let pairs = (0..count).map(|number| (key(number), values[number % values.len()].clone()));
    pairs.collect()
}

/// Ten thousand of them come while the agent runs, and are there when it starts; a good peer that comes
/// after all of them is heard of.
fn a_flood_is_borne(backend: &str, mtu: u32) -> Lab {
    let lab = Lab::new(
        2,
        &format!(
            r#"{{"Network":"10.5.0.0/16","SubnetMin":"10.5.200.0","SubnetMax":"10.5.220.0","Backend":{{"Type":"{backend}"}}}}"#
        ),
    );
    let (mut one, two) = joined(&lab, mtu);
    let before = most_memory(&one);
    lab.put_all(&flood(10_000));
    lab.put("subnets/10.5.250.0-24", &vxlan_value("10.99.0.99", MAC));
    one.says("Subnet added: 10.5.250.0/24", 1);
    reach(&one, &two, mtu);
    let heard = most_memory(&one);

    one.kill("KILL");
    one.start_again();
    // Of so many at once few are named.
    one.says("Subnets added: ", 1);
    reach(&one, &two, mtu);
    let listed = most_memory(&one);
    println!(
        "{backend}: at most {before} KiB without, {heard} KiB hearing of 10,000 lies, {listed} KiB \
         listing them"
    );
    assert!(heard.max(listed) < ENOUGH, "{heard} and {listed} KiB");
    drop((one, two));
    lab
}

#[test]
fn ten_thousand_lies_are_borne_by_vxlan() {
    let lab = a_flood_is_borne("vxlan", 1450);
    let of_good_peers =
        "ip route show dev flannel.1 | wc -l; bridge fdb show dev flannel.1 | wc -l";
    lab.becomes(ONE, of_good_peers, "2\n2");
}

#[test]
fn ten_thousand_lies_are_borne_by_udp() {
    a_flood_is_borne("udp", 1472);
}
