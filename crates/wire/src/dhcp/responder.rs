//! The server: one client, one lease, no state.

use std::net::Ipv4Addr;

use super::frame::Datagram;
use super::options::{MessageType, Options, code, encoded_len};
use super::packet::{OVERHEAD, Operation, Packet};
use super::{CLIENT_PORT, SERVER_PORT};
use crate::supervisor::Lease;

/// Source of the answers' frames: an address of our own, locally administered.
pub const SERVER_MAC: [u8; 6] = [0x02, 0x69, 0x67, 0x6e, 0x69, 0x74];

const BROADCAST_MAC: [u8; 6] = [0xff; 6];
/// Bytes every client must take: an IP packet of that size (RFC 2131, section 2).
const MINIMUM_MESSAGE: u16 = 576;
/// Largest answer, whatever the client says it takes.
const MAXIMUM_MESSAGE: u16 = 1280;
/// IPv4 and UDP headers, counted in the sizes above.
const HEADERS: usize = 28;

/// Options of a lease that a client gets if it asks for them, or for nothing in particular, in
/// this order: what matters most comes first where room is short.
const OFFERED: [u8; 7] = [
    code::SUBNET_MASK,
    code::ROUTER,
    code::DNS,
    code::CLASSLESS_ROUTES,
    code::MTU,
    code::HOST_NAME,
    code::DOMAIN,
];

/// Answers the DHCP requests of one guest.
#[derive(Debug, Clone)]
pub struct Responder {
    mac: [u8; 6],
    lease: Lease,
}

impl Responder {
    /// A server that gives `lease` to the client with this MAC, and ignores all others.
    pub fn new(mac: [u8; 6], lease: Lease) -> Self {
        Self { mac, lease }
    }

    /// The frame to send for a frame that came, if any. Takes any bytes.
    pub fn answer(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let datagram = Datagram::parse(frame).ok()?;
        if datagram.source_mac != self.mac || datagram.destination.1 != SERVER_PORT {
            return None;
        }
        let request = Packet::parse(datagram.payload).ok()?;
        let reply = self.reply(&request)?;
        let (mac, address) = self.destination(&request, &reply);
        Datagram {
            source_mac: SERVER_MAC,
            destination_mac: mac,
            source: (self.lease.server, SERVER_PORT),
            destination: (address, CLIENT_PORT),
            payload: &reply.encode(),
        }
        .encode()
    }

    /// The packet to send for a packet that came, if any.
    pub fn reply(&self, request: &Packet) -> Option<Packet> {
        let relayed = !request.giaddr.is_unspecified();
        if request.op != Operation::Request || request.chaddr != self.mac || relayed {
            return None;
        }
        match request.options.message_type()? {
            MessageType::Discover => Some(self.granting(request, MessageType::Offer)),
            MessageType::Request => self.confirm(request),
            MessageType::Inform => Some(self.informing(request)),
            _ => None,
        }
    }

    /// Answers a request: ours and right, ours and wrong, or another server's.
    fn confirm(&self, request: &Packet) -> Option<Packet> {
        let server = request.options.fixed(code::SERVER).map(Ipv4Addr::from);
        if server.is_some_and(|server| server != self.lease.server) {
            return None;
        }
        let requested = request
            .options
            .fixed(code::REQUESTED_ADDRESS)
            .map(Ipv4Addr::from);
        let held = Some(request.ciaddr).filter(|address| !address.is_unspecified());
        if requested.or(held)? == self.lease.address {
            Some(self.granting(request, MessageType::Ack))
        } else {
            Some(self.refusing(request))
        }
    }

    fn granting(&self, request: &Packet, kind: MessageType) -> Packet {
        let mut options = self.options(kind);
        options.append(code::LEASE_TIME, &self.lease.lease_time.to_be_bytes());
        let mut reply = self.base(request, options);
        reply.yiaddr = self.lease.address;
        self.add_parameters(request, &mut reply.options);
        reply
    }

    fn informing(&self, request: &Packet) -> Packet {
        let mut reply = self.base(request, self.options(MessageType::Ack));
        self.add_parameters(request, &mut reply.options);
        reply
    }

    fn refusing(&self, request: &Packet) -> Packet {
        let mut options = self.options(MessageType::Nak);
        options.append(code::MESSAGE, b"not the address of this VM");
        Packet {
            broadcast: true,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            ..self.base(request, options)
        }
    }

    fn options(&self, kind: MessageType) -> Options {
        let mut options = Options::default();
        options.append(code::MESSAGE_TYPE, &[kind.number()]);
        options.append(code::SERVER, &self.lease.server.octets());
        options
    }

    fn base(&self, request: &Packet, mut options: Options) -> Packet {
        if let Some(id) = request
            .options
            .get(code::CLIENT_ID)
            .filter(|id| id.len() <= 255)
        {
            options.append(code::CLIENT_ID, id);
        }
        Packet {
            op: Operation::Reply,
            xid: request.xid,
            secs: 0,
            broadcast: request.broadcast,
            ciaddr: request.ciaddr,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            siaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            chaddr: self.mac,
            options,
        }
    }

    /// Adds what the client asked for and we have, as long as the message stays as small as it
    /// wants it.
    fn add_parameters(&self, request: &Packet, options: &mut Options) {
        let limit = request
            .options
            .fixed(code::MAXIMUM_SIZE)
            .map_or(MINIMUM_MESSAGE, u16::from_be_bytes)
            .clamp(MINIMUM_MESSAGE, MAXIMUM_MESSAGE);
        let room = usize::from(limit) - HEADERS - OVERHEAD;
        let wanted = request.options.get(code::PARAMETERS);
        for code in OFFERED {
            if wanted.is_some_and(|wanted| !wanted.contains(&code)) {
                continue;
            }
            if let Some(value) = self.parameter(code)
                && options.encoded_len() + encoded_len(value.len()) <= room
            {
                options.append(code, &value);
            }
        }
    }

    fn parameter(&self, code: u8) -> Option<Vec<u8>> {
        let lease = &self.lease;
        let value = match code {
            code::SUBNET_MASK => mask(lease.prefix).octets().to_vec(),
            code::ROUTER => lease.gateway?.octets().to_vec(),
            code::DNS => lease
                .dns
                .iter()
                .flat_map(|server| server.octets())
                .collect(),
            code::CLASSLESS_ROUTES => classless_routes(lease),
            code::MTU => lease.mtu.to_be_bytes().to_vec(),
            code::HOST_NAME => lease.hostname.as_bytes().to_vec(),
            code::DOMAIN => lease.domain.as_deref()?.as_bytes().to_vec(),
            _ => return None,
        };
        Some(value).filter(|value| !value.is_empty())
    }

    /// Where the reply goes (RFC 2131, section 4.1).
    fn destination(&self, request: &Packet, reply: &Packet) -> ([u8; 6], Ipv4Addr) {
        if reply.options.message_type() == Some(MessageType::Nak) {
            (BROADCAST_MAC, Ipv4Addr::BROADCAST)
        } else if !request.ciaddr.is_unspecified() {
            (self.mac, request.ciaddr)
        } else if request.broadcast || reply.yiaddr.is_unspecified() {
            (BROADCAST_MAC, Ipv4Addr::BROADCAST)
        } else {
            (self.mac, reply.yiaddr)
        }
    }
}

fn mask(prefix: u8) -> Ipv4Addr {
    let host_bits = 32 - u32::from(prefix.min(32));
    Ipv4Addr::from(u32::MAX.checked_shl(host_bits).unwrap_or(0))
}

/// Option 121. A client that takes it ignores option 3, so the default route must be in it too.
fn classless_routes(lease: &Lease) -> Vec<u8> {
    if lease.routes.is_empty() {
        return Vec::new();
    }
    let has_default = lease
        .routes
        .iter()
        .any(|(destination, _)| destination.prefix_len() == 0);
    let default = lease
        .gateway
        .filter(|_| !has_default)
        .map(|gateway| (ipnet::Ipv4Net::default(), gateway));
    let mut value = Vec::new();
    for (destination, gateway) in default.iter().chain(&lease.routes) {
        let significant = usize::from(destination.prefix_len().div_ceil(8));
        value.push(destination.prefix_len());
        value.extend_from_slice(&destination.network().octets()[..significant]);
        value.extend_from_slice(&gateway.octets());
    }
    value
}

#[cfg(test)]
mod tests;
