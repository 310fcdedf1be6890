//! Plans as values.

use super::*;
use crate::backend::testing::{lease, node, vxlan_lease};

const DEVICES: Devices = Devices {
    v4: Device {
        index: 7,
        mac: [2, 0, 0, 0, 0, 1],
    },
    v6: None,
};

const MAC: &str = "72:c6:af:94:21:bc";

fn steps(leases: &[Lease], direct: bool) -> (Vec<String>, Vec<String>) {
    let (desired, errors) = plan(&node(), &DEVICES, leases.iter(), |_| direct);
    let changes = desired.values().flat_map(Entry::changes);
    let reason = |error: &Error| std::error::Error::source(error).map(ToString::to_string);
    (
        changes.map(|change| change.to_string()).collect(),
        errors.iter().filter_map(reason).collect(),
    )
}

#[test]
fn a_peer_is_a_neighbour_a_forwarding_entry_and_a_route() {
    let leases = [
        vxlan_lease("10.5.5.0/24", "10.99.0.12", MAC),
        vxlan_lease("10.5.9.0/24", "10.99.0.11", "02:00:00:00:00:01"),
        lease("10.5.6.0/24", "10.99.0.13", Some("host-gw")),
        lease("10.5.8.0/24", "10.99.0.13", Some("VXLAN")),
    ];
    let (changes, errors) = steps(&leases, false);
    assert_eq!(
        changes,
        [
            "set the neighbour 10.5.5.0 at 72:c6:af:94:21:bc",
            "forward 72:c6:af:94:21:bc to 10.99.0.12",
            "set the route 10.5.5.0/24 via 10.5.5.0",
        ]
    );
    assert!(errors.is_empty());
    let (desired, _) = plan(&node(), &DEVICES, leases.iter(), |_| false);
    let route = &desired.values().next().expect("one").route;
    assert_eq!((route.index, route.onlink), (Some(7), true));
}

#[test]
fn a_peer_without_a_gateway_between_may_do_without_the_tunnel() {
    let leases = [vxlan_lease("10.5.5.0/24", "10.99.0.12", MAC)];
    let (changes, _) = steps(&leases, true);
    assert_eq!(changes, ["set the route 10.5.5.0/24 via 10.99.0.12"]);
}

#[test]
fn a_lease_without_data_or_with_our_mac_is_not_used() {
    let leases = [
        lease("10.5.5.0/24", "10.99.0.12", Some(TYPE)),
        vxlan_lease("10.5.6.0/24", "10.99.0.13", "ff:ff:ff:ff:ff:ff"),
        vxlan_lease("10.5.7.0/24", "10.99.0.14", "02:00:00:00:00:01"),
    ];
    let (changes, errors) = steps(&leases, false);
    assert!(changes.is_empty());
    assert_eq!(
        errors,
        [
            "its backend's data is missing or cannot be read",
            "its backend's data is missing or cannot be read",
            "its MAC address is that of this node's device",
        ]
    );
}

#[test]
fn both_families_of_a_peer_stand_alone() {
    let mut lease = vxlan_lease("10.5.5.0/24", "10.99.0.12", MAC);
    lease.subnet.v6 = Some("fd00:5:0:59::/64".parse().expect("a network"));
    lease.attributes.public_ipv6 = Some("fd99::12".parse().expect("an address"));
    lease.attributes.v6_data = Some(serde_json::json!({"VtepMAC": "5a:58:da:45:fb:68"}));
    let devices = Devices {
        v6: Some(Device {
            index: 8,
            mac: [2, 0, 0, 0, 0, 2],
        }),
        ..DEVICES
    };
    let mut node = node();
    node.networks
        .push("fd00:5::/48".parse().expect("a network"));
    let (desired, errors) = plan(&node, &devices, std::iter::once(&lease), |_| false);
    assert!(errors.is_empty());
    let changes: Vec<String> = (desired.values().skip(1))
        .flat_map(Entry::changes)
        .map(|change| change.to_string())
        .collect();
    assert_eq!(
        changes,
        [
            "set the neighbour fd00:5:0:59:: at 5a:58:da:45:fb:68",
            "forward 5a:58:da:45:fb:68 to fd99::12",
            "set the route fd00:5:0:59::/64 via fd00:5:0:59::",
        ]
    );
    // A lying IPv4 half does not take the other along.
    lease.attributes.public_ip = std::net::Ipv4Addr::LOCALHOST;
    let (desired, errors) = plan(&node, &devices, std::iter::once(&lease), |_| false);
    assert_eq!((desired.len(), errors.len()), (1, 1));
}

#[test]
fn room_for_the_headers_is_needed() {
    assert_eq!(less(1500, OVERHEAD).expect("enough"), 1450);
    assert!(less(117, OVERHEAD).is_err() && less(20, OVERHEAD).is_err());
}
