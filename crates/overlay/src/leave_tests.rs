//! In a namespace of each test's own: what is ours goes, and what looks like it stays.

use ignite_host::netns::Namespace;

use super::*;
use crate::subnet_env::Half;

fn net<N: std::str::FromStr<Err = ipnet::AddrParseError>>(text: &str) -> N {
    text.parse().expect("a network")
}

fn config() -> Config {
    Config::parse(br#"{"Network":"10.5.0.0/16","Backend":{"Type":"host-gw"}}"#).expect("valid")
}

/// Of a node with 10.5.9.0/24.
fn file() -> SubnetEnv {
    SubnetEnv {
        ipv4: Some(Half {
            networks: vec![net("10.5.0.0/16")],
            subnet: net("10.5.9.0/24"),
        }),
        ipv6: None,
        mtu: 1500,
        ip_masq: false,
    }
}

#[test]
fn a_bridge_goes_if_it_has_our_gateway_s_address_and_no_port() {
    let bridge_stays = |address: &'static str, file: Option<SubnetEnv>, port: bool| {
        let work = move || {
            let netlink = Netlink::open().expect("netlink");
            let index = netlink.create_bridge("cni0").expect("a bridge");
            netlink.add_address(index, net(address)).expect("address");
            if port {
                let port = netlink.create_veth("v", "w", None).expect("a veth");
                netlink.set_master(port, Some(index)).expect("a port");
            }
            let (_, errors) = take_away(&config(), file.as_ref(), "cni0");
            assert!(errors.is_empty(), "{errors:?}");
            netlink.link("cni0").expect("look").is_some()
        };
        let namespace = Namespace::anonymous().expect("namespace");
        namespace.run(work).expect("enter")
    };
    assert!(!bridge_stays("10.5.9.1/24", Some(file()), false));
    assert!(bridge_stays("10.5.9.1/24", Some(file()), true));
    assert!(bridge_stays("10.22.0.1/16", Some(file()), false));
    assert!(bridge_stays("10.5.9.1/24", None, false));
}

#[test]
fn routes_with_a_metric_are_an_administrator_s() {
    let work = || {
        let netlink = Netlink::open().expect("netlink");
        let index = netlink.create_veth("eth0", "peer", None).expect("a veth");
        for link in ["eth0", "peer"] {
            let link = netlink.link(link).expect("look").expect("there");
            netlink.set_up(link.index).expect("up");
        }
        netlink
            .add_address(index, net("10.99.0.11/24"))
            .expect("address");
        let route = |subnet: &str, metric| Route {
            protocol: Protocol::BOOT,
            scope: Scope::Universe,
            metric,
            ..Route::new(net(subnet), Some([10, 99, 0, 12].into()), index)
        };
        for (subnet, metric) in [("10.5.7.0/24", None), ("10.5.8.0/24", Some(100))] {
            netlink.add_route(&route(subnet, metric)).expect("route");
        }
        let (gone, errors) = take_away_data_plane(&config(), Some(&file()));
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(gone, ["route 10.5.7.0/24 via 10.99.0.12"]);
    };
    let namespace = Namespace::anonymous().expect("namespace");
    namespace.run(work).expect("enter");
}

#[test]
fn what_another_backend_made_is_told_from_the_same() {
    let config = |text: &str| Config::parse(text.as_bytes()).expect("valid");
    let of = |backend: &str| {
        config(&format!(
            r#"{{"Network":"10.5.0.0/16","Backend":{backend}}}"#
        ))
    };
    let vxlan = of(r#"{"Type":"vxlan"}"#);
    assert!(same_data_plane(
        &vxlan,
        &of(r#"{"Type":"vxlan","Port":4789}"#)
    ));
    for other in [
        of(r#"{"Type":"vxlan","VNI":2}"#),
        of(r#"{"Type":"wireguard"}"#),
        config(r#"{"Network":"10.6.0.0/16","Backend":{"Type":"vxlan"}}"#),
        config(r#"{"Network":"10.5.0.0/16","SubnetLen":25,"Backend":{"Type":"vxlan"}}"#),
    ] {
        assert!(!same_data_plane(&vxlan, &other), "{other:?}");
    }
    assert!(!same_data_plane(
        &of(r#"{"Type":"udp"}"#),
        &of(r#"{"Type":"host-gw"}"#)
    ));
}
