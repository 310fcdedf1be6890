//! Another backend in etcd, and the agents started again: nothing goes the old way any more.

use crate::config;
use crate::lab::{Lab, Node, reach};

const VXLAN: &str = r#"{"Type":"vxlan"}"#;

/// Both nodes go over from one backend to the other, and reach each other by it.
fn go_over(lab: &Lab, nodes: &mut [Node<'_>; 2], backend: &str, mtu: u32) {
    for node in nodes.iter_mut() {
        node.kill("TERM");
    }
    lab.put("config", &config(backend));
    for node in nodes.iter_mut() {
        node.start_again();
    }
    let [one, two] = nodes;
    for node in [&*one, &*two] {
        node.knows(1);
    }
    reach(one, two, mtu);
}

/// The way from the first node to the second: its route, and the one the kernel takes.
fn way(lab: &Lab, [one, two]: &[Node<'_>; 2]) -> (String, String) {
    let (subnet, gateway) = (two.subnet(), two.gateway());
    let script = format!("ip route get {gateway} | sed -n 's/.* dev \\([^ ]*\\) .*/\\1/p'");
    let device = lab.sh(one.place(), &script);
    (
        lab.sh(one.place(), &format!("ip route show {subnet}")),
        device,
    )
}

fn joined<'l>(lab: &'l Lab, with_copy: bool) -> [Node<'l>; 2] {
    let nodes = [1, 2].map(|number| {
        let mut node = lab.node(number);
        let copy = format!("--network-copy={}", node.path("network.json").display());
        let arguments = [copy.as_str()];
        node.start(if with_copy { &arguments } else { &[] });
        node
    });
    for node in &nodes {
        node.bridge();
    }
    let [one, two] = &nodes;
    reach(one, two, 1450);
    nodes
}

#[test]
fn what_another_backend_made_goes_before_the_new_one_begins() {
    let lab = Lab::new(2, &config(VXLAN));
    let mut nodes = joined(&lab, true);
    go_over(&lab, &mut nodes, r#"{"Type":"wireguard"}"#, 1420);
    assert_eq!(way(&lab, &nodes), (String::new(), "flannel-wg".to_owned()));
    assert!(
        !lab.try_sh(nodes[0].place(), "ip link show flannel.1")
            .status
            .success()
    );
    // And back, with another number.
    go_over(&lab, &mut nodes, r#"{"Type":"vxlan","VNI":2}"#, 1450);
    assert_eq!(way(&lab, &nodes).1, "flannel.2");
    assert!(
        !lab.try_sh(nodes[0].place(), "ip link show flannel-wg")
            .status
            .success()
    );
}

#[test]
fn routes_of_another_backend_go_even_if_nobody_remembers_it() {
    let lab = Lab::new(2, &config(VXLAN));
    let mut nodes = joined(&lab, false);
    go_over(&lab, &mut nodes, r#"{"Type":"vxlan","VNI":2}"#, 1450);
    assert_eq!(way(&lab, &nodes).1, "flannel.2");
    go_over(&lab, &mut nodes, r#"{"Type":"host-gw"}"#, 1450);
    assert_eq!(way(&lab, &nodes).1, "eth0");
    for (backend, device, mtu) in [("wireguard", "flannel-wg", 1420), ("udp", "flannel0", 1420)] {
        // From one that has a route for each peer.
        go_over(&lab, &mut nodes, VXLAN, 1450);
        go_over(&lab, &mut nodes, &format!(r#"{{"Type":"{backend}"}}"#), mtu);
        assert_eq!(way(&lab, &nodes), (String::new(), device.to_owned()));
    }
}
