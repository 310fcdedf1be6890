//! Permanent neighbours, and the forwarding entries (FDB) of a VXLAN device: which MAC address an
//! address has, and behind which host that MAC address is.

use std::fmt;
use std::io;
use std::net::IpAddr;

use netlink_packet_core::Parseable;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};

use super::{Error, Netlink};
use crate::netlink::malformed;

/// A neighbour that never expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Neighbour {
    /// The interface it is reached through.
    pub index: u32,
    /// Its address.
    pub address: IpAddr,
    /// The MAC address frames to it go to.
    pub mac: [u8; 6],
}

/// A forwarding entry of a VXLAN device that never expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Forwarding {
    /// The VXLAN device.
    pub index: u32,
    /// Frames to this MAC address ...
    pub mac: [u8; 6],
    /// ... go to this host.
    pub destination: IpAddr,
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.address, Mac(self.mac))
    }
}

impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", Mac(self.mac), self.destination)
    }
}

struct Mac([u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, last] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{last:02x}")
    }
}

impl Netlink {
    /// The permanent neighbours on an interface, IPv4 and IPv6.
    pub fn neighbours(&self, index: u32) -> Result<Vec<Neighbour>, Error> {
        let mut message = NeighbourMessage::default();
        // A kernel with strict checking answers for this interface alone; any other for all.
        message.attributes.push(NeighbourAttribute::IfIndex(index));
        self.socket
            .dump(libc::RTM_GETNEIGH, &message, |payload| {
                Ok(read_neighbour(payload)?.filter(|neighbour| neighbour.index == index))
            })
            .map_err(|refusal| {
                let action = format!("list the neighbours on link {}", self.name(index));
                Error::new(action, refusal)
            })
    }

    /// The permanent forwarding entries of a VXLAN device that name a host.
    pub fn forwardings(&self, index: u32) -> Result<Vec<Forwarding>, Error> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Bridge;
        message.header.ifindex = index;
        self.socket
            .dump(libc::RTM_GETNEIGH, &message, |payload| {
                Ok(read_forwarding(payload)?.filter(|entry| entry.index == index))
            })
            .map_err(|refusal| {
                let action = format!("list the forwarding entries of link {}", self.name(index));
                Error::new(action, refusal)
            })
    }
}

pub(super) fn neighbour_message(neighbour: &Neighbour) -> NeighbourMessage {
    let family = match neighbour.address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    message(neighbour.index, family, neighbour.address, neighbour.mac)
}

pub(super) fn forwarding_message(entry: &Forwarding) -> NeighbourMessage {
    let family = AddressFamily::Bridge;
    let mut message = message(entry.index, family, entry.destination, entry.mac);
    // The device's own table, not that of a bridge it may be a port of.
    message.header.flags = NeighbourFlags::Own;
    message
}

fn message(index: u32, family: AddressFamily, address: IpAddr, mac: [u8; 6]) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family;
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    message.attributes = vec![
        NeighbourAttribute::Destination(match address {
            IpAddr::V4(address) => NeighbourAddress::Inet(address),
            IpAddr::V6(address) => NeighbourAddress::Inet6(address),
        }),
        NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
    ];
    message
}

pub(super) fn read_neighbour(payload: &[u8]) -> io::Result<Option<Neighbour>> {
    let message = NeighbourMessage::parse(payload).map_err(malformed)?;
    let found = match message.header.family {
        AddressFamily::Inet | AddressFamily::Inet6 => permanent(&message),
        _ => None,
    };
    Ok(found.map(|(address, mac)| Neighbour {
        index: message.header.ifindex,
        address,
        mac,
    }))
}

pub(super) fn read_forwarding(payload: &[u8]) -> io::Result<Option<Forwarding>> {
    let message = NeighbourMessage::parse(payload).map_err(malformed)?;
    let own = message.header.family == AddressFamily::Bridge
        && message.header.flags.contains(NeighbourFlags::Own);
    let found = own.then(|| permanent(&message)).flatten();
    Ok(found.map(|(destination, mac)| Forwarding {
        index: message.header.ifindex,
        mac,
        destination,
    }))
}

/// Address and MAC address of a permanent entry that has both.
fn permanent(message: &NeighbourMessage) -> Option<(IpAddr, [u8; 6])> {
    // Entries of bridge(8) are marked as in need of no ARP besides.
    if u16::from(message.header.state) & u16::from(NeighbourState::Permanent) == 0 {
        return None;
    }
    let address = message.attributes.iter().find_map(address)?;
    let mac = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            NeighbourAttribute::LinkLayerAddress(mac) => mac.as_slice().try_into().ok(),
            _ => None,
        })?;
    Some((address, mac))
}

/// In a forwarding entry the kernel's family does not tell which of the two it is: the length does.
fn address(attribute: &NeighbourAttribute) -> Option<IpAddr> {
    match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some((*address).into()),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
            Some((*address).into())
        }
        NeighbourAttribute::Destination(NeighbourAddress::Other(bytes)) => {
            let v4 = <[u8; 4]>::try_from(bytes.as_slice()).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(bytes.as_slice()).map(IpAddr::from))
                .ok()
        }
        _ => None,
    }
}
