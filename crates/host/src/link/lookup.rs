//! Which way the kernel would send a packet.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::Parseable;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteType};

use super::{Error, Netlink, route};
use crate::netlink::malformed;

/// The way to an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The interface packets leave through.
    pub index: u32,
    /// The address they come from.
    pub source: Option<IpAddr>,
    /// Whether they go straight to it, over no gateway, to another host.
    pub direct: bool,
}

impl Netlink {
    /// The kernel's way to `address`; none if there is none.
    pub fn route_to(&self, address: IpAddr) -> Result<Option<Way>, Error> {
        let mut message = RouteMessage::default();
        (
            message.header.address_family,
            message.header.destination_prefix_length,
        ) = match address {
            IpAddr::V4(_) => (AddressFamily::Inet, 32),
            IpAddr::V6(_) => (AddressFamily::Inet6, 128),
        };
        message.attributes = vec![RouteAttribute::Destination(address.into())];
        match self.socket.get(libc::RTM_GETROUTE, &message, read) {
            Err(refusal)
                if matches!(
                    refusal.errno(),
                    Some(libc::ENETUNREACH | libc::EHOSTUNREACH)
                ) =>
            {
                Ok(None)
            }
            result => result
                .map_err(|refusal| Error::new(format!("look up the way to {address}"), refusal)),
        }
    }
}

pub(super) fn read(payload: &[u8]) -> io::Result<Option<Way>> {
    let message = RouteMessage::parse(payload).map_err(malformed)?;
    let (mut index, mut source) = (None, None);
    let mut direct = message.header.kind == RouteType::Unicast;
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Oif(number) => index = Some(number),
            RouteAttribute::PrefSource(address) => source = route::ip(address),
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) => direct = false,
            _ => {}
        }
    }
    Ok(index.map(|index| Way {
        index,
        source,
        direct,
    }))
}
