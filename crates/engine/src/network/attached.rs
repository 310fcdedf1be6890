//! What an attachment gave the VM, in the guest's terms, whatever the network plugin.

use std::net::{IpAddr, Ipv4Addr};

use ignite_wire::guest::{Dns, Interface, Route};
use ignite_wire::supervisor::{Attachment, Lease, Lease6};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// One interface of the VM, attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Name of the network.
    pub network: String,
    /// Interface, the same name in sandbox and guest.
    pub interface: String,
    /// MAC of the interface and the guest.
    pub mac: String,
    /// MTU in bytes.
    pub mtu: u32,
    /// Addresses with their prefix length.
    pub addresses: Vec<IpNet>,
    /// Further source addresses the guest may use.
    pub allow: Vec<IpNet>,
    /// Routes, next hops filled in.
    pub routes: Vec<Route>,
    /// Destinations an earlier interface leads to, with a smaller metric.
    pub yields: Vec<IpNet>,
    /// What the network says about names.
    pub dns: Dns,
}

impl Attached {
    /// The interface as the guest configures it.
    pub fn guest_interface(&self) -> Interface {
        Interface {
            name: self.interface.clone(),
            mac: self.mac.clone(),
            mtu: self.mtu,
            addresses: self.addresses.clone(),
            routes: self.routes.clone(),
            accept_ra: self.addresses.is_empty() || self.allow.iter().any(is_ipv6_prefix),
        }
    }

    /// The interface as the supervisor joins it to the guest by the tap of this `index`.
    pub fn attachment(&self, index: usize, hostname: &str, dns: &Dns) -> Attachment {
        Attachment {
            interface: self.interface.clone(),
            tap: format!("tap{index}"),
            mac: self.mac.clone(),
            mtu: self.mtu,
            addresses: self.addresses.clone(),
            allow: self.allow.clone(),
            dhcp: self.lease(hostname, dns),
            ipv6: self.lease6(dns),
            rate: None,
        }
    }

    /// The lease for a guest that asks by DHCP: the address it has already, for ever.
    fn lease(&self, hostname: &str, dns: &Dns) -> Option<Lease> {
        let net = self.addresses.iter().find_map(|address| match address {
            IpNet::V4(net) => Some(*net),
            IpNet::V6(_) => None,
        })?;
        let routes = self.ipv4_routes();
        let gateway = routes
            .iter()
            .find(|(destination, _)| destination.prefix_len() == 0)
            .map(|(_, gateway)| *gateway);
        Some(Lease {
            address: net.addr(),
            prefix: net.prefix_len(),
            server: gateway.unwrap_or_else(|| neighbour(net)),
            gateway,
            routes,
            dns: dns.servers.iter().filter_map(ipv4).collect(),
            hostname: hostname.to_owned(),
            domain: dns.search.first().cloned(),
            mtu: u16::try_from(self.mtu).unwrap_or(u16::MAX),
            lease_time: u32::MAX,
        })
    }

    /// What router advertisements and DHCPv6 tell a guest that asks: what it has already.
    fn lease6(&self, dns: &Dns) -> Option<Lease6> {
        let ipv6 = |address: &IpAddr| match address {
            IpAddr::V6(address) => Some(*address),
            IpAddr::V4(_) => None,
        };
        let addresses: Vec<_> = self.addresses.iter().filter_map(ipv6_net).collect();
        let routes = self.routes.iter().filter_map(|route| {
            let gateway = route.gateway.as_ref().and_then(ipv6);
            Some((ipv6_net(&route.destination)?, gateway))
        });
        if addresses.is_empty() {
            return None;
        }
        Some(Lease6 {
            addresses,
            routes: routes.collect(),
            dns: dns.servers.iter().filter_map(ipv6).collect(),
            search: dns.search.clone(),
            mtu: self.mtu,
        })
    }

    /// Routes as option 121 has them: a route on the link itself has the next hop 0.0.0.0. It knows
    /// neither metrics nor tables.
    fn ipv4_routes(&self) -> Vec<(Ipv4Net, Ipv4Addr)> {
        self.routes
            .iter()
            .filter(|route| route.table.is_none() && !self.yields.contains(&route.destination))
            .filter_map(|route| match (route.destination, route.gateway) {
                (IpNet::V4(net), None) => Some((net, Ipv4Addr::UNSPECIFIED)),
                (IpNet::V4(net), Some(IpAddr::V4(gateway))) => Some((net, gateway)),
                _ => None,
            })
            .collect()
    }
}

fn ipv6_net(net: &IpNet) -> Option<Ipv6Net> {
    match net {
        IpNet::V6(net) => Some(*net),
        IpNet::V4(_) => None,
    }
}

/// Whether a guest can make addresses of its own in this range, as routers tell it to (RFC 4862).
fn is_ipv6_prefix(range: &IpNet) -> bool {
    matches!(range, IpNet::V6(prefix) if prefix.prefix_len() <= 64)
}

fn ipv4(address: &IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    }
}

/// An address of the subnet that is not the guest's, for a server that nobody else can be.
fn neighbour(net: Ipv4Net) -> Ipv4Addr {
    net.hosts()
        .find(|address| *address != net.addr())
        .unwrap_or(Ipv4Addr::LOCALHOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached(routes: &[(&str, Option<&str>)]) -> Attached {
        Attached {
            network: "net".into(),
            interface: "eth0".into(),
            mac: "02:00:00:00:00:01".into(),
            mtu: 1450,
            addresses: vec!["10.61.0.7/16".parse().expect("a network")],
            allow: vec![],
            routes: routes
                .iter()
                .map(|(destination, gateway)| {
                    Route::new(
                        destination.parse().expect("a network"),
                        gateway.map(|g| g.parse().expect("an address")),
                    )
                })
                .collect(),
            yields: vec![],
            dns: Dns::default(),
        }
    }

    #[test]
    fn lease_of_the_default_network() {
        let dns = Dns {
            servers: vec![
                "10.0.0.2".parse().expect("v4"),
                "fd00::2".parse().expect("v6"),
            ],
            search: vec!["a.example".into()],
            options: vec![],
        };
        let routes = [("0.0.0.0/0", Some("10.61.0.1")), ("10.96.0.0/12", None)];
        let lease = attached(&routes).lease("box", &dns).expect("a lease");
        assert_eq!(lease.address, Ipv4Addr::new(10, 61, 0, 7));
        assert_eq!(lease.server, Ipv4Addr::new(10, 61, 0, 1));
        assert_eq!(lease.gateway, Some(lease.server));
        assert_eq!(lease.routes.len(), 2);
        assert_eq!(lease.routes[1].1, Ipv4Addr::UNSPECIFIED);
        assert_eq!(lease.dns, [Ipv4Addr::new(10, 0, 0, 2)]);
        assert_eq!(
            (lease.mtu, lease.domain.as_deref()),
            (1450, Some("a.example"))
        );
    }

    #[test]
    fn without_a_gateway_the_server_is_a_neighbour() {
        let lease = attached(&[])
            .lease("box", &Dns::default())
            .expect("a lease");
        assert_eq!(
            (lease.server, lease.gateway),
            (Ipv4Addr::new(10, 61, 0, 1), None)
        );
    }

    #[test]
    fn a_lease_names_only_the_routes_that_are_this_interfaces() {
        let mut later = attached(&[("0.0.0.0/0", Some("10.61.0.1")), ("10.96.0.0/12", None)]);
        later.yields = vec!["0.0.0.0/0".parse().expect("a network")];
        let lease = later.lease("box", &Dns::default()).expect("a lease");
        assert_eq!((lease.gateway, lease.routes.len()), (None, 1));
    }

    #[test]
    fn ipv6_is_told_by_itself() {
        let routes = [
            ("0.0.0.0/0", Some("10.61.0.1")),
            ("::/0", Some("fd00::1")),
            ("2001:db8::/32", None),
        ];
        let mut both = attached(&routes);
        assert_eq!(both.lease6(&Dns::default()), None);
        both.addresses
            .push("fd00::7/64".parse().expect("a network"));
        let lease = both.lease6(&Dns::default()).expect("a lease");
        assert_eq!(lease.addresses.len(), 1);
        let expected = [
            (
                "::/0".parse().expect("a network"),
                Some("fd00::1".parse().expect("v6")),
            ),
            ("2001:db8::/32".parse().expect("a network"), None),
        ];
        assert_eq!((lease.routes, lease.mtu), (expected.to_vec(), 1450));
    }

    #[test]
    fn routers_are_heard_where_the_guest_may_make_addresses() {
        let mut one = attached(&[]);
        assert!(!one.guest_interface().accept_ra);
        one.allow = vec!["fd00::7/128".parse().expect("a network")];
        assert!(!one.guest_interface().accept_ra);
        one.allow.push("2001:db8::/64".parse().expect("a network"));
        assert!(one.guest_interface().accept_ra);
        one.allow.clear();
        one.addresses.clear();
        assert!(one.guest_interface().accept_ra);
    }

    #[test]
    fn no_lease_without_ipv4() {
        let mut v6 = attached(&[]);
        v6.addresses = vec!["fd00::7/64".parse().expect("a network")];
        assert_eq!(v6.lease("box", &Dns::default()), None);
    }
}
