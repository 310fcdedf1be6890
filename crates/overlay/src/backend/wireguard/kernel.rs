//! The kernel's WireGuard: a device that outlives this program.

use std::net::IpAddr;

use ignite_host::link::{Netlink, Protocol, Route};
use ignite_host::wireguard::{Device, Identity, Known, Secret, Wireguard};
use ipnet::IpNet;

use super::key::KeyPair;
use super::link;
use super::plan::Wanted;
use crate::backend::Error;

/// A device of the kernel.
pub(super) struct Opened {
    pub(super) control: Wireguard,
    pub(super) index: u32,
    /// Peers of an earlier life.
    pub(super) found: Vec<Known>,
}

/// Takes the device of an earlier life if it is the same, so that traffic goes on; else makes a new one
/// in its place. None if the kernel has no WireGuard.
pub(super) fn open(
    netlink: &Netlink,
    wanted: &Wanted,
    key: &KeyPair,
) -> Result<Option<Opened>, Error> {
    if let Some(link) = netlink.link(wanted.name).map_err(link)? {
        let is_wireguard = link.is_wireguard();
        if is_wireguard && let Some(kept) = keep(netlink, link.index, wanted, key)? {
            return Ok(Some(kept));
        }
        netlink.delete(link.index).map_err(self::link)?;
    }
    let index = match netlink.create_wireguard(wanted.name) {
        Err(error) if error.is_unsupported() => return Ok(None),
        result => result.map_err(link)?,
    };
    let Some(control) = Wireguard::open().map_err(link)? else {
        netlink.delete(index).map_err(link)?;
        return Ok(None);
    };
    let identity = Identity {
        private: Secret(key.private()),
        port: wanted.port,
    };
    control.reset(index, &identity).map_err(link)?;
    Ok(Some(Opened {
        control,
        index,
        found: Vec::new(),
    }))
}

fn keep(
    netlink: &Netlink,
    index: u32,
    wanted: &Wanted,
    key: &KeyPair,
) -> Result<Option<Opened>, Error> {
    let Some(control) = Wireguard::open().map_err(link)? else {
        return Ok(None);
    };
    let Some(device) = control.device(index).map_err(link)? else {
        return Ok(None);
    };
    let addresses = netlink.addresses(index).map_err(link)?;
    let routes = netlink.main_routes(|route| route.index == Some(index));
    let fits = is_ours(&device, wanted, &key.public())
        && is_for(wanted, &addresses, &routes.map_err(link)?);
    Ok(fits.then_some(Opened {
        control,
        index,
        found: device.peers,
    }))
}

/// Whether peers find in a device what this node's lease tells them.
pub(super) fn is_ours(device: &Device, wanted: &Wanted, public: &[u8; 32]) -> bool {
    device.public.as_ref() == Some(public) && device.port == wanted.port
}

/// Whether nothing leads into a device, and nothing is in it, but for the networks it is to carry: of
/// another configuration, everything would have to be found and taken away.
fn is_for(wanted: &Wanted, addresses: &[IpNet], routes: &[Route]) -> bool {
    let link_local = |address: IpAddr| match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let inside = |address: &IpNet| {
        let mut networks = wanted.networks.iter();
        networks.any(|network| network.contains(&address.addr())) || link_local(address.addr())
    };
    let leads_there = |route: &Route| {
        // The kernel's own go with the addresses.
        route.protocol == Protocol::KERNEL || wanted.networks.contains(&route.destination)
    };
    addresses.iter().all(inside) && routes.iter().all(leads_there)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().expect("a network")
    }

    fn wanted() -> Wanted {
        Wanted {
            name: "flannel-wg",
            port: 51820,
            networks: vec![net("10.5.0.0/16"), net("fd00:5::/48")],
        }
    }

    #[test]
    fn a_device_with_our_key_and_port_is_ours() {
        let device = |public, port| Device {
            public,
            port,
            // Somebody may need one for rules of his own.
            mark: 7,
            peers: Vec::new(),
        };
        let ours = |device: Device| is_ours(&device, &wanted(), &[1; 32]);
        assert!(ours(device(Some([1; 32]), 51820)));
        assert!(!ours(device(Some([2; 32]), 51820)));
        assert!(!ours(device(Some([1; 32]), 51821)));
        assert!(!ours(device(None, 51820)));
    }

    #[test]
    fn a_device_of_another_network_is_not_kept() {
        let route = |destination: &str, protocol| Route {
            protocol,
            ..Route::new(net(destination), None, 7)
        };
        let addresses = |texts: &[&str]| texts.iter().map(|text| net(text)).collect::<Vec<_>>();
        let ours = addresses(&["10.5.9.0/32", "fd00:5:0:9::/128", "fe80::1/64"]);
        let routes = [
            route("10.5.0.0/16", Protocol::BOOT),
            route("fd00:5::/48", Protocol::BOOT),
            route("fe80::/64", Protocol::KERNEL),
        ];
        assert!(is_for(&wanted(), &ours, &routes));
        assert!(is_for(&wanted(), &[], &[]));
        for other in ["10.6.9.0/32", "fd00:6::/128"] {
            assert!(!is_for(&wanted(), &addresses(&[other]), &routes), "{other}");
        }
        // Of one that was larger.
        for other in ["10.4.0.0/15", "10.5.0.0/17"] {
            let routes = [route(other, Protocol::BOOT)];
            assert!(!is_for(&wanted(), &ours, &routes), "{other}");
        }
    }
}
