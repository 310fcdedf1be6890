//! The devices `flannel.<VNI>` and `flannel-v6.<VNI>`.

use std::net::IpAddr;

use ignite_host::link;
use ignite_host::sysctl;
use ipnet::IpNet;

use super::{Devices, OVERHEAD, OVERHEAD_V6, Options, TYPE, less};
use crate::backend::kernel::Kernel;
use crate::backend::{Error, Settings};
use crate::interface::External;
use crate::lease::Subnet;

/// A VXLAN device that is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Its index.
    pub index: u32,
    /// Its MAC address.
    pub mac: [u8; 6],
}

/// What one device is to be.
struct Wanted {
    name: String,
    mtu: u32,
    vxlan: link::Vxlan,
    /// The MAC address of a new one; any where none.
    mac: Option<[u8; 6]>,
}

/// The names of the two devices.
pub fn names(vni: u32) -> [String; 2] {
    ["flannel", "flannel-v6"].map(|name| format!("{name}.{vni}"))
}

/// Whether a device of this name may be one of some VNI.
pub fn is_name(name: &str) -> bool {
    let vni = name
        .split_once('.')
        .filter(|(kind, _)| matches!(*kind, "flannel" | "flannel-v6"));
    vni.is_some_and(|(_, vni)| vni.parse::<u32>().is_ok())
}

/// Makes the devices, or takes those there are; `known` are the MAC addresses peers have heard of.
pub(super) fn ensure_all(
    kernel: &Kernel,
    settings: &Settings,
    options: Options,
    external: &External,
    known: Option<&Devices>,
) -> Result<Devices, Error> {
    let base = options.mtu.unwrap_or(external.mtu);
    let [name, name_v6] = names(options.vni);
    let wanted = |name: String, local: IpAddr, overhead, known: Option<super::Device>| {
        Ok(Wanted {
            name,
            mtu: less(base, overhead)?,
            vxlan: vxlan(options, external, local),
            mac: known.map(|device| device.mac),
        })
    };
    let known_v4 = known.map(|devices| devices.v4);
    let v4 = wanted(name, external.address.into(), OVERHEAD, known_v4)?;
    let v4 = ensure(kernel, &v4)?;
    let v6 = match settings.ipv6_network {
        None => None,
        Some(_) => {
            let local = external.address_v6.ok_or_else(|| Error::NoIpv6 {
                interface: external.name.clone(),
            })?;
            let known_v6 = known.and_then(|devices| devices.v6);
            let v6 = wanted(name_v6, local.into(), OVERHEAD_V6, known_v6)?;
            Some(ensure(kernel, &v6)?)
        }
    };
    Ok(Devices { v4, v6 })
}

/// Makes devices again that are gone or down, and gives them the MAC addresses peers know; none if
/// nothing had to be made.
pub(super) fn restore(
    kernel: &Kernel,
    settings: &Settings,
    options: Options,
    external: &External,
    devices: &Devices,
) -> Result<Option<Devices>, Error> {
    for device in devices.all() {
        let found = kernel.check(kernel.netlink().link_by_index(device.index))?;
        match found {
            Some(link) if link.up && link.mac == device.mac => {}
            Some(link) if link.up => {
                kernel.check(kernel.netlink().set_mac(device.index, device.mac))?;
            }
            _ => return ensure_all(kernel, settings, options, external, Some(devices)).map(Some),
        }
    }
    Ok(None)
}

/// Gives the devices the addresses of this node's subnet, and takes those of an earlier one away.
pub(super) fn assign(
    kernel: &Kernel,
    devices: &Devices,
    networks: &[IpNet],
    subnet: Subnet,
) -> Result<(), Error> {
    let v4 = (devices.v4, IpNet::from(IpAddr::from(subnet.v4.network())));
    let v6 = devices.v6.zip(subnet.v6).map(|(device, subnet)| {
        let address = IpNet::from(IpAddr::from(subnet.network()));
        (device, address)
    });
    for (device, address) in std::iter::once(v4).chain(v6) {
        let netlink = kernel.netlink();
        for old in kernel.check(netlink.addresses(device.index))? {
            let of_overlay = networks.iter().any(|net| net.contains(&old.addr()));
            if old != address && of_overlay {
                kernel.check(netlink.delete_address(device.index, old))?;
            }
        }
        kernel.check(netlink.add_address(device.index, address))?;
    }
    Ok(())
}

fn vxlan(options: Options, external: &External, local: IpAddr) -> link::Vxlan {
    link::Vxlan {
        id: options.vni,
        underlying: Some(external.index),
        local: Some(local),
        port: options
            .port
            .filter(|port| *port != 0)
            .unwrap_or(link::Vxlan::PORT),
        learning: options.learning,
        gbp: options.gbp,
        group: None,
        l2miss: false,
    }
}

fn ensure(kernel: &Kernel, wanted: &Wanted) -> Result<Device, Error> {
    let netlink = kernel.netlink();
    let found = kernel.check(netlink.link(&wanted.name))?;
    let index = match found {
        Some(link) if fits(kernel, link.index, wanted)? => link.index,
        found => {
            if let Some(link) = found {
                kernel.check(netlink.delete(link.index))?;
            }
            let mac = wanted.mac.unwrap_or_else(new_mac);
            kernel.check(netlink.create_vxlan(&wanted.name, mac, &wanted.vxlan))?
        }
    };
    kernel.check(netlink.set_mtu(index, wanted.mtu))?;
    // Nobody advertises anything in the tunnel, and a peer that lies shall not.
    sysctl::set_if_known(&format!("net/ipv6/conf/{}/accept_ra", wanted.name), "0").map_err(
        |source| Error::Setting {
            backend: TYPE,
            source,
        },
    )?;
    kernel.check(netlink.set_up(index))?;
    // systemd-udevd may have given it another MAC address by now: what counts is what it has.
    let link = kernel.check(netlink.link_by_index(index))?;
    let link = link.ok_or_else(|| Error::Gone {
        name: wanted.name.clone(),
    })?;
    Ok(Device {
        index,
        mac: link.mac,
    })
}

fn fits(kernel: &Kernel, index: u32, wanted: &Wanted) -> Result<bool, Error> {
    let found = kernel.check(kernel.netlink().vxlan(index))?;
    Ok(found.is_some_and(|found| compatible(&found, &wanted.vxlan)))
}

/// Whether an existing device can serve: as Flannel's daemon decides it. Learning is not looked at.
pub(super) fn compatible(found: &link::Vxlan, wanted: &link::Vxlan) -> bool {
    fn agree<T: PartialEq>(found: Option<T>, wanted: Option<T>) -> bool {
        found
            .zip(wanted)
            .is_none_or(|(found, wanted)| found == wanted)
    }
    let port = |vxlan: &link::Vxlan| Some(vxlan.port).filter(|port| *port != 0);
    found.id == wanted.id
        && agree(found.underlying, wanted.underlying)
        && agree(found.local, wanted.local)
        && found.group == wanted.group
        && found.l2miss == wanted.l2miss
        && agree(port(found), port(wanted))
        && found.gbp == wanted.gbp
}

/// A random MAC address, unicast and locally administered.
fn new_mac() -> [u8; 6] {
    let mut mac = [0; 6];
    getrandom::fill(&mut mac).expect("the kernel always has random bytes");
    mac[0] = (mac[0] & 0xfe) | 0x02;
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_others() {
        assert!(names(4096).iter().all(|name| is_name(name)));
        for other in [
            "flannel",
            "flannel0",
            "flannel.",
            "flannel.x",
            "vxlan.1",
            "flannel-wg",
        ] {
            assert!(!is_name(other), "{other}");
        }
    }

    #[test]
    fn new_macs_are_local_and_unicast() {
        let macs: Vec<[u8; 6]> = (0..100).map(|_| new_mac()).collect();
        assert!(macs.iter().all(|mac| mac[0] & 3 == 2));
        assert_ne!(macs[0], macs[1]);
    }

    #[test]
    fn what_cannot_be_changed_has_to_agree() {
        let wanted = link::Vxlan {
            id: 1,
            underlying: Some(2),
            local: Some([10, 99, 0, 11].into()),
            port: 8472,
            learning: false,
            gbp: false,
            group: None,
            l2miss: false,
        };
        let unset = link::Vxlan {
            underlying: None,
            local: None,
            learning: true,
            ..wanted
        };
        assert!(compatible(&wanted, &wanted) && compatible(&unset, &wanted));
        for other in [
            link::Vxlan { id: 2, ..wanted },
            link::Vxlan {
                underlying: Some(3),
                ..wanted
            },
            link::Vxlan {
                local: Some([10, 99, 0, 12].into()),
                ..wanted
            },
            link::Vxlan {
                port: 4789,
                ..wanted
            },
            link::Vxlan {
                gbp: true,
                ..wanted
            },
            link::Vxlan {
                group: Some([239, 1, 1, 1].into()),
                ..wanted
            },
            link::Vxlan {
                l2miss: true,
                ..wanted
            },
        ] {
            assert!(!compatible(&other, &wanted), "{other:?}");
        }
    }
}
