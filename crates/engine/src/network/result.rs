//! A CNI result in the guest's terms.

use std::net::IpAddr;

use ignite_cni::NetworkResult;
use ignite_cni::result::{IpConfig, Route as CniRoute};
use ignite_wire::guest::{Dns, Route};
use ipnet::IpNet;

/// Routing table 0: none is named.
const TABLE_UNSPEC: u32 = 0;
/// The main routing table.
const TABLE_MAIN: u32 = 254;
/// The kernel's own table of local addresses.
const TABLE_LOCAL: u32 = 255;
/// Scope of a destination on the link itself.
const SCOPE_LINK: u32 = 253;

/// What a result says about one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    /// Addresses with their prefix length.
    pub addresses: Vec<IpNet>,
    /// Routes, next hops filled in.
    pub routes: Vec<Route>,
    /// Name servers and search list.
    pub dns: Dns,
}

/// What a guest cannot do, though each part of the result is well formed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lie {
    /// A next hop nobody could reach.
    #[error("the route to {destination} leads through {gateway}, which none of its addresses {} reaches", super::list(.addresses))]
    Unreachable {
        /// Destination of the route.
        destination: IpNet,
        /// Its next hop.
        gateway: IpAddr,
        /// The interface's addresses of that family.
        addresses: Vec<IpNet>,
    },
    /// A next hop that is the guest itself.
    #[error("the route to {destination} leads through {gateway}, the interface's own address")]
    OwnGateway {
        /// Destination of the route.
        destination: IpNet,
        /// Its next hop.
        gateway: IpAddr,
    },
    /// Two addresses that are one.
    #[error("it gives the address {address} twice, with different prefix lengths")]
    TwoPrefixes {
        /// The address.
        address: IpAddr,
    },
    /// A table that is the kernel's own.
    #[error("the route to {destination} is for the kernel's own table of local addresses")]
    LocalTable {
        /// Destination of the route.
        destination: IpNet,
    },
}

/// Reads what `result` says about the interface `ifname`.
pub fn translate(result: &NetworkResult, ifname: &str) -> Result<Translated, Lie> {
    let ips = result.addresses_of(ifname);
    let addresses: Vec<IpNet> = ips.iter().map(|ip| ip.address).collect();
    check_addresses(&addresses)?;
    let mut routes: Vec<Route> = Vec::new();
    for route in &result.routes {
        let route = translate_route(route, &ips)?;
        if !routes.contains(&route) {
            routes.push(route);
        }
    }
    for route in &routes {
        check_gateway(route, &addresses, &routes)?;
    }
    Ok(Translated {
        addresses,
        routes,
        dns: translate_dns(&result.dns),
    })
}

fn check_addresses(addresses: &[IpNet]) -> Result<(), Lie> {
    for (index, address) in addresses.iter().enumerate() {
        let same = |other: &IpNet| other.addr() == address.addr();
        if addresses[..index].iter().any(same) {
            return Err(Lie::TwoPrefixes {
                address: address.addr(),
            });
        }
    }
    Ok(())
}

/// A next hop must be reached on the link: by the prefix of an address, or a route to the link. What
/// has the prefix of a host reaches its gateway by none, and is given a route to it; so is a
/// link-local gateway.
fn check_gateway(route: &Route, addresses: &[IpNet], routes: &[Route]) -> Result<(), Lie> {
    let (destination, Some(gateway)) = (route.destination, route.gateway) else {
        return Ok(());
    };
    if addresses.iter().any(|address| address.addr() == gateway) {
        return Err(Lie::OwnGateway {
            destination,
            gateway,
        });
    }
    let family: Vec<IpNet> = addresses
        .iter()
        .copied()
        .filter(|address| address.addr().is_ipv4() == gateway.is_ipv4())
        .collect();
    let by_address = |address: &IpNet| {
        address.contains(&gateway) || address.prefix_len() == address.max_prefix_len()
    };
    let by_route = |route: &Route| route.gateway.is_none() && route.destination.contains(&gateway);
    // Without addresses of its own, the guest gives itself some that nobody here knows.
    let reachable = addresses.is_empty()
        || is_link_local(gateway)
        || family.iter().any(by_address)
        || routes.iter().any(by_route);
    if reachable {
        return Ok(());
    }
    Err(Lie::Unreachable {
        destination,
        gateway,
        addresses: family,
    })
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// A route without a next hop of its own goes by the first gateway of its family, as the reference
/// plugins configure it in a container; without either the destination is on the link. So it is
/// where the result says so: by its scope, or by the unspecified address as the next hop.
fn translate_route(route: &CniRoute, ips: &[&IpConfig]) -> Result<Route, Lie> {
    let family = |address: &IpAddr| address.is_ipv4() == route.dst.addr().is_ipv4();
    let first = || ips.iter().filter_map(|ip| ip.gateway).find(family);
    let gateway = match route.gw {
        Some(gateway) => Some(gateway).filter(|gateway| !gateway.is_unspecified()),
        None if route.scope == Some(SCOPE_LINK) => None,
        None => first(),
    };
    let table = match route.table {
        None | Some(TABLE_UNSPEC | TABLE_MAIN) => None,
        Some(TABLE_LOCAL) => {
            return Err(Lie::LocalTable {
                destination: route.dst,
            });
        }
        other => other,
    };
    Ok(Route {
        metric: route.priority,
        mtu: route.mtu,
        advmss: route.advmss,
        table,
        ..Route::new(route.dst.trunc(), gateway)
    })
}

fn translate_dns(dns: &ignite_cni::result::Dns) -> Dns {
    let mut search = dns.search.clone();
    if search.is_empty() {
        search.extend(dns.domain.clone());
    }
    Dns {
        servers: dns
            .nameservers
            .iter()
            .filter_map(|s| s.parse().ok())
            .collect(),
        search,
        options: dns.options.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(value: serde_json::Value) -> NetworkResult {
        let serde_json::Value::Object(object) = value else {
            panic!("an object");
        };
        NetworkResult::decode(&object).expect("a result")
    }

    #[test]
    fn the_default_network() {
        let result = result(json!({
            "cniVersion": "0.4.0",
            "interfaces": [
                {"name": "ignite0", "mac": "fa:00:00:00:00:01"},
                {"name": "veth1", "mac": "fa:00:00:00:00:02"},
                {"name": "eth0", "mac": "02:00:00:00:00:03", "sandbox": "/run/netns/x"}
            ],
            "ips": [{"version": "4", "interface": 2, "address": "10.61.0.2/16", "gateway": "10.61.0.1"}],
            "routes": [{"dst": "0.0.0.0/0", "gw": "10.61.0.1"}],
            "dns": {"domain": "a.example", "nameservers": ["10.61.0.1", "nonsense"]}
        }));
        let translated = translate(&result, "eth0").expect("sane");
        assert_eq!(
            translated.addresses,
            ["10.61.0.2/16".parse().expect("a network")]
        );
        assert_eq!(
            translated.routes[0].gateway,
            Some("10.61.0.1".parse().expect("an address"))
        );
        assert_eq!(translated.dns.servers.len(), 1);
        assert_eq!(translated.dns.search, ["a.example"]);
    }

    #[test]
    fn a_route_borrows_the_gateway_of_its_family() {
        let result = result(json!({
            "cniVersion": "1.0.0",
            "ips": [
                {"address": "10.1.0.2/24", "gateway": "10.1.0.1"},
                {"address": "fd00::2/64"}
            ],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "fd01::/64"}, {"dst": "10.9.0.0/16", "gw": "10.1.0.9"}]
        }));
        let gateways: Vec<_> = translate(&result, "eth0")
            .expect("sane")
            .routes
            .into_iter()
            .map(|route| route.gateway.map(|g| g.to_string()))
            .collect();
        assert_eq!(
            gateways,
            [Some("10.1.0.1".into()), None, Some("10.1.0.9".into())]
        );
    }

    #[test]
    fn everything_the_newest_version_says_of_a_route() {
        let result = result(json!({
            "cniVersion": "1.1.0",
            "ips": [{"address": "10.1.0.2/24", "gateway": "10.1.0.1"}],
            "routes": [
                {"dst": "10.2.0.0/16", "mtu": 1400, "advmss": 1360, "priority": 50, "table": 100},
                {"dst": "10.3.0.0/16", "scope": 253, "table": 254},
                {"dst": "10.4.0.0/16", "gw": "0.0.0.0", "table": 0},
                {"dst": "10.4.0.0/16", "gw": "0.0.0.0"},
            ]
        }));
        let route = |destination: &str, gateway: Option<&str>| {
            let gateway = gateway.map(|gateway| gateway.parse().expect("an address"));
            Route::new(destination.parse().expect("a network"), gateway)
        };
        let full = Route {
            mtu: Some(1400),
            advmss: Some(1360),
            metric: Some(50),
            table: Some(100),
            ..route("10.2.0.0/16", Some("10.1.0.1"))
        };
        assert_eq!(
            translate(&result, "eth0").expect("sane").routes,
            [full, route("10.3.0.0/16", None), route("10.4.0.0/16", None)]
        );
    }

    #[test]
    fn lies() {
        let with = |ips: &[&str], route: serde_json::Value| {
            let ips: Vec<_> = ips.iter().map(|ip| json!({"address": ip})).collect();
            let result = result(json!({"cniVersion": "1.1.0", "ips": ips, "routes": [route]}));
            translate(&result, "eth0").map(drop)
        };
        let through = |gateway: &str| json!({"dst": "0.0.0.0/0", "gw": gateway});
        assert!(matches!(
            with(&["10.1.0.2/24"], through("192.168.9.1")),
            Err(Lie::Unreachable { .. })
        ));
        assert!(matches!(
            with(&["fd00::2/64"], through("192.168.9.1")),
            Err(Lie::Unreachable { .. })
        ));
        assert!(matches!(
            with(&["10.1.0.2/24"], through("10.1.0.2")),
            Err(Lie::OwnGateway { .. })
        ));
        assert!(matches!(
            with(&["10.1.0.2/24", "10.1.0.2/16"], through("10.1.0.1")),
            Err(Lie::TwoPrefixes { .. })
        ));
        let local = json!({"dst": "10.9.0.0/16", "table": 255});
        assert!(matches!(
            with(&["10.1.0.2/24"], local),
            Err(Lie::LocalTable { .. })
        ));
        for (ips, gateway) in [
            (&["10.1.0.2/32"][..], "10.9.9.9"),
            (&["10.1.0.2/24"], "169.254.1.1"),
            (&["fd00::2/64", "10.1.0.2/24"], "10.1.0.1"),
            (&[], "10.1.0.1"),
        ] {
            assert_eq!(with(ips, through(gateway)), Ok(()), "{ips:?} {gateway}");
        }
    }
}
