//! Nodes made by hand: by commands of the kernel's, or by a relay, and keys in etcd. They know
//! nothing of our code, and do what nodes of Flannel do.

use crate::config;
use crate::lab::{Lab, Place, soon};
use crate::relay::Relay;

const TWO: Place = Place::Node(2);
const MADE: &str = "subnets/10.5.200.0-24";

/// What node 1 has about the subnet of the peer made by hand.
const TRACES: &str = "ip route show 10.5.200.0/24; ip neigh show dev flannel.1; \
                      bridge fdb show dev flannel.1";

#[test]
fn a_vxlan_peer_made_by_hand_is_one_of_the_network() {
    let lab = Lab::new(2, &config(r#"{"Type":"vxlan"}"#));
    let one = lab.agent(1, &[]);
    let (subnet, gateway) = (one.subnet(), one.gateway());
    one.bridge();
    let pod = lab.pod(1, &gateway, 1450);
    let mac = lab.sh(one.place(), "cat /sys/class/net/flannel.1/address");
    let network = subnet.trim_end_matches("/24");
    lab.sh(
        TWO,
        &format!(
            "ip link add flannel.1 type vxlan id 1 dev eth0 local 10.99.0.12 dstport 8472 nolearning
             ip link set flannel.1 mtu 1450 up; ip addr add 10.5.200.0/32 dev flannel.1
             ip neigh replace {network} lladdr {mac} dev flannel.1 nud permanent
             bridge fdb replace {mac} dev flannel.1 dst 10.99.0.11 self permanent
             ip route replace {subnet} via {network} dev flannel.1 onlink
             ip link add cni0 type bridge; ip link set cni0 mtu 1450 up
             ip addr add 10.5.200.1/24 dev cni0"
        ),
    );
    let peer = lab.pod(2, "10.5.200.1", 1450);
    let capitals = lab.sh(TWO, "tr a-f A-F </sys/class/net/flannel.1/address");
    let value = format!(
        r#"{{"PublicIP":"10.99.0.12","BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"{capitals}"}},"X-extra":{{"a":1}}}}"#
    );
    lab.create(MADE, &value, &lab.grant(600));

    assert_eq!(pod.pings("10.5.200.1", 1450), 63);
    assert_eq!(pod.pings("10.5.200.2", 1450), 62);
    assert_eq!(peer.pings(&pod.address.to_string(), 1450), 62);
    for (source, target) in [("10.5.200.1", gateway.as_str()), ("10.5.200.0", network)] {
        lab.sh(
            TWO,
            &format!("ping -M do -c1 -W9 -s 1422 -I {source} {target}"),
        );
    }
    soon("node to node", || one.ping(&gateway, "10.5.200.1", 1450));
    assert!(pod.refused("10.5.200.2", 1451).contains("too long"));

    // Its last lease is not renewed.
    lab.put_leased(MADE, &value, &lab.grant(4));
    lab.becomes(one.place(), TRACES, "");
}

#[test]
fn a_udp_peer_made_by_hand_is_one_of_the_network() {
    let lab = Lab::new(2, &config(r#"{"Type":"udp"}"#));
    let one = lab.agent(1, &[]);
    let gateway = one.gateway();
    one.bridge();
    let pod = lab.pod(1, &gateway, 1472);
    let relay = Relay::start(&lab, TWO, "10.99.0.12", "10.99.0.11");
    lab.sh(
        TWO,
        "ip link set flannel0 mtu 1472 up; ip addr add 10.5.200.0/32 dev flannel0
         ip route add 10.5.0.0/16 dev flannel0
         ip link add cni0 type bridge; ip link set cni0 mtu 1472 up
         ip addr add 10.5.200.1/24 dev cni0",
    );
    let peer = lab.pod(2, "10.5.200.1", 1472);
    lab.create(
        MADE,
        r#"{"PublicIP":"10.99.0.12","PublicIPv6":null}"#,
        &lab.grant(600),
    );

    // A hop of the node's and one of the tunnel's at each end.
    assert_eq!(pod.pings("10.5.200.2", 1472), 60);
    assert_eq!(peer.pings(&pod.address.to_string(), 1472), 60);
    soon("node to node", || one.ping(&gateway, "10.5.200.1", 1472));
    lab.sh(
        TWO,
        &format!("ping -M do -c1 -W9 -s 1444 -I 10.5.200.1 {gateway}"),
    );
    assert!(pod.refused("10.5.200.2", 1473).contains("too long"));
    let refused = one
        .ping(&gateway, "10.5.200.1", 1473)
        .expect_err("too large");
    assert!(refused.contains("too long"), "{refused}");

    // On the wire: from the port of all, the bare packet, a hop of the node's and one of the tunnel's.
    let seen = relay.end();
    let of_pods = seen.iter().filter(|seen| seen.source == pod.address);
    let of_pods: Vec<_> = of_pods.collect();
    assert!(!of_pods.is_empty());
    for seen in of_pods {
        assert_eq!(
            (seen.from.to_string().as_str(), seen.ttl),
            ("10.99.0.11:8285", 62)
        );
        assert_eq!(seen.length, seen.datagram, "nothing around the packet");
        assert!(seen.sum_is_right);
    }
}
