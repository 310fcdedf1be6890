//! The interface by which this node reaches the others.
//!
//! What was asked for, and what the host has, go into a pure function; reading the host is the lesser
//! part. Order: interfaces by address or name, then by pattern, then by a destination; if none of these
//! was asked for, the owner of the public address, and without one the interface of the default route.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ignite_host::link::{self, Link, Netlink, Route, Way};
use ipnet::IpNet;
use regex_lite::Regex;

/// Which interface is wanted.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Addresses or names; the first that fits.
    pub interfaces: Vec<String>,
    /// Patterns, for addresses first, then for names; the first that fits.
    pub patterns: Vec<String>,
    /// An address it has to lead to.
    pub can_reach: Option<IpAddr>,
    /// The address others know this node by; the interface's own where none is given.
    pub public_ip: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub public_ipv6: Option<Ipv6Addr>,
    /// Whether the network is dual-stack.
    pub dual_stack: bool,
}

/// The interface chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Its address, by which this node sends.
    pub address: Ipv4Addr,
    /// The same for IPv6; there if the network is dual-stack.
    pub address_v6: Option<Ipv6Addr>,
    /// The address others send to.
    pub public_ip: Ipv4Addr,
    /// The same for IPv6; there if the network is dual-stack.
    pub public_ipv6: Option<Ipv6Addr>,
}

/// What of the host the choice depends on.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// Its interfaces.
    pub links: Vec<Link>,
    /// Their addresses, by index, in the kernel's order.
    pub addresses: BTreeMap<u32, Vec<IpNet>>,
    /// The default routes of the main table, best first.
    pub defaults: Vec<Route>,
    /// The way to [`Choice::can_reach`].
    pub way: Option<Way>,
}

/// No interface was found, or it does not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A pattern is none.
    #[error("{pattern:?} is no regular expression")]
    Pattern {
        /// The text.
        pattern: String,
        /// What is wrong with it.
        source: regex_lite::Error,
    },
    /// The kernel does not tell what there is.
    #[error("the interfaces of this host cannot be listed")]
    Host(#[from] link::Error),
    /// Nothing fits what was asked for.
    #[error("no interface fits {wanted}")]
    NotFound {
        /// What was asked for.
        wanted: String,
    },
    /// There is no default route to go by.
    #[error("there is no default route to tell the interface by")]
    NoDefault,
    /// The default routes of the two families disagree.
    #[error("the default routes of IPv4 and IPv6 use two interfaces, {v4} and {v6}")]
    TwoDefaults {
        /// That of IPv4.
        v4: String,
        /// That of IPv6.
        v6: String,
    },
    /// The interface lacks an address.
    #[error("the interface {interface} has no {family} address")]
    NoAddress {
        /// Its name.
        interface: String,
        /// `IPv4` or `IPv6`.
        family: &'static str,
    },
    /// Nobody could be sent to through it.
    #[error("the interface {interface} has an MTU of 0")]
    NoMtu {
        /// Its name.
        interface: String,
    },
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Host(source) => source.hint(),
            Self::NoDefault | Self::TwoDefaults { .. } => {
                Some("name the interface that leads to the other nodes".to_owned())
            }
            _ => None,
        }
    }
}

/// The interface chosen, on the host as it is.
pub fn find(netlink: &Netlink, choice: &Choice) -> Result<External, Error> {
    choose(choice, &read(netlink, choice)?)
}

/// Reads what the choice depends on.
pub fn read(netlink: &Netlink, choice: &Choice) -> Result<Host, Error> {
    let links = netlink.links()?;
    let mut addresses = BTreeMap::new();
    for link in &links {
        addresses.insert(link.index, netlink.addresses(link.index)?);
    }
    let mut defaults = netlink.main_routes(|route| route.destination.prefix_len() == 0)?;
    defaults.sort_by_key(|route| route.metric);
    let way = match choice.can_reach {
        Some(address) => netlink.route_to(address)?,
        None => None,
    };
    Ok(Host {
        links,
        addresses,
        defaults,
        way,
    })
}

/// An interface, and the address it was found by, which is then the one to use.
type Found<'a> = (&'a Link, Option<IpAddr>);

/// The interface chosen, on `host`.
pub fn choose(choice: &Choice, host: &Host) -> Result<External, Error> {
    let (link, address) = link(choice, host)?;
    if link.mtu == 0 {
        return Err(Error::NoMtu {
            interface: link.name.clone(),
        });
    }
    let lacks = |family| Error::NoAddress {
        interface: link.name.clone(),
        family,
    };
    let found_v4 = match address {
        Some(IpAddr::V4(address)) => Some(address),
        _ => best_v4(&host.of(link)),
    };
    let found_v6 = match address {
        Some(IpAddr::V6(address)) => Some(address),
        _ => best_v6(&host.of(link)),
    };
    let address = found_v4.ok_or_else(|| lacks("IPv4"))?;
    let address_v6 = found_v6.filter(|_| choice.dual_stack);
    if choice.dual_stack && address_v6.is_none() {
        return Err(lacks("IPv6"));
    }
    Ok(External {
        name: link.name.clone(),
        index: link.index,
        mtu: link.mtu,
        address,
        address_v6,
        public_ip: choice.public_ip.unwrap_or(address),
        public_ipv6: address_v6.map(|own| choice.public_ipv6.unwrap_or(own)),
    })
}

fn link<'a>(choice: &Choice, host: &'a Host) -> Result<Found<'a>, Error> {
    if let Some(found) = (choice.interfaces.iter()).find_map(|wanted| by_text(wanted, host)) {
        return Ok(found);
    }
    for pattern in &choice.patterns {
        if let Some(found) = by_pattern(pattern, choice.dual_stack, host)? {
            return Ok(found);
        }
    }
    let way = host.way.as_ref().filter(|_| choice.can_reach.is_some());
    if let Some(found) = way.and_then(|way| Some((host.link(way.index)?, way.source))) {
        return Ok(found);
    }
    if let Some(wanted) = wanted(choice) {
        return Err(Error::NotFound { wanted });
    }
    let public = (choice.public_ip.map(IpAddr::V4)).or(choice.public_ipv6.map(IpAddr::V6));
    match public {
        Some(address) => host.owner(address).ok_or_else(|| Error::NotFound {
            wanted: format!("the public address {address}"),
        }),
        None => Ok((by_default_route(choice.dual_stack, host)?, None)),
    }
}

/// All that was asked for, for a message.
fn wanted(choice: &Choice) -> Option<String> {
    let mut all = choice.interfaces.clone();
    all.extend(choice.patterns.iter().map(|pattern| format!("/{pattern}/")));
    all.extend(
        choice
            .can_reach
            .map(|address| format!("the way to {address}")),
    );
    (!all.is_empty()).then(|| all.join(", "))
}

fn by_text<'a>(wanted: &str, host: &'a Host) -> Option<Found<'a>> {
    match wanted.parse() {
        Ok(address) => host.owner(address),
        Err(_) => {
            let link = host.links.iter().find(|link| link.name == wanted)?;
            Some((link, None))
        }
    }
}

fn by_pattern<'a>(
    pattern: &str,
    dual_stack: bool,
    host: &'a Host,
) -> Result<Option<Found<'a>>, Error> {
    let regex = Regex::new(pattern).map_err(|source| Error::Pattern {
        pattern: pattern.to_owned(),
        source,
    })?;
    let by_address = host.links.iter().find_map(|link| {
        let address = host.of(link).into_iter().find(|address| {
            (address.is_ipv4() || dual_stack) && regex.is_match(&address.to_string())
        })?;
        Some((link, Some(address)))
    });
    let by_name = || {
        let link = host.links.iter().find(|link| regex.is_match(&link.name))?;
        Some((link, None))
    };
    Ok(by_address.or_else(by_name))
}

fn by_default_route(dual_stack: bool, host: &Host) -> Result<&Link, Error> {
    let of = |v6: bool| {
        let matches = |route: &&Route| matches!(route.destination, IpNet::V6(_)) == v6;
        let route = host.defaults.iter().find(matches)?;
        host.link(route.index?)
    };
    let v4 = of(false).ok_or(Error::NoDefault)?;
    if dual_stack {
        let v6 = of(true).ok_or(Error::NoDefault)?;
        if v6.index != v4.index {
            return Err(Error::TwoDefaults {
                v4: v4.name.clone(),
                v6: v6.name.clone(),
            });
        }
    }
    Ok(v4)
}

impl Host {
    fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    fn of(&self, link: &Link) -> Vec<IpAddr> {
        let nets = self.addresses.get(&link.index);
        nets.into_iter().flatten().map(IpNet::addr).collect()
    }

    fn owner(&self, address: IpAddr) -> Option<Found<'_>> {
        let link = (self.links.iter()).find(|link| self.of(link).contains(&address))?;
        Some((link, Some(address)))
    }
}

/// The first global address, a link-local one only if there is nothing better.
fn best_v4(addresses: &[IpAddr]) -> Option<Ipv4Addr> {
    let all = || {
        addresses.iter().filter_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        })
    };
    let global = |address: &Ipv4Addr| {
        !(address.is_loopback()
            || address.is_link_local()
            || address.is_multicast()
            || address.is_unspecified()
            || address.is_broadcast())
    };
    all()
        .find(global)
        .or_else(|| all().find(Ipv4Addr::is_link_local))
}

fn best_v6(addresses: &[IpAddr]) -> Option<Ipv6Addr> {
    let all = || {
        addresses.iter().filter_map(|address| match address {
            IpAddr::V6(address) => Some(*address),
            IpAddr::V4(_) => None,
        })
    };
    let global = |address: &Ipv6Addr| {
        !(address.is_loopback()
            || address.is_unicast_link_local()
            || address.is_multicast()
            || address.is_unspecified())
    };
    (all().find(global)).or_else(|| all().find(Ipv6Addr::is_unicast_link_local))
}

#[cfg(test)]
#[path = "interface_tests.rs"]
mod tests;
