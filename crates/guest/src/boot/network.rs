//! Configures the network before user space starts.
//!
//! The configuration is first turned into steps, then carried out; interfaces are found by their
//! MAC, since the order in which the kernel names them means nothing.

use std::net::IpAddr;

use ignite_host::link::{self, Netlink, Route};
use ignite_host::sysctl;
use ignite_wire::guest::Interface;
use ipnet::IpNet;
use thiserror::Error;

use super::devices;

/// Why there is no network.
#[derive(Debug, Error)]
pub enum Error {
    /// The configuration's MAC is none.
    #[error("{mac:?} is no MAC address of an interface")]
    BadMac {
        /// The text.
        mac: String,
    },
    /// No interface with that MAC.
    #[error("cannot find the interface {name} by its MAC {mac}")]
    Absent {
        /// The name it should get.
        name: String,
        /// The MAC.
        mac: String,
        /// How long was waited.
        source: devices::Error,
    },
    /// The kernel refused a step.
    #[error("cannot configure the interface {name}")]
    Step {
        /// Name of the interface.
        name: String,
        /// The kernel's answer.
        source: link::Error,
    },
    /// The kernel refused outside any interface.
    #[error(transparent)]
    Link(#[from] link::Error),
}

/// One change of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Mtu(u32),
    /// No duplicate address detection: addresses are assigned, and usable at once.
    NoDetection,
    Up,
    Address(IpNet),
    Route {
        destination: IpNet,
        gateway: Option<IpAddr>,
        metric: Option<u32>,
    },
}

/// Brings up the loopback and all `interfaces`.
pub fn configure(interfaces: &[Interface]) -> Result<(), Error> {
    let netlink = Netlink::open()?;
    if let Some(loopback) = netlink.link("lo")? {
        netlink.set_up(loopback.index)?;
    }
    let indexes = find_all(&netlink, interfaces)?;
    rename_all(&netlink, interfaces, &indexes)?;
    for (interface, index) in interfaces.iter().zip(indexes) {
        for step in plan(interface) {
            apply(&netlink, &interface.name, index, &step).map_err(|source| Error::Step {
                name: interface.name.clone(),
                source,
            })?;
        }
    }
    Ok(())
}

fn find_all(netlink: &Netlink, interfaces: &[Interface]) -> Result<Vec<u32>, Error> {
    let find = |interface: &Interface| {
        let bad = || Error::BadMac {
            mac: interface.mac.clone(),
        };
        let mac = parse_mac(&interface.mac).ok_or_else(bad)?;
        let look = || {
            netlink
                .links()
                .ok()?
                .into_iter()
                .find(|link| link.mac == mac)
        };
        let link = devices::wait_for(&interface.name, look).map_err(|source| Error::Absent {
            name: interface.name.clone(),
            mac: interface.mac.clone(),
            source,
        })?;
        Ok(link.index)
    };
    interfaces.iter().map(find).collect()
}

/// Gives the interfaces their names. Where one of them has a name another wants, all get out of the
/// way first.
fn rename_all(netlink: &Netlink, interfaces: &[Interface], indexes: &[u32]) -> Result<(), Error> {
    let links = netlink.links()?;
    let wrong = |(interface, index): &(&Interface, &u32)| {
        !links
            .iter()
            .any(|link| link.index == **index && link.name == interface.name)
    };
    let wrong: Vec<_> = interfaces.iter().zip(indexes).filter(wrong).collect();
    for (_, index) in &wrong {
        netlink.rename(**index, &format!("ignite{index}"))?;
    }
    for (interface, index) in wrong {
        netlink.rename(*index, &interface.name)?;
    }
    Ok(())
}

/// The steps for one interface, in an order in which each can succeed: gateways must be reachable on
/// the link before routes lead through them.
fn plan(interface: &Interface) -> Vec<Step> {
    let mut steps = vec![Step::Mtu(interface.mtu)];
    if interface
        .addresses
        .iter()
        .any(|address| matches!(address, IpNet::V6(_)))
    {
        steps.push(Step::NoDetection);
    }
    steps.push(Step::Up);
    steps.extend(interface.addresses.iter().copied().map(Step::Address));
    let (through, on_link): (Vec<_>, Vec<_>) = interface
        .routes
        .iter()
        .partition(|route| route.gateway.is_some());
    let mut reachable = interface.addresses.clone();
    reachable.extend(on_link.iter().map(|route| route.destination));
    let step = |route: &ignite_wire::guest::Route| Step::Route {
        destination: route.destination,
        gateway: route.gateway,
        metric: route.metric,
    };
    steps.extend(on_link.into_iter().map(step));
    for route in through {
        if let Some(gateway) = route.gateway
            && !is_link_local(gateway)
            && !reachable.iter().any(|network| network.contains(&gateway))
        {
            reachable.push(gateway.into());
            steps.push(Step::Route {
                destination: gateway.into(),
                gateway: None,
                metric: None,
            });
        }
        steps.push(step(route));
    }
    steps
}

/// Always on the link.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

fn apply(netlink: &Netlink, name: &str, index: u32, step: &Step) -> Result<(), link::Error> {
    match step {
        Step::Mtu(mtu) => netlink.set_mtu(index, *mtu),
        Step::NoDetection => {
            // Where it is refused, the link's own address comes a second later.
            let _ = sysctl::set_if_known(&format!("net/ipv6/conf/{name}/accept_dad"), "0");
            Ok(())
        }
        Step::Up => netlink.set_up(index),
        Step::Address(address) => netlink.add_address(index, *address),
        Step::Route {
            destination,
            gateway,
            metric,
        } => {
            let route = Route {
                metric: *metric,
                ..Route::new(*destination, *gateway, index)
            };
            match netlink.add_route(&route) {
                // The kernel makes the link's own routes along with the addresses.
                Err(error) if error.is_exists() => Ok(()),
                result => result,
            }
        }
    }
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut pieces = text.split(':');
    for byte in &mut mac {
        let digits = pieces.next().filter(|piece| piece.len() == 2)?;
        // from_str_radix alone would take a sign.
        let digits = digits
            .chars()
            .all(|digit| digit.is_ascii_hexdigit())
            .then_some(digits)?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    pieces.next().is_none().then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().expect("a network")
    }

    fn interface(addresses: &[&str], routes: &[(&str, Option<&str>)]) -> Interface {
        Interface {
            name: "eth0".into(),
            mac: "02:00:00:00:00:01".into(),
            mtu: 1450,
            addresses: addresses.iter().map(|text| net(text)).collect(),
            routes: routes
                .iter()
                .map(|(destination, gateway)| ignite_wire::guest::Route {
                    destination: net(destination),
                    gateway: gateway.map(|text| text.parse().expect("an address")),
                    metric: None,
                })
                .collect(),
        }
    }

    fn route(destination: &str, gateway: Option<&str>) -> Step {
        let gateway = gateway.map(|text| text.parse().expect("an address"));
        Step::Route {
            destination: net(destination),
            gateway,
            metric: None,
        }
    }

    #[test]
    fn an_ordinary_interface() {
        let steps = plan(&interface(
            &["10.61.0.7/16"],
            &[("0.0.0.0/0", Some("10.61.0.1"))],
        ));
        let expected = [
            Step::Mtu(1450),
            Step::Up,
            Step::Address(net("10.61.0.7/16")),
            route("0.0.0.0/0", Some("10.61.0.1")),
        ];
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_gateway_off_the_link_is_made_reachable_once() {
        let routes = [
            ("0.0.0.0/0", Some("169.254.1.1")),
            ("10.0.0.0/8", Some("169.254.1.1")),
        ];
        let steps = plan(&interface(&["10.1.2.3/32"], &routes));
        let expected = [
            route("169.254.1.1/32", None),
            route("0.0.0.0/0", Some("169.254.1.1")),
            route("10.0.0.0/8", Some("169.254.1.1")),
        ];
        assert_eq!(steps[3..], expected);
    }

    #[test]
    fn routes_on_the_link_come_first() {
        let routes = [("0.0.0.0/0", Some("10.9.0.1")), ("10.9.0.1/32", None)];
        let steps = plan(&interface(&["10.1.2.3/32"], &routes));
        let expected = [
            route("10.9.0.1/32", None),
            route("0.0.0.0/0", Some("10.9.0.1")),
        ];
        assert_eq!(steps[3..], expected);
    }

    #[test]
    fn ipv6_is_assigned_before_the_link_is_up() {
        let steps = plan(&interface(&["fd00::7/64"], &[("::/0", Some("fe80::1"))]));
        let expected = [
            Step::Mtu(1450),
            Step::NoDetection,
            Step::Up,
            Step::Address(net("fd00::7/64")),
            route("::/0", Some("fe80::1")),
        ];
        assert_eq!(steps, expected);
    }

    #[test]
    fn macs() {
        assert_eq!(parse_mac("02:00:00:00:00:0f"), Some([2, 0, 0, 0, 0, 15]));
        for text in [
            "",
            "02:00:00:00:00",
            "02:00:00:00:00:00:00",
            "+2:00:00:00:00:00",
            "0x:1",
        ] {
            assert_eq!(parse_mac(text), None, "{text}");
        }
    }
}
