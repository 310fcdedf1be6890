//! The further lines of a guest's `/etc/hosts`, as far as its networks decide them.

use std::net::IpAddr;

use ignite_api::{ExtraHost, HostAddress};
use ignite_wire::guest::{Host, Route};

use super::Error;
use super::attached::Attached;

/// A line for each address, with all names it has, in the order they were given.
pub fn lines(hosts: &[ExtraHost], attached: &[Attached]) -> Result<Vec<Host>, Error> {
    let mut lines: Vec<Host> = Vec::new();
    for host in hosts {
        let address = match host.address {
            HostAddress::At(address) => address,
            HostAddress::Gateway => gateway(attached).ok_or_else(|| Error::NoGateway {
                host: host.name.to_string(),
            })?,
        };
        let name = host.name.to_string();
        match lines.iter_mut().find(|line| line.address == address) {
            Some(line) if line.names.contains(&name) => {}
            Some(line) => line.names.push(name),
            None => lines.push(Host {
                address,
                names: vec![name],
            }),
        }
    }
    Ok(lines)
}

/// Where the VM's first default route leads; that of IPv4, where there are both.
fn gateway(attached: &[Attached]) -> Option<IpAddr> {
    let is_default = |route: &&Route| route.destination.prefix_len() == 0 && route.table.is_none();
    let routes = attached.iter().flat_map(|one| &one.routes);
    let gateways = routes
        .filter(is_default)
        .filter_map(|route| route.gateway)
        .collect::<Vec<_>>();
    let ipv4 = gateways.iter().find(|gateway| gateway.is_ipv4());
    ipv4.or(gateways.first()).copied()
}

#[cfg(test)]
mod tests {
    use ignite_wire::guest::Dns;

    use super::*;

    fn attached(routes: &[(&str, Option<&str>)]) -> Attached {
        let route = |(destination, gateway): &(&str, Option<&str>)| {
            let gateway = gateway.map(|it| it.parse().expect("an address"));
            Route::new(destination.parse().expect("a network"), gateway)
        };
        Attached {
            network: "net".into(),
            interface: "eth0".into(),
            mac: "02:00:00:00:00:01".into(),
            mtu: 1500,
            addresses: vec![],
            allow: vec![],
            routes: routes.iter().map(route).collect(),
            yields: vec![],
            dns: Dns::default(),
        }
    }

    fn shown(hosts: &[&str], attached: &[Attached]) -> Option<Vec<String>> {
        let hosts: Vec<ExtraHost> = hosts
            .iter()
            .map(|host| host.parse().expect("a host"))
            .collect();
        let lines = lines(&hosts, attached).ok()?;
        let line = |line: &Host| format!("{} {}", line.address, line.names.join(" "));
        Some(lines.iter().map(line).collect())
    }

    #[test]
    fn names_of_one_address_are_one_line() {
        let hosts = [
            "db:10.0.0.7",
            "six:fd00::7",
            "cache:10.0.0.7",
            "db:10.0.0.7",
        ];
        let expected = ["10.0.0.7 db cache", "fd00::7 six"].map(String::from);
        assert_eq!(shown(&hosts, &[]), Some(expected.to_vec()));
    }

    #[test]
    fn the_gateway_is_that_of_the_first_default_route() {
        let first = attached(&[("10.9.0.0/16", Some("10.9.0.1")), ("::/0", Some("fd00::1"))]);
        let of = |all: &[Attached]| shown(&["gate:host-gateway"], all);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[attached(&[("0.0.0.0/0", None)])]), None);
        assert_eq!(
            of(std::slice::from_ref(&first)),
            Some(vec!["fd00::1 gate".to_owned()])
        );
        let both = [first, attached(&[("0.0.0.0/0", Some("10.61.0.1"))])];
        assert_eq!(of(&both), Some(vec!["10.61.0.1 gate".to_owned()]));
    }
}
