//! What the interfaces of one VM are to each other.
//!
//! * The first interface that leads to a destination leads there; another that does so too gets a
//!   larger metric, and does not name that route by DHCP. So the default route is the first
//!   interface's that has one, for each address family.
//! * Interfaces on one network may send from each other's addresses: the kernel answers through the
//!   first of them, whichever was asked.
//! * Name servers are asked in the order of the interfaces.

use ignite_wire::guest::{Dns, Route};
use ipnet::IpNet;

use super::attached::Attached;

/// Between the metrics of two interfaces that lead to the same destination.
const METRIC_STEP: u32 = 100;

/// What the kernel takes for an IPv6 route without a metric (`IP6_RT_PRIO_USER`).
const IPV6_METRIC: u32 = 1024;

/// Settles what one interface leaves to another.
pub fn settle(attached: &mut [Attached]) {
    for index in 1..attached.len() {
        let (former, rest) = attached.split_at_mut(index);
        give_way(former, &mut rest[0]);
    }
    share(attached);
}

/// Metrics of the routes that an earlier interface has too.
fn give_way(former: &[Attached], later: &mut Attached) {
    for route in &mut later.routes {
        let largest = former
            .iter()
            .flat_map(|attached| &attached.routes)
            .filter(|other| other.destination == route.destination && other.table == route.table)
            .map(metric)
            .max();
        let Some(largest) = largest else { continue };
        if metric(route) <= largest {
            route.metric = Some(largest.saturating_add(METRIC_STEP));
        }
        later.yields.push(route.destination);
    }
}

fn metric(route: &Route) -> u32 {
    let default = match route.destination {
        IpNet::V4(_) => 0,
        IpNet::V6(_) => IPV6_METRIC,
    };
    route.metric.unwrap_or(default)
}

/// Addresses of a VM's other interfaces on the same network are its own.
fn share(attached: &mut [Attached]) {
    let all: Vec<(String, Vec<IpNet>)> = attached
        .iter()
        .map(|attached| (attached.network.clone(), attached.addresses.clone()))
        .collect();
    for (index, one) in attached.iter_mut().enumerate() {
        let others = all
            .iter()
            .enumerate()
            .filter(|(other, (network, _))| *other != index && *network == one.network)
            .flat_map(|(_, (_, addresses))| addresses)
            .map(|address| IpNet::from(address.addr()));
        one.allow.extend(others);
    }
}

/// What all networks say about names, each thing once.
pub fn names(attached: &[Attached]) -> Dns {
    let mut names = Dns::default();
    for dns in attached.iter().map(|attached| &attached.dns) {
        add(&mut names.servers, &dns.servers);
        add(&mut names.search, &dns.search);
        add(&mut names.options, &dns.options);
    }
    names
}

fn add<T: Clone + PartialEq>(all: &mut Vec<T>, more: &[T]) {
    for one in more {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached(network: &str, address: &str, routes: &[(&str, Option<u32>)]) -> Attached {
        Attached {
            network: network.into(),
            interface: "eth0".into(),
            mac: "02:00:00:00:00:01".into(),
            mtu: 1500,
            addresses: vec![address.parse().expect("a network")],
            allow: vec![],
            routes: routes
                .iter()
                .map(|(destination, metric)| Route {
                    metric: *metric,
                    ..Route::new(destination.parse().expect("a network"), None)
                })
                .collect(),
            yields: vec![],
            dns: Dns::default(),
        }
    }

    #[test]
    fn the_first_default_route_is_the_default_route() {
        let mut all = [
            attached("a", "10.0.0.2/24", &[("10.9.0.0/16", None)]),
            attached("b", "10.1.0.2/24", &[("0.0.0.0/0", None), ("::/0", None)]),
            attached("c", "10.2.0.2/24", &[("0.0.0.0/0", None), ("::/0", None)]),
            attached(
                "d",
                "10.3.0.2/24",
                &[("0.0.0.0/0", Some(7)), ("::/0", Some(5000))],
            ),
        ];
        settle(&mut all);
        let metrics: Vec<Vec<_>> = all
            .iter()
            .map(|one| one.routes.iter().map(|route| route.metric).collect())
            .collect();
        assert_eq!(
            metrics,
            [
                vec![None],
                vec![None, None],
                vec![Some(100), Some(1124)],
                vec![Some(200), Some(5000)]
            ]
        );
        assert!(all[1].yields.is_empty());
        assert_eq!(all[2].yields.len(), 2);
    }

    #[test]
    fn a_route_in_another_table_is_another_route() {
        let mut all = [
            attached("a", "10.0.0.2/24", &[("0.0.0.0/0", None)]),
            attached("b", "10.1.0.2/24", &[("0.0.0.0/0", None)]),
        ];
        all[1].routes[0].table = Some(100);
        settle(&mut all);
        assert_eq!(all[1].routes[0].metric, None);
    }

    #[test]
    fn interfaces_on_one_network_share_their_addresses() {
        let mut all = [
            attached("a", "10.0.0.2/24", &[]),
            attached("b", "10.1.0.2/24", &[]),
            attached("a", "10.0.0.3/24", &[]),
        ];
        settle(&mut all);
        let allow = |index: usize| -> Vec<String> {
            all[index].allow.iter().map(ToString::to_string).collect()
        };
        assert_eq!(allow(0), ["10.0.0.3/32"]);
        assert!(allow(1).is_empty());
        assert_eq!(allow(2), ["10.0.0.2/32"]);
    }

    #[test]
    fn names_of_all_networks() {
        let mut all = [
            attached("a", "10.0.0.2/24", &[]),
            attached("b", "10.1.0.2/24", &[]),
        ];
        let server = |text: &str| text.parse().expect("an address");
        all[0].dns.servers = vec![server("10.0.0.1")];
        all[1].dns.servers = vec![server("fd00::1"), server("10.0.0.1")];
        all[1].dns.search = vec!["b.example".into()];
        let names = names(&all);
        assert_eq!(names.servers, [server("10.0.0.1"), server("fd00::1")]);
        assert_eq!(names.search, ["b.example"]);
    }
}
