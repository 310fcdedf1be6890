//! Networks of IPv4 and IPv6.

use serde_json::json;

use crate::lab::{Lab, Node, Place, reach};

const ONE: Place = Place::Node(1);

fn lab(backend: &str) -> Lab {
    Lab::new(
        2,
        &format!(
            r#"{{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","Backend":{backend}}}"#
        ),
    )
}

/// Both families of two nodes, whose subnets' files are right.
fn joined(lab: &Lab, mtu: u32, mtu_v6: u32) -> (Node<'_>, Node<'_>) {
    let (one, two) = (lab.agent(1, &[]), lab.agent(2, &[]));
    for node in [&one, &two] {
        let env = node.subnet_env();
        assert_eq!(env.mtu, mtu);
        assert_eq!(
            node.text_of_subnet_env(),
            format!(
                "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET={}/24\n\
                 FLANNEL_IPV6_NETWORK=fd00:5::/48\nFLANNEL_IPV6_SUBNET={}/64\n\
                 FLANNEL_MTU={mtu}\nFLANNEL_IPMASQ=false\n",
                node.gateway(),
                node.gateway_v6()
            )
        );
        node.bridge();
    }
    reach(&one, &two, mtu);
    one.reaches_v6(&two, mtu_v6);
    two.reaches_v6(&one, mtu_v6);
    (one, two)
}

#[test]
fn vxlan() {
    let lab = lab(r#"{"Type":"vxlan"}"#);
    // What IPv6 takes more of each packet its device alone tells of.
    let (mut one, mut two) = joined(&lab, 1450, 1430);
    let macs = ["flannel.1", "flannel-v6.1"]
        .map(|device| lab.sh(ONE, &format!("cat /sys/class/net/{device}/address")));
    let [v4, v6] = &macs;
    assert_ne!(v4, v6);
    assert_eq!(
        lab.value(&one.key()),
        format!(
            r#"{{"PublicIP":"10.99.0.11","PublicIPv6":"fd99::11","BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"{v4}"}},"BackendV6Data":{{"VNI":1,"VtepMAC":"{v6}"}}}}"#
        )
    );
    let device = &lab.list(ONE, "ip -j -d link show flannel-v6.1")[0];
    assert_eq!(device["mtu"], 1430);
    let info = &device["linkinfo"]["info_data"];
    assert_eq!(
        (&info["id"], &info["local6"], &info["port"]),
        (&json!(1), &json!("fd99::11"), &json!(8472))
    );

    let peer = two.gateway_v6().replace("::1", "::");
    let far = lab.sh(two.place(), "cat /sys/class/net/flannel-v6.1/address");
    lab.becomes(
        ONE,
        &format!("ip -6 route show {peer}/64; ip neigh show dev flannel-v6.1 nud permanent; bridge fdb show dev flannel-v6.1"),
        &format!(
            "{peer}/64 via {peer} dev flannel-v6.1 metric 1024 onlink pref medium\n\
             {peer} lladdr {far} PERMANENT \n{far} dst fd99::12 self permanent"
        ),
    );
    let ping = format!(
        "ping -6 -M do -c1 -W9 -s 1383 -I {} {}",
        one.gateway_v6(),
        two.gateway_v6()
    );
    let output = lab.try_sh(ONE, &ping);
    assert!(!output.status.success(), "a byte too many: {output:?}");

    // Another life, the same node; then its peer leaves.
    let key = one.key();
    one.kill("KILL");
    one.start_again();
    one.knows(1);
    assert_eq!(one.key(), key);
    one.reaches_v6(&two, 1430);
    two.kill("TERM");
    lab.delete(&format!("subnets/{}", two.key()));
    lab.becomes(
        ONE,
        &format!("ip -6 route show {peer}/64; ip neigh show dev flannel-v6.1 nud permanent"),
        "",
    );
}

#[test]
fn host_gw() {
    let lab = lab(r#"{"Type":"host-gw"}"#);
    let (one, two) = joined(&lab, 1500, 1500);
    assert_eq!(
        lab.value(&one.key()),
        r#"{"PublicIP":"10.99.0.11","PublicIPv6":"fd99::11","BackendType":"host-gw"}"#
    );
    let peer = two.gateway_v6().replace("::1", "::/64");
    let routes = lab.list(ONE, &format!("ip -6 -j route show {peer}"));
    assert_eq!(
        (&routes[0]["gateway"], &routes[0]["dev"]),
        (&json!("fd99::12"), &json!("eth0"))
    );
}

#[test]
fn wireguard() {
    let lab = lab(r#"{"Type":"wireguard"}"#);
    let (one, _two) = joined(&lab, 1420, 1420);
    let value = lab.value(&one.key());
    let key = value
        .split('"')
        .find(|word| word.len() == 44)
        .expect("a public key");
    assert_eq!(
        value,
        format!(
            r#"{{"PublicIP":"10.99.0.11","PublicIPv6":"fd99::11","BackendType":"wireguard","BackendData":{{"PublicKey":"{key}","Port":51820}},"BackendV6Data":{{"PublicKey":"{key}","Port":51821}}}}"#
        )
    );
}
