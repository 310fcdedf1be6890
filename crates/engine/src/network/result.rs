//! A CNI result in the guest's terms.

use std::net::IpAddr;

use ignite_cni::NetworkResult;
use ignite_cni::result::{IpConfig, Route as CniRoute};
use ignite_wire::guest::{Dns, Route};
use ipnet::IpNet;

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

/// Reads what `result` says about the interface `ifname`.
pub fn translate(result: &NetworkResult, ifname: &str) -> Translated {
    let ips = result.addresses_of(ifname);
    let addresses = ips.iter().map(|ip| ip.address).collect();
    let routes = result
        .routes
        .iter()
        .filter_map(|route| translate_route(route, &ips))
        .collect();
    Translated {
        addresses,
        routes,
        dns: translate_dns(&result.dns),
    }
}

/// A route without a next hop of its own goes by the first gateway of its family, as the reference
/// plugins configure it in a container; without either the destination is on the link.
fn translate_route(route: &CniRoute, ips: &[&IpConfig]) -> Option<Route> {
    // Only the main table exists in the guest.
    if route.table.is_some_and(|table| table != 0 && table != 254) {
        return None;
    }
    let family = |address: &IpAddr| address.is_ipv4() == route.dst.addr().is_ipv4();
    let first = || ips.iter().filter_map(|ip| ip.gateway).find(family);
    Some(Route {
        destination: route.dst,
        gateway: route.gw.or_else(first),
        metric: route.priority,
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
        let translated = translate(&result, "eth0");
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
            .routes
            .into_iter()
            .map(|route| route.gateway.map(|g| g.to_string()))
            .collect();
        assert_eq!(
            gateways,
            [Some("10.1.0.1".into()), None, Some("10.1.0.9".into())]
        );
    }
}
