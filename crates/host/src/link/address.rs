//! Addresses of interfaces.

use std::io;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use netlink_packet_core::Parseable;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope,
};

use super::{Error, Netlink};
use crate::netlink::malformed;

impl Netlink {
    /// The addresses of an interface with their prefix lengths, IPv4 and IPv6.
    pub fn addresses(&self, index: u32) -> Result<Vec<IpNet>, Error> {
        let mut message = AddressMessage::default();
        // A kernel with strict checking answers for this interface alone; any other answers for all.
        message.header.index = index;
        self.socket
            .dump(libc::RTM_GETADDR, &message, |payload| read(payload, index))
            .map_err(|refusal| {
                Error::new(
                    format!("list the addresses of link {}", self.name(index)),
                    refusal,
                )
            })
    }

    /// Gives an interface an address; one it has already is fine. An IPv6 address is usable at once:
    /// whoever assigned it vouches that nobody else has it.
    pub fn add_address(&self, index: u32, address: IpNet) -> Result<(), Error> {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        self.socket
            .change(libc::RTM_NEWADDR, flags, &message(index, address))
            .map_err(|refusal| {
                Error::new(
                    format!("give link {} the address {address}", self.name(index)),
                    refusal,
                )
            })
    }

    /// Takes an address away; one that is not there is fine.
    pub fn delete_address(&self, index: u32, address: IpNet) -> Result<(), Error> {
        match self
            .socket
            .change(libc::RTM_DELADDR, 0, &message(index, address))
        {
            Err(refusal) if matches!(refusal.errno(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => {
                Ok(())
            }
            result => result.map_err(|refusal| {
                Error::new(
                    format!("take {address} off link {}", self.name(index)),
                    refusal,
                )
            }),
        }
    }

    /// Takes all addresses of an interface away.
    pub fn flush_addresses(&self, index: u32) -> Result<(), Error> {
        for address in self.addresses(index)? {
            self.delete_address(index, address)?;
        }
        Ok(())
    }
}

fn message(index: u32, address: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = address.prefix_len();
    message.header.scope = AddressScope::Universe;
    message.attributes = vec![
        AddressAttribute::Local(address.addr()),
        AddressAttribute::Address(address.addr()),
    ];
    match address {
        IpNet::V4(net) => {
            message.header.family = AddressFamily::Inet;
            message
                .attributes
                .extend(broadcast(net).map(AddressAttribute::Broadcast));
        }
        IpNet::V6(_) => {
            message.header.family = AddressFamily::Inet6;
            message.header.flags = AddressHeaderFlags::Nodad;
        }
    }
    message
}

/// The broadcast address, where the network has room for one (RFC 3021).
fn broadcast(net: Ipv4Net) -> Option<std::net::Ipv4Addr> {
    (net.prefix_len() < 31).then(|| net.broadcast())
}

pub(super) fn read(payload: &[u8], index: u32) -> io::Result<Option<IpNet>> {
    let message = AddressMessage::parse(payload).map_err(malformed)?;
    if message.header.index != index {
        return Ok(None);
    }
    let mut address: Option<IpAddr> = None;
    for attribute in message.attributes {
        match attribute {
            // On a point-to-point link IFA_ADDRESS is the other side; IFA_LOCAL is always ours.
            AddressAttribute::Local(local) => address = Some(local),
            AddressAttribute::Address(either) => address = address.or(Some(either)),
            _ => {}
        }
    }
    Ok(address.and_then(|address| IpNet::new(address, message.header.prefix_len).ok()))
}
