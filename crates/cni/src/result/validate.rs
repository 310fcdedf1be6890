//! What a result must keep before anything of it reaches a guest or the host.
//!
//! A plugin is another program, perhaps a broken one. Its addresses become a
//! guest's, its names become paths and arguments, its counts become work.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::decode::fault;
use super::{Dns, Interface, IpConfig, NetworkResult, ResultError, Route};
use crate::attachment::validate_ifname;

/// The most interfaces, addresses or name servers that are accepted.
pub const MAX_ENTRIES: usize = 64;

/// The most routes that are accepted.
pub const MAX_ROUTES: usize = 1024;

/// The smallest MTU IPv4 allows.
const MIN_MTU: u32 = 68;

/// The largest MTU a Linux interface has.
const MAX_MTU: u32 = 65_535;

pub(super) fn validate(result: &NetworkResult, ifname: &str) -> Result<(), ResultError> {
    bounds(result)?;
    interfaces(&result.interfaces)?;
    let mut seen = HashSet::new();
    for (index, ip) in result.ips.iter().enumerate() {
        let path = format!("ips[{index}]");
        self::ip(result, ip, &path)?;
        if !seen.insert((ip.address.addr(), ip.interface)) {
            return Err(fault(
                &path,
                &ip.address.to_string(),
                "the address is there twice",
            ));
        }
    }
    for (index, route) in result.routes.iter().enumerate() {
        self::route(route, &format!("routes[{index}]"))?;
    }
    if !result.ips.is_empty() && result.addresses_of(ifname).is_empty() {
        let value = result.ips[0].address.to_string();
        return Err(fault(
            "ips",
            &value,
            "no address belongs to the interface that was asked for",
        ));
    }
    dns(&result.dns)
}

fn bounds(result: &NetworkResult) -> Result<(), ResultError> {
    for (what, count, limit) in [
        ("interfaces", result.interfaces.len(), MAX_ENTRIES),
        ("ips", result.ips.len(), MAX_ENTRIES),
        ("routes", result.routes.len(), MAX_ROUTES),
        ("nameservers", result.dns.nameservers.len(), MAX_ENTRIES),
        ("search", result.dns.search.len(), MAX_ENTRIES),
        ("options", result.dns.options.len(), MAX_ENTRIES),
    ] {
        if count > limit {
            return Err(ResultError::TooMany { what, count, limit });
        }
    }
    Ok(())
}

fn interfaces(interfaces: &[Interface]) -> Result<(), ResultError> {
    let mut seen = HashSet::new();
    for (index, interface) in interfaces.iter().enumerate() {
        let path = format!("interfaces[{index}]");
        if validate_ifname(&interface.name).is_err() {
            return Err(fault(&path, &interface.name, "it is no interface name"));
        }
        if !seen.insert((&interface.name, &interface.sandbox)) {
            return Err(fault(
                &path,
                &interface.name,
                "the interface is there twice",
            ));
        }
        if let Some(mac) = interface
            .mac
            .as_deref()
            .filter(|mac| hardware_address(mac).is_none())
        {
            return Err(fault(&path, mac, "it is no hardware address"));
        }
        mtu(interface.mtu, &path)?;
        for text in [
            &interface.sandbox,
            &interface.socket_path,
            &interface.pci_id,
        ] {
            plain(text.as_deref().unwrap_or_default(), &path, 4096)?;
        }
    }
    Ok(())
}

/// Six to twenty bytes in hexadecimal with colons between them.
pub(super) fn hardware_address(text: &str) -> Option<Vec<u8>> {
    let byte = |part: &str| match part.len() {
        2 => u8::from_str_radix(part, 16).ok(),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
    bytes.filter(|bytes| matches!(bytes.len(), 6 | 8 | 20))
}

fn ip(result: &NetworkResult, ip: &IpConfig, path: &str) -> Result<(), ResultError> {
    if let Some(index) = ip
        .interface
        .filter(|index| *index >= result.interfaces.len())
    {
        let path = format!("{path}.interface");
        return Err(fault(
            &path,
            &index.to_string(),
            "there is no interface of that index",
        ));
    }
    let of_loopback = ip
        .interface
        .is_some_and(|index| result.interfaces[index].name == "lo");
    let problem = match ip.address.addr().is_loopback() && of_loopback {
        true => None,
        false => address_problem(ip.address),
    };
    if let Some(problem) = problem {
        return Err(fault(
            &format!("{path}.address"),
            &ip.address.to_string(),
            problem,
        ));
    }
    let Some(gateway) = ip.gateway else {
        return Ok(());
    };
    match gateway_problem(result, ip, gateway) {
        Some(problem) => Err(fault(
            &format!("{path}.gateway"),
            &gateway.to_string(),
            problem,
        )),
        None => Ok(()),
    }
}

/// Why a container cannot have this address.
fn address_problem(address: IpNet) -> Option<&'static str> {
    let ip = address.addr();
    if address.prefix_len() == 0 {
        return Some("a prefix of length 0 is the whole world");
    }
    if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() || is_reserved(ip) {
        return Some("no container can have this address");
    }
    match address {
        IpNet::V4(v4) if v4.prefix_len() < 31 => {
            let ends = v4.addr() == v4.network() || v4.addr() == v4.broadcast();
            ends.then_some("it is its subnet's network or broadcast address")
        }
        _ => None,
    }
}

/// 0.0.0.0/8 and 240.0.0.0/4, the broadcast address in it.
fn is_reserved(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.octets()[0] >= 240,
        IpAddr::V6(_) => false,
    }
}

/// Why this cannot be the gateway of that address. A gateway outside the subnet
/// is fine where a container can reach it nevertheless: through a host prefix,
/// as a link-local address, or over a route that names it.
fn gateway_problem(result: &NetworkResult, ip: &IpConfig, gateway: IpAddr) -> Option<&'static str> {
    if gateway.is_ipv4() != ip.address.addr().is_ipv4() {
        return Some("it is of another family than the address");
    }
    if gateway.is_unspecified() || gateway.is_multicast() || gateway.is_loopback() {
        return Some("it cannot be a gateway");
    }
    let host_prefix = ip.address.prefix_len() == ip.address.max_prefix_len();
    let routed = || {
        result
            .routes
            .iter()
            .any(|r| r.gw.is_none() && is_within(r.dst, gateway))
    };
    let reachable =
        ip.address.contains(&gateway) || host_prefix || is_link_local(gateway) || routed();
    (!reachable).then_some("it is outside the prefix of the address")
}

/// Whether a route to `dst` says something about `gateway`; a default route does not.
fn is_within(dst: IpNet, gateway: IpAddr) -> bool {
    dst.prefix_len() > 0 && dst.contains(&gateway)
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn route(route: &Route, path: &str) -> Result<(), ResultError> {
    mtu(route.mtu, path)?;
    let Some(gateway) = route.gw else {
        return Ok(());
    };
    let path = format!("{path}.gw");
    let text = gateway.to_string();
    if gateway.is_ipv4() != route.dst.addr().is_ipv4() {
        return Err(fault(
            &path,
            &text,
            "it is of another family than the destination",
        ));
    }
    // An unspecified gateway means "on the link" to some plugins.
    if gateway.is_multicast() || gateway == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err(fault(&path, &text, "it cannot be a gateway"));
    }
    Ok(())
}

fn mtu(mtu: Option<u32>, path: &str) -> Result<(), ResultError> {
    match mtu {
        Some(mtu) if !(MIN_MTU..=MAX_MTU).contains(&mtu) => Err(fault(
            &format!("{path}.mtu"),
            &mtu.to_string(),
            "an MTU is from 68 to 65535",
        )),
        _ => Ok(()),
    }
}

/// What is written here ends up in a guest's `resolv.conf`, a line each.
fn dns(dns: &Dns) -> Result<(), ResultError> {
    for text in &dns.nameservers {
        let address = text
            .split_once('%')
            .map_or(text.as_str(), |(address, _)| address);
        if address.parse::<IpAddr>().is_err() {
            return Err(fault("dns.nameservers", text, "it is not an address"));
        }
        word(text, "dns.nameservers")?;
    }
    let named = [("dns.search", &dns.search), ("dns.options", &dns.options)];
    for (path, text) in named
        .iter()
        .flat_map(|(path, texts)| texts.iter().map(move |t| (path, t)))
    {
        word(text, path)?;
    }
    word(dns.domain.as_deref().unwrap_or_default(), "dns.domain")
}

fn word(text: &str, path: &str) -> Result<(), ResultError> {
    if text.contains(char::is_whitespace) {
        return Err(fault(path, text, "it contains a blank"));
    }
    plain(text, path, 255)
}

fn plain(text: &str, path: &str, limit: usize) -> Result<(), ResultError> {
    if text.len() > limit {
        return Err(fault(path, text, "it is too long"));
    }
    if text.contains(char::is_control) {
        return Err(fault(path, text, "it contains a control character"));
    }
    Ok(())
}
