//! What others find of a node: its value in etcd byte for byte, its file, the state of the kernel.

use serde_json::{Value, json};

use crate::lab::{Lab, Node, Place, reach};
use crate::{config, vxlan_value};

const ONE: Place = Place::Node(1);
/// A peer that is a record only.
const PEER: &str = "subnets/10.5.200.0-24";
const PEER_MAC: &str = "6e:00:00:00:00:0c";

/// The members of an object that a test names.
fn some(object: &Value, names: &[&str]) -> Value {
    let members = names
        .iter()
        .map(|name| ((*name).to_owned(), object[*name].clone()));
    members.collect::<serde_json::Map<_, _>>().into()
}

/// The node's value is this, under a lease of a day, and its file says so.
fn recorded(lab: &Lab, node: &Node<'_>, value: &str, mtu: u32, masquerade: bool) {
    let key = node.key();
    let records = lab.records();
    let (_, pair) = records
        .iter()
        .find(|(name, _)| *name == key)
        .expect("its key");
    assert_eq!(String::from_utf8_lossy(&pair.value), value);
    assert_eq!(lab.granted(pair.lease.expect("a lease")), 86_400);
    assert_eq!(
        node.text_of_subnet_env(),
        format!(
            "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET={}/24\nFLANNEL_MTU={mtu}\nFLANNEL_IPMASQ={masquerade}\n",
            node.gateway()
        )
    );
}

/// Waits for the kernel's one route into the peer's subnet.
fn route_to_peer(lab: &Lab) -> Value {
    let show = "ip -j route show 10.5.200.0/24";
    crate::lab::soon("a route", || {
        lab.list(ONE, show).pop().ok_or_else(|| "none".to_owned())
    })
}

#[test]
fn vxlan() {
    let lab = Lab::new(1, &config(r#"{"Type":"vxlan"}"#));
    let one = lab.agent(1, &["--ip-masq"]);
    one.subnet_env();
    let mac = lab.sh(ONE, "cat /sys/class/net/flannel.1/address");
    recorded(&lab, &one, &vxlan_value("10.99.0.11", &mac), 1450, true);

    lab.put(PEER, &vxlan_value("10.99.0.12", PEER_MAC));
    let route = route_to_peer(&lab);
    assert_eq!(
        some(
            &route,
            &["dst", "gateway", "dev", "flags", "metric", "scope"]
        ),
        json!({"dst": "10.5.200.0/24", "gateway": "10.5.200.0", "dev": "flannel.1",
               "flags": ["onlink"], "metric": null, "scope": null})
    );
    let neighbours = lab.list(ONE, "ip -j neigh show dev flannel.1");
    assert_eq!(
        neighbours,
        [json!({"dst": "10.5.200.0", "lladdr": PEER_MAC, "state": ["PERMANENT"]})]
    );
    let forwarding = lab.list(ONE, "bridge -j fdb show dev flannel.1");
    assert_eq!(forwarding.len(), 1, "{forwarding:?}");
    assert_eq!(
        some(&forwarding[0], &["mac", "dst", "flags", "state"]),
        json!({"mac": PEER_MAC, "dst": "10.99.0.12", "flags": ["self"], "state": "permanent"})
    );
    vxlan_device(&lab, &one, &mac);
}

fn vxlan_device(lab: &Lab, one: &Node<'_>, mac: &str) {
    let device = &lab.list(ONE, "ip -j -d addr show dev flannel.1")[0];
    assert_eq!(
        (&device["mtu"], &device["address"]),
        (&json!(1450), &json!(mac))
    );
    let addresses = device["addr_info"].as_array().expect("a list");
    let v4 = addresses
        .iter()
        .filter(|address| address["family"] == "inet");
    let v4: Vec<Value> = v4
        .map(|address| some(address, &["local", "prefixlen"]))
        .collect();
    let network = one.subnet().replace("/24", "");
    assert_eq!(v4, [json!({"local": network, "prefixlen": 32})]);
    let flags = device["flags"].as_array().expect("a list");
    assert!(flags.contains(&json!("UP")), "{flags:?}");
    let info = &device["linkinfo"];
    assert_eq!(info["info_kind"], "vxlan");
    let names = [
        "id",
        "local",
        "link",
        "port",
        "learning",
        "proxy",
        "rsc",
        "l2miss",
        "l3miss",
        "ttl",
        "ageing",
        "udp_csum",
        "udp_zero_csum6_tx",
        "udp_zero_csum6_rx",
        "group",
        "gbp",
    ];
    assert_eq!(
        some(&info["info_data"], &names),
        json!({"id": 1, "local": "10.99.0.11", "link": "eth0", "port": 8472, "learning": false,
               "proxy": null, "rsc": null, "l2miss": null, "l3miss": null, "ttl": 0, "ageing": 300,
               "udp_csum": true, "udp_zero_csum6_tx": false, "udp_zero_csum6_rx": false,
               "group": null, "gbp": null})
    );
    // A MAC address of its own making, for one device.
    let first = u8::from_str_radix(&mac[..2], 16).expect("hexadecimal");
    assert_eq!(first & 3, 2, "{mac}");
    assert_eq!(
        lab.sh(ONE, "cat /proc/sys/net/ipv6/conf/flannel.1/accept_ra"),
        "0"
    );
}

#[test]
fn vxlan_with_every_option() {
    let backend = r#"{"Type":"VXLAN","VNI":77,"Port":4789,"GBP":true,"Learning":true}"#;
    let lab = Lab::new(
        2,
        &format!(r#"{{"Network":"10.5.0.0/16","SubnetLen":26,"Backend":{backend}}}"#),
    );
    let (one, two) = (lab.agent(1, &[]), lab.agent(2, &[]));
    for node in [&one, &two] {
        assert!(node.subnet().ends_with("/26"));
        node.bridge();
    }
    reach(&one, &two, 1450);
    let mac = lab.sh(ONE, "cat /sys/class/net/flannel.77/address");
    let expected = vxlan_value("10.99.0.11", &mac).replace(r#""VNI":1"#, r#""VNI":77"#);
    assert_eq!(lab.value(&one.key()), expected);
    let device = &lab.list(ONE, "ip -j -d link show flannel.77")[0];
    assert_eq!(
        some(
            &device["linkinfo"]["info_data"],
            &["id", "port", "learning", "gbp"]
        ),
        json!({"id": 77, "port": 4789, "learning": true, "gbp": true})
    );
}

#[test]
fn vxlan_with_direct_routing() {
    let lab = Lab::new(2, &config(r#"{"Type":"vxlan","DirectRouting":true}"#));
    let (one, two) = (lab.agent(1, &[]), lab.agent(2, &[]));
    for node in [&one, &two] {
        node.bridge();
    }
    reach(&one, &two, 1450);
    let mac = lab.sh(ONE, "cat /sys/class/net/flannel.1/address");
    assert_eq!(lab.value(&one.key()), vxlan_value("10.99.0.11", &mac));
    let subnet = two.subnet();
    lab.becomes(
        ONE,
        &format!("ip route show {subnet}"),
        &format!("{subnet} via 10.99.0.12 dev eth0"),
    );
    lab.becomes(
        ONE,
        "bridge fdb show dev flannel.1; ip neigh show dev flannel.1",
        "",
    );
}

#[test]
fn host_gw() {
    let lab = Lab::new(2, &config(r#"{"Type":"host-gw"}"#));
    let (one, two) = (lab.agent(1, &[]), lab.agent(2, &[]));
    for node in [&one, &two] {
        node.bridge();
    }
    reach(&one, &two, 1500);
    let value = r#"{"PublicIP":"10.99.0.11","PublicIPv6":null,"BackendType":"host-gw"}"#;
    recorded(&lab, &one, value, 1500, false);
    lab.put(PEER, &value.replace("10.99.0.11", "10.99.0.12"));
    let route = route_to_peer(&lab);
    assert_eq!(
        some(
            &route,
            &[
                "dst", "gateway", "dev", "flags", "metric", "scope", "protocol"
            ]
        ),
        json!({"dst": "10.5.200.0/24", "gateway": "10.99.0.12", "dev": "eth0", "flags": [],
               "metric": null, "scope": null, "protocol": null})
    );
}

#[test]
fn udp() {
    // Without a word of the backend, as with Flannel.
    let lab = Lab::new(2, r#"{"Network":"10.5.0.0/16"}"#);
    let (one, two) = (lab.agent(1, &[]), lab.agent(2, &[]));
    for node in [&one, &two] {
        node.bridge();
    }
    reach(&one, &two, 1472);
    recorded(
        &lab,
        &one,
        r#"{"PublicIP":"10.99.0.11","PublicIPv6":null}"#,
        1472,
        false,
    );
    let device = &lab.list(ONE, "ip -j -d addr show dev flannel0")[0];
    let info = &device["linkinfo"];
    assert_eq!(
        (
            &device["mtu"],
            &info["info_kind"],
            &info["info_data"]["type"]
        ),
        (&json!(1472), &json!("tun"), &json!("tun"))
    );
    assert_eq!(
        (&info["info_data"]["pi"], &info["info_data"]["persist"]),
        (&json!(false), &json!(false))
    );
    let network = one.subnet().replace("/24", "");
    assert_eq!(
        some(&device["addr_info"][0], &["local", "prefixlen"]),
        json!({"local": network, "prefixlen": 32})
    );
    let routes = lab.list(ONE, "ip -j route show 10.5.0.0/16");
    assert_eq!(
        some(&routes[0], &["dst", "dev", "gateway", "scope"]),
        json!({"dst": "10.5.0.0/16", "dev": "flannel0", "gateway": null, "scope": null})
    );
    let pods = [(1, &one), (2, &two)].map(|(number, node)| lab.pod(number, &node.gateway(), 1472));
    assert_eq!(pods[0].pings(&pods[1].address.to_string(), 1472), 60);
}

#[test]
fn wireguard() {
    let lab = Lab::new(
        2,
        &config(r#"{"Type":"wireguard","PersistentKeepaliveInterval":25}"#),
    );
    let (one, two) = (lab.agent(1, &[]), lab.agent(2, &[]));
    for node in [&one, &two] {
        node.bridge();
    }
    reach(&one, &two, 1420);
    let key = lab.value(&one.key());
    let key = key
        .split('"')
        .find(|word| word.len() == 44)
        .expect("a public key");
    let value = format!(
        r#"{{"PublicIP":"10.99.0.11","PublicIPv6":null,"BackendType":"wireguard","BackendData":{{"PublicKey":"{key}","Port":51820}}}}"#
    );
    recorded(&lab, &one, &value, 1420, false);
    let device = &lab.list(ONE, "ip -j addr show dev flannel-wg")[0];
    let network = one.subnet().replace("/24", "");
    assert_eq!(
        (
            &device["mtu"],
            some(&device["addr_info"][0], &["local", "prefixlen"])
        ),
        (&json!(1420), json!({"local": network, "prefixlen": 32}))
    );
    let routes = lab.list(ONE, "ip -j route show 10.5.0.0/16");
    assert_eq!(
        some(&routes[0], &["dev", "scope"]),
        json!({"dev": "flannel-wg", "scope": "link"})
    );
}

#[test]
fn alloc_has_a_lease_and_nothing_else() {
    let lab = Lab::new(1, &config(r#"{"Type":"alloc"}"#));
    lab.put(PEER, r#"{"PublicIP":"10.99.0.12"}"#);
    let one = lab.agent(1, &[]);
    one.knows(1);
    recorded(
        &lab,
        &one,
        r#"{"PublicIP":"10.99.0.11","PublicIPv6":null}"#,
        1500,
        false,
    );
    assert_eq!(lab.sh(ONE, "ip route show root 10.5.0.0/16"), "");
    let links = lab.list(ONE, "ip -j link");
    let names: Vec<&Value> = links.iter().map(|link| &link["ifname"]).collect();
    assert_eq!(names, ["lo", "eth0"]);
}
