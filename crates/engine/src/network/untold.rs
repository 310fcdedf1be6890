//! What plugins did in the sandbox and do not say in their result.
//!
//! A result says which addresses and routes a network gives; what a container lives with is what the
//! plugins configured, and that can be more: `ptp` takes the subnet off the link, where nobody but the
//! host is, and routes it through the gateway; others give a lone address and set the default route
//! themselves. A guest has none of it unless it is told.

use ignite_host::link;
use ignite_wire::guest::Route;
use ipnet::{IpNet, Ipv6Net};

use super::result::Translated;

/// Metric the kernel gives an IPv6 route without one (`IP6_RT_PRIO_USER`).
const IPV6_METRIC: u32 = 1024;

/// Adds the routes of the sandbox's `interface` that the result does not have, and takes prefixes off
/// the link that are not on it.
pub fn complete(translated: &mut Translated, routes: &[link::Route], interface: u32) {
    let routes: Vec<&link::Route> = routes
        .iter()
        .filter(|route| route.index == Some(interface) && route.table == link::Route::MAIN)
        .collect();
    for route in &routes {
        let destination = route.destination;
        let connected = |address: &IpNet| address.trunc() == destination;
        let of_address = route.gateway.is_none() && translated.addresses.iter().any(connected);
        let told = translated
            .routes
            .iter()
            .any(|told| told.table.is_none() && told.destination == destination);
        if !of_address && !told && !is_link_local(destination) {
            translated.routes.push(guest_route(route));
        }
    }
    for address in &mut translated.addresses {
        let prefix = address.trunc();
        let elsewhere =
            |route: &&link::Route| route.destination == prefix && route.gateway.is_some();
        if routes.iter().any(elsewhere) {
            *address = address.addr().into();
        }
    }
}

fn guest_route(route: &link::Route) -> Route {
    let unsaid = |metric: &u32| matches!(route.destination, IpNet::V6(_)) && *metric == IPV6_METRIC;
    Route {
        metric: route.metric.filter(|metric| !unsaid(metric)),
        mtu: route.mtu,
        advmss: route.advmss,
        ..Route::new(route.destination, route.gateway)
    }
}

/// Whether every interface with IPv6 has this by itself.
fn is_link_local(destination: IpNet) -> bool {
    let all = Ipv6Net::new_assert("fe80::".parse().expect("an address"), 10);
    IpNet::from(all).contains(&destination)
}

#[cfg(test)]
mod tests {
    use ignite_wire::guest::Dns;

    use super::*;

    const ETH0: u32 = 2;

    fn net(text: &str) -> IpNet {
        text.parse().expect("a network")
    }

    fn told(addresses: &[&str], routes: &[(&str, Option<&str>)]) -> Translated {
        Translated {
            addresses: addresses.iter().copied().map(net).collect(),
            routes: routes
                .iter()
                .map(|(destination, gateway)| {
                    Route::new(
                        net(destination),
                        gateway.map(|g| g.parse().expect("an address")),
                    )
                })
                .collect(),
            dns: Dns::default(),
        }
    }

    fn made(routes: &[(&str, Option<&str>)]) -> Vec<link::Route> {
        routes
            .iter()
            .map(|(destination, gateway)| {
                let gateway = gateway.map(|g| g.parse().expect("an address"));
                link::Route::new(net(destination), gateway, ETH0)
            })
            .collect()
    }

    #[test]
    fn a_bridge_says_everything() {
        let before = told(
            &["10.61.0.2/16", "fd00::2/64"],
            &[("0.0.0.0/0", Some("10.61.0.1")), ("::/0", Some("fd00::1"))],
        );
        let sandbox = made(&[
            ("0.0.0.0/0", Some("10.61.0.1")),
            ("10.61.0.0/16", None),
            ("::/0", Some("fd00::1")),
            ("fd00::/64", None),
            ("fe80::/64", None),
        ]);
        let mut after = before.clone();
        complete(&mut after, &sandbox, ETH0);
        assert_eq!(after, before);
    }

    #[test]
    fn ptp_routes_its_subnet() {
        let mut translated = told(&["10.81.0.2/24"], &[("0.0.0.0/0", Some("10.81.0.1"))]);
        let sandbox = made(&[
            ("0.0.0.0/0", Some("10.81.0.1")),
            ("10.81.0.0/24", Some("10.81.0.1")),
            ("10.81.0.1/32", None),
        ]);
        complete(&mut translated, &sandbox, ETH0);
        let expected = told(
            &["10.81.0.2/32"],
            &[
                ("0.0.0.0/0", Some("10.81.0.1")),
                ("10.81.0.0/24", Some("10.81.0.1")),
                ("10.81.0.1/32", None),
            ],
        );
        assert_eq!(translated, expected);
    }

    #[test]
    fn a_lone_address_has_the_default_route_of_its_plugin() {
        let mut translated = told(&["192.168.7.5/32"], &[]);
        let mut sandbox = made(&[("0.0.0.0/0", Some("169.254.1.1")), ("169.254.1.1/32", None)]);
        sandbox.push(link::Route::new(net("10.0.0.0/8"), None, ETH0 + 1));
        sandbox.push(link::Route {
            table: 100,
            ..link::Route::new(net("10.9.0.0/16"), None, ETH0)
        });
        complete(&mut translated, &sandbox, ETH0);
        let expected = told(
            &["192.168.7.5/32"],
            &[("0.0.0.0/0", Some("169.254.1.1")), ("169.254.1.1/32", None)],
        );
        assert_eq!(translated, expected);
    }

    #[test]
    fn the_kernels_own_metric_is_none() {
        let mut translated = told(&["fd00::2/128"], &[]);
        let mut sandbox = made(&[("::/0", Some("fe80::1")), ("fd01::/64", Some("fe80::1"))]);
        sandbox[0].metric = Some(IPV6_METRIC);
        sandbox[1].metric = Some(7);
        complete(&mut translated, &sandbox, ETH0);
        let metrics: Vec<_> = translated.routes.iter().map(|route| route.metric).collect();
        assert_eq!(metrics, [None, Some(7)]);
    }
}
