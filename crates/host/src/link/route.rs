//! Unicast routes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::Parseable;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric,
    RouteNextHopFlags, RouteProtocol, RouteScope, RouteType,
};

use super::{Error, NEW, Netlink};
use crate::netlink::malformed;

/// A unicast route, or one next hop of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Destination; `0.0.0.0/0` or `::/0` for the default.
    pub destination: IpNet,
    /// Next hop; none for a destination on the link itself.
    pub gateway: Option<IpAddr>,
    /// The interface it leads through; none where another namespace has it.
    pub index: Option<u32>,
    /// Its table; [`Route::MAIN`] if nothing else was said.
    pub table: u32,
    /// Its metric; the kernel's default where none.
    pub metric: Option<u32>,
    /// MTU of the path in bytes; the link's where none.
    pub mtu: Option<u32>,
    /// Maximal segment size to advertise, in bytes.
    pub advmss: Option<u32>,
    /// The next hop is taken to be on the link, whatever the link's addresses say.
    pub onlink: bool,
    /// Who made it.
    pub protocol: Protocol,
    /// How far its destination is; IPv6 knows [`Scope::Universe`] alone.
    pub scope: Scope,
}

/// Who made a route (`RTPROT_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol(pub u8);

impl Protocol {
    /// The kernel, along with an address.
    pub const KERNEL: Self = Self(2);
    /// Nobody said who: `ip route add` and Flannel.
    pub const BOOT: Self = Self(3);
    /// An administrator.
    pub const STATIC: Self = Self(4);
}

/// How far a destination is (`RT_SCOPE_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Anywhere; `global` to `ip route`.
    Universe,
    /// On the link itself.
    Link,
    /// Any other.
    Other(u8),
}

impl Route {
    /// The main table.
    pub const MAIN: u32 = 254;

    /// A route of the main table through interface `index`.
    pub fn new(destination: IpNet, gateway: Option<IpAddr>, index: u32) -> Self {
        Self {
            destination,
            gateway,
            index: Some(index),
            table: Self::MAIN,
            metric: None,
            mtu: None,
            advmss: None,
            onlink: false,
            protocol: Protocol::STATIC,
            scope: match (destination, gateway) {
                (IpNet::V4(_), None) => Scope::Link,
                _ => Scope::Universe,
            },
        }
    }
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.destination)?;
        match self.gateway {
            Some(gateway) => write!(f, " via {gateway}"),
            None => Ok(()),
        }
    }
}

impl Netlink {
    /// The unicast routes of every table, IPv4 and IPv6; one entry for every next hop.
    pub fn routes(&self) -> Result<Vec<Route>, Error> {
        let found = self
            .socket
            .dump(libc::RTM_GETROUTE, &RouteMessage::default(), |payload| {
                Ok(Some(read(payload)?))
            })
            .map_err(|refusal| Error::new("list the routes", refusal))?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Those routes of the main table that `wanted` says yes to. The kernel leaves the other tables
    /// out, where it knows how.
    pub fn main_routes(&self, wanted: impl Fn(&Route) -> bool) -> Result<Vec<Route>, Error> {
        let mut message = RouteMessage::default();
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        let wanted = |route: &Route| route.table == Route::MAIN && wanted(route);
        let read = |payload: &[u8]| {
            let routes = read(payload)?.into_iter();
            let routes: Vec<Route> = routes.filter(|route| wanted(route)).collect();
            Ok(Some(routes).filter(|routes| !routes.is_empty()))
        };
        let found = self
            .socket
            .dump(libc::RTM_GETROUTE, &message, read)
            .map_err(|refusal| Error::new("list the routes of the main table", refusal))?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Adds a route; one with the same destination, table and metric is an error ([`Error::is_exists`]).
    pub fn add_route(&self, route: &Route) -> Result<(), Error> {
        self.socket
            .change(libc::RTM_NEWROUTE, NEW, &message(route))
            .map_err(|refusal| Error::new(format!("add the route {route}"), refusal))
    }

    /// Takes a route away; one that is not there is fine.
    pub fn delete_route(&self, route: &Route) -> Result<(), Error> {
        match self.socket.change(libc::RTM_DELROUTE, 0, &message(route)) {
            Err(refusal) if refusal.errno() == Some(libc::ESRCH) => Ok(()),
            result => {
                result.map_err(|refusal| Error::new(format!("delete the route {route}"), refusal))
            }
        }
    }
}

pub(super) fn message(route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    let destination = route.destination.trunc();
    message.header = RouteHeader {
        address_family: match destination {
            IpNet::V4(_) => AddressFamily::Inet,
            IpNet::V6(_) => AddressFamily::Inet6,
        },
        destination_prefix_length: destination.prefix_len(),
        // The attribute below holds every table; this field has eight bits and yields to it.
        table: RouteHeader::RT_TABLE_UNSPEC,
        protocol: RouteProtocol::from(route.protocol.0),
        scope: match route.scope {
            Scope::Universe => RouteScope::Universe,
            Scope::Link => RouteScope::Link,
            Scope::Other(scope) => RouteScope::from(scope),
        },
        kind: RouteType::Unicast,
        flags: match route.onlink {
            true => RouteFlags::Onlink,
            false => RouteFlags::empty(),
        },
        ..RouteHeader::default()
    };
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Destination(destination.addr().into()));
    attributes.push(RouteAttribute::Table(route.table));
    attributes.extend(
        route
            .gateway
            .map(|gateway| RouteAttribute::Gateway(gateway.into())),
    );
    attributes.extend(route.index.map(RouteAttribute::Oif));
    attributes.extend(route.metric.map(RouteAttribute::Priority));
    let metrics: Vec<RouteMetric> = (route.mtu.map(RouteMetric::Mtu).into_iter())
        .chain(route.advmss.map(RouteMetric::Advmss))
        .collect();
    if !metrics.is_empty() {
        attributes.push(RouteAttribute::Metrics(metrics));
    }
    message
}

/// The next hops of one answer; none if it is no unicast route of an address family we know.
pub(super) fn read(payload: &[u8]) -> io::Result<Vec<Route>> {
    let message = RouteMessage::parse(payload).map_err(malformed)?;
    let header = &message.header;
    let unspecified = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return Ok(Vec::new()),
    };
    if header.kind != RouteType::Unicast || header.flags.contains(RouteFlags::Cloned) {
        return Ok(Vec::new());
    }
    let Ok(destination) = IpNet::new(unspecified, header.destination_prefix_length) else {
        return Ok(Vec::new());
    };
    let mut route = Route {
        destination,
        gateway: None,
        index: None,
        table: header.table.into(),
        metric: None,
        mtu: None,
        advmss: None,
        onlink: header.flags.contains(RouteFlags::Onlink),
        protocol: Protocol(header.protocol.into()),
        scope: match header.scope {
            RouteScope::Universe => Scope::Universe,
            RouteScope::Link => Scope::Link,
            scope => Scope::Other(scope.into()),
        },
    };
    let mut hops = Vec::new();
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::MultiPath(paths) => hops = paths,
            attribute => apply(&mut route, attribute),
        }
    }
    if hops.is_empty() {
        return Ok(vec![route]);
    }
    let routes = hops.into_iter().map(|hop| {
        let mut route = route.clone();
        route.index = Some(hop.interface_index);
        route.onlink = hop.flags.contains(RouteNextHopFlags::Onlink);
        hop.attributes
            .into_iter()
            .for_each(|attribute| apply(&mut route, attribute));
        route
    });
    Ok(routes.collect())
}

fn apply(route: &mut Route, attribute: RouteAttribute) {
    match attribute {
        RouteAttribute::Destination(address) => {
            let length = route.destination.prefix_len();
            if let Some(destination) = ip(address).and_then(|ip| IpNet::new(ip, length).ok()) {
                route.destination = destination;
            }
        }
        RouteAttribute::Gateway(address) => route.gateway = ip(address),
        RouteAttribute::Oif(index) => route.index = Some(index),
        RouteAttribute::Table(table) => route.table = table,
        RouteAttribute::Priority(metric) => route.metric = Some(metric),
        RouteAttribute::Metrics(metrics) => {
            for metric in metrics {
                match metric {
                    RouteMetric::Mtu(mtu) => route.mtu = Some(mtu),
                    RouteMetric::Advmss(size) => route.advmss = Some(size),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

pub(super) fn ip(address: RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(address.into()),
        RouteAddress::Inet6(address) => Some(address.into()),
        _ => None,
    }
}
