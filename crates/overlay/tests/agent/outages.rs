//! etcd away, restarted, compacted; an agent that was stopped for a while.

use crate::lab::{Lab, Node, Place, Stream, reach, soon};
use crate::{config, vxlan_value};

const MAC: &str = "6e:00:00:00:00:0c";

fn joined<'l>(lab: &'l Lab, arguments: &[&str]) -> (Node<'l>, Node<'l>) {
    let (one, two) = (lab.agent(1, arguments), lab.agent(2, arguments));
    for node in [&one, &two] {
        node.bridge();
    }
    reach(&one, &two, 1450);
    (one, two)
}

fn stream(lab: &Lab, one: &Node<'_>, two: &Node<'_>) -> Stream {
    Stream::start(
        lab,
        (one.place(), &one.gateway()),
        (two.place(), &two.gateway()),
    )
}

/// Both have a route to the subnet of a peer that is a record only.
fn hears(lab: &Lab, subnet: &str) {
    for node in 1..=2 {
        soon("a new peer is known", || {
            let routes = lab.sh(Place::Node(node), &format!("ip route show {subnet}"));
            match routes.is_empty() {
                false => Ok(()),
                true => Err(format!("node {node} has no route to {subnet}")),
            }
        });
    }
}

#[test]
fn etcd_restarts_under_traffic() {
    let lab = Lab::new(2, &config(r#"{"Type":"vxlan"}"#));
    let (one, two) = joined(&lab, &[]);
    let before = (one.key(), two.key());
    let stream = stream(&lab, &one, &two);
    for (number, subnet) in ["10.5.251.0/24", "10.5.252.0/24"].into_iter().enumerate() {
        lab.stop_etcd();
        stream.goes_on();
        lab.start_etcd();
        let mac = format!("6e:00:00:00:00:{number:02x}");
        let key = format!("subnets/{}", subnet.replace('/', "-"));
        lab.put(&key, &vxlan_value("10.99.0.99", &mac));
        hears(&lab, subnet);
    }
    let (sent, lost) = stream.end();
    assert_eq!(lost, 0, "of {sent}");
    assert_eq!((one.key(), two.key()), before);
    assert_eq!(lab.leases().len(), 4);
}

#[test]
fn a_stopped_agent_finds_its_way_after_compaction() {
    let lab = Lab::new(2, &config(r#"{"Type":"vxlan"}"#));
    let (one, two) = joined(&lab, &[]);
    lab.put("subnets/10.5.251.0-24", &vxlan_value("10.99.0.98", MAC));
    hears(&lab, "10.5.251.0/24");
    one.signal("STOP");
    // Its connection ends too: what happened is neither in a buffer of the kernel nor in etcd.
    lab.stop_etcd();
    lab.start_etcd();
    lab.delete("subnets/10.5.251.0-24");
    lab.put("subnets/10.5.252.0-24", &vxlan_value("10.99.0.99", MAC));
    lab.compact();
    one.signal("CONT");
    one.says("changes of leases were lost, listing all of them", 1);
    hears(&lab, "10.5.252.0/24");
    lab.becomes(
        one.place(),
        "ip route show 10.5.251.0/24; ip neigh show to 10.5.251.0",
        "",
    );
    reach(&one, &two, 1450);
    // And what happens from here on is heard.
    lab.delete("subnets/10.5.252.0-24");
    lab.becomes(
        one.place(),
        "ip route show 10.5.252.0/24; bridge fdb show | grep 10.99.0.99 || :",
        "",
    );
}

#[test]
fn leases_may_end_while_etcd_cannot_be_reached() {
    let lab = Lab::new(2, &config(r#"{"Type":"vxlan"}"#));
    let (one, two) = joined(&lab, &["--lease-time=4"]);
    let before = (one.key(), two.key());
    let traffic = stream(&lab, &one, &two);
    // A firewall between: answers do not come any more, and connections do not end.
    lab.sh(Place::Switch, "ip addr del 10.99.0.1/24 dev br0");
    soon("both are told of", || {
        match [&one, &two]
            .iter()
            .all(|node| node.said("cannot renew the lease") > 0)
        {
            true => Ok(()),
            false => Err(format!("{}\n{}", one.log(), two.log())),
        }
    });
    traffic.goes_on();
    let (sent, lost) = traffic.end();
    assert_eq!(lost, 0, "of {sent}");
    lab.sh(Place::Switch, "ip addr add 10.99.0.1/24 dev br0");
    soon("both have their leases", || {
        let leases = lab.leases();
        match leases.len() == 2 && leases.iter().all(|(_, _, ends)| *ends) {
            true => Ok(()),
            false => Err(format!("{leases:?}\n{}\n{}", one.log(), two.log())),
        }
    });
    reach(&one, &two, 1450);
    let renewed = (one.said("Lease renewed"), two.said("Lease renewed"));
    one.says("Lease renewed", renewed.0 + 2);
    two.says("Lease renewed", renewed.1 + 2);
    reach(&one, &two, 1450);
    assert_eq!((one.key(), two.key()), before);
}
