//! The overlay's device on this host, as the kernel has it now.

use std::net::IpAddr;

use ignite_host::link::{Error, Link, Netlink};
use ipnet::Ipv4Net;

use super::Node;
use super::trouble::{Kind, Trouble};

/// What the devices of all backends, and of Flannel, begin with.
const NAMES: &str = "flannel";
const REMEDY: &str = "the agent makes it anew within ten seconds; if it does not, restart it, and see ignite overlay logs";

/// Looks for the device, and notes its name. What the kernel does not tell is not told.
pub(super) fn look(node: &mut Node) -> Option<Trouble> {
    let (subnet, mtu) = (node.subnet?, node.mtu?);
    let netlink = Netlink::open().ok()?;
    let device = match node.backend.as_deref()? {
        // They have none, and send through the interface.
        "host-gw" | "alloc" => netlink.link(node.interface.as_deref()?).ok()??,
        _ => match with_address(&netlink, subnet).ok()? {
            Some(device) => device,
            None => return Some(gone(subnet)),
        },
    };
    let trouble = trouble(&device, mtu);
    node.device = Some(device.name);
    trouble
}

/// The device with the subnet's own address.
fn with_address(netlink: &Netlink, subnet: Ipv4Net) -> Result<Option<Link>, Error> {
    let links = netlink.links()?.into_iter();
    for link in links.filter(|link| link.name.starts_with(NAMES)) {
        let addresses = netlink.addresses(link.index)?;
        if addresses
            .iter()
            .any(|net| net.addr() == IpAddr::V4(subnet.network()))
        {
            return Ok(Some(link));
        }
    }
    Ok(None)
}

fn gone(subnet: Ipv4Net) -> Trouble {
    let address = subnet.network();
    let text = format!("No device of the overlay has the address {address} of this host's subnet");
    Trouble::new(Kind::DeviceGone, text, REMEDY)
}

fn trouble(device: &Link, told: u32) -> Option<Trouble> {
    let (name, mtu) = (&device.name, device.mtu);
    if !device.up {
        let text = format!("The device {name} is switched off");
        return Some(Trouble::new(Kind::DeviceGone, text, REMEDY));
    }
    (mtu < told).then(|| {
        Trouble::new(
            Kind::DeviceMtu,
            format!(
                "The device {name} takes packets of {mtu} bytes; containers and VMs are told {told}"
            ),
            format!("ip link set {name} mtu {told}; or restart the agent, and what it told {told}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(up: bool, mtu: u32) -> Link {
        Link {
            index: 7,
            name: "flannel.1".into(),
            mac: [2; 6],
            mtu,
            up,
            kind: Some("vxlan".into()),
            master: None,
            peer: None,
        }
    }

    #[test]
    fn devices_are_told() {
        let told = |trouble: Option<Trouble>| {
            let trouble = trouble.expect("told");
            format!(
                "{}: {} | {}",
                trouble.kind.name(),
                trouble.text,
                trouble.remedy
            )
        };
        assert_eq!(trouble(&device(true, 1450), 1450), None);
        insta::assert_snapshot!(told(trouble(&device(true, 1400), 1450)), @"device-mtu: The device flannel.1 takes packets of 1400 bytes; containers and VMs are told 1450 | ip link set flannel.1 mtu 1450; or restart the agent, and what it told 1450");
        insta::assert_snapshot!(told(trouble(&device(false, 1450), 1450)), @"device-gone: The device flannel.1 is switched off | the agent makes it anew within ten seconds; if it does not, restart it, and see ignite overlay logs");
        insta::assert_snapshot!(told(Some(gone("10.5.1.0/24".parse().expect("a network")))), @"device-gone: No device of the overlay has the address 10.5.1.0 of this host's subnet | the agent makes it anew within ten seconds; if it does not, restart it, and see ignite overlay logs");
    }
}
