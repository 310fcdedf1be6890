//! Configures the network before user space starts.
//!
//! The configuration is first turned into steps, then carried out; interfaces are found by their
//! MAC, since the order in which the kernel names them means nothing.

use std::fs;
use std::net::IpAddr;

use ignite_host::link::{self, Netlink, Route};
use ignite_host::sysctl;
use ignite_wire::guest::{self, Interface};
use ipnet::IpNet;
use thiserror::Error;

use super::devices;

/// Why there is no network.
#[derive(Debug, Error)]
pub enum Error {
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
    /// A setting of IPv6, off: `accept_dad` or `accept_ra`.
    Off(&'static str),
    Up,
    Address(IpNet),
    Route(guest::Route),
}

/// Number of the loopback: the first interface of every network namespace.
const LOOPBACK: u32 = 1;

/// Brings up the loopback and all `interfaces`.
pub fn configure(interfaces: &[Interface]) -> Result<(), Error> {
    let netlink = Netlink::open()?;
    let devices = interfaces
        .iter()
        .map(find)
        .collect::<Result<Vec<Device>, Error>>()?;
    rename_all(&netlink, interfaces, &devices)?;
    for (interface, device) in interfaces.iter().zip(devices) {
        for step in plan(interface) {
            apply(&netlink, &interface.name, device.index, &step).map_err(|source| {
                Error::Step {
                    name: interface.name.clone(),
                    source,
                }
            })?;
        }
    }
    Ok(())
}

/// Brings loopback up, which nobody but programs misses.
pub fn set_loopback_up() -> Result<(), Error> {
    Ok(Netlink::open()?.set_up(LOOPBACK)?)
}

/// An interface as the kernel made it.
struct Device {
    name: String,
    index: u32,
}

/// Waits for the interface with the MAC that is wanted.
fn find(interface: &Interface) -> Result<Device, Error> {
    let mac = interface.mac.to_ascii_lowercase();
    devices::wait_for("an interface with it", || find_by_mac(&mac)).map_err(|source| {
        Error::Absent {
            name: interface.name.clone(),
            mac,
            source,
        }
    })
}

/// Looks in `/sys`: under TCG, a listing by netlink costs more than all the rest of this module.
fn find_by_mac(mac: &str) -> Option<Device> {
    let interfaces = fs::read_dir("/sys/class/net").ok()?;
    interfaces.flatten().find_map(|entry| {
        let read = |file| fs::read_to_string(entry.path().join(file)).ok();
        if read("address")?.trim_end() != mac {
            return None;
        }
        let name = entry.file_name().into_string().ok()?;
        Some(Device {
            name,
            index: read("ifindex")?.trim_end().parse().ok()?,
        })
    })
}

/// Gives the interfaces their names. All that have another get out of the way first: one may have
/// the name that another wants.
fn rename_all(
    netlink: &Netlink,
    interfaces: &[Interface],
    devices: &[Device],
) -> Result<(), Error> {
    let pairs = interfaces.iter().zip(devices);
    let wrong: Vec<_> = pairs
        .filter(|(interface, device)| interface.name != device.name)
        .collect();
    for (_, Device { index, .. }) in &wrong {
        netlink.rename(*index, &format!("ignite{index}"))?;
    }
    for (interface, device) in wrong {
        netlink.rename(device.index, &interface.name)?;
    }
    Ok(())
}

/// The steps for one interface, in an order in which each can succeed: gateways must be reachable on
/// the link before routes lead through them.
fn plan(interface: &Interface) -> Vec<Step> {
    let mut steps = vec![Step::Mtu(interface.mtu)];
    let is_ipv6 = |address: &IpNet| matches!(address, IpNet::V6(_));
    if interface.addresses.iter().any(is_ipv6) {
        // Duplicates are not looked for: addresses are assigned, and usable at once.
        steps.push(Step::Off("accept_dad"));
    }
    if !interface.accept_ra {
        steps.push(Step::Off("accept_ra"));
    }
    steps.push(Step::Up);
    steps.extend(interface.addresses.iter().copied().map(Step::Address));
    let (through, on_link): (Vec<_>, Vec<_>) = interface
        .routes
        .iter()
        .partition(|route| route.gateway.is_some());
    let mut reachable = interface.addresses.clone();
    reachable.extend(on_link.iter().map(|route| route.destination));
    let step = |route: &guest::Route| Step::Route(route.clone());
    steps.extend(on_link.into_iter().map(step));
    for route in through {
        if let Some(gateway) = route.gateway
            && !is_link_local(gateway)
            && !reachable.iter().any(|network| network.contains(&gateway))
        {
            reachable.push(gateway.into());
            steps.push(Step::Route(guest::Route::new(gateway.into(), None)));
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
        Step::Off(setting) => {
            // Where it is refused, the link's own address comes a second later, or one more than is
            // of use.
            let _ = sysctl::set_if_known(&format!("net/ipv6/conf/{name}/{setting}"), "0");
            Ok(())
        }
        Step::Up => netlink.set_up(index),
        Step::Address(address) => netlink.add_address(index, *address),
        Step::Route(route) => {
            let route = Route {
                metric: route.metric,
                mtu: route.mtu,
                advmss: route.advmss,
                table: route.table.unwrap_or(Route::MAIN),
                ..Route::new(route.destination, route.gateway, index)
            };
            match netlink.add_route(&route) {
                // The kernel makes the link's own routes along with the addresses.
                Err(error) if error.is_exists() => Ok(()),
                result => result,
            }
        }
    }
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
                .map(|(destination, gateway)| {
                    let gateway = gateway.map(|text| text.parse().expect("an address"));
                    guest::Route::new(net(destination), gateway)
                })
                .collect(),
            accept_ra: false,
        }
    }

    fn route(destination: &str, gateway: Option<&str>) -> Step {
        let gateway = gateway.map(|text| text.parse().expect("an address"));
        Step::Route(guest::Route::new(net(destination), gateway))
    }

    #[test]
    fn an_ordinary_interface() {
        let steps = plan(&interface(
            &["10.61.0.7/16"],
            &[("0.0.0.0/0", Some("10.61.0.1"))],
        ));
        let expected = [
            Step::Mtu(1450),
            Step::Off("accept_ra"),
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
        assert_eq!(steps[4..], expected);
    }

    #[test]
    fn routes_on_the_link_come_first() {
        let routes = [("0.0.0.0/0", Some("10.9.0.1")), ("10.9.0.1/32", None)];
        let steps = plan(&interface(&["10.1.2.3/32"], &routes));
        let expected = [
            route("10.9.0.1/32", None),
            route("0.0.0.0/0", Some("10.9.0.1")),
        ];
        assert_eq!(steps[4..], expected);
    }

    #[test]
    fn routers_are_heard_where_addresses_are_the_guests_own_affair() {
        let open = Interface {
            accept_ra: true,
            ..interface(&[], &[])
        };
        assert_eq!(plan(&open), [Step::Mtu(1450), Step::Up]);
    }

    #[test]
    fn ipv6_is_assigned_before_the_link_is_up() {
        let steps = plan(&interface(&["fd00::7/64"], &[("::/0", Some("fe80::1"))]));
        let expected = [
            Step::Mtu(1450),
            Step::Off("accept_dad"),
            Step::Off("accept_ra"),
            Step::Up,
            Step::Address(net("fd00::7/64")),
            route("::/0", Some("fe80::1")),
        ];
        assert_eq!(steps, expected);
    }
}
