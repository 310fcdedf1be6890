//! The server: one client, its addresses for ever, no state.

use std::net::Ipv6Addr;

use super::message::{Kind, Message, OptionValue, code, parse_options, push_option};
use super::{CLIENT_PORT, SERVER_PORT};
use crate::dhcp::SERVER_MAC;
use crate::ipv6::{Packet, UDP, address, link_local};
use crate::supervisor::Lease6;

/// Addresses, name servers and bytes of names in one answer at most: it fits into 1280 bytes with
/// what it repeats of the request.
const MAX_ADDRESSES: usize = 12;
const MAX_DNS: usize = 8;
const MAX_NAMES: usize = 255;
/// Addresses of a request that are not the guest's, told as ended.
const MAX_FOREIGN: usize = 4;
/// Associations of one request that are answered.
const MAX_ASSOCIATIONS: usize = 4;
/// The longest DUID (RFC 8415, section 11.1).
const MAX_DUID: usize = 130;

const UDP_HEADER_LEN: usize = 8;
/// Offset of UDP's checksum.
const CHECKSUM: usize = 6;
const FOR_EVER: u32 = u32::MAX;

/// The server's DUID: of a link-layer address, Ethernet.
const SERVER_DUID: [u8; 10] = {
    let [a, b, c, d, e, f] = SERVER_MAC;
    [0, 3, 0, 1, a, b, c, d, e, f]
};

/// Status codes (RFC 8415, section 21.13).
#[derive(Debug, Clone, Copy)]
enum Status {
    Success = 0,
    NoAddresses = 2,
    NotOnLink = 4,
    NoPrefix = 6,
}

/// Answers the DHCPv6 requests of one guest.
#[derive(Debug, Clone)]
pub struct Responder {
    mac: [u8; 6],
    lease: Lease6,
}

impl Responder {
    /// A server that gives the addresses of `lease` to the client with this MAC, and ignores all
    /// others.
    pub fn new(mac: [u8; 6], lease: Lease6) -> Self {
        Self { mac, lease }
    }

    /// The frame to send for a frame that came, if any. Takes any bytes.
    pub fn answer(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let packet = Packet::parse(frame)?;
        // Clients speak from their link-local address, to all servers.
        let is_clients = packet.source_mac == self.mac
            && packet.next_header == UDP
            && packet.source.is_unicast_link_local()
            && packet.destination.is_multicast();
        let (header, rest) = packet.payload.split_first_chunk::<UDP_HEADER_LEN>()?;
        let [_, _, d0, d1, l0, l1, ..] = *header;
        let length = usize::from(u16::from_be_bytes([l0, l1])).checked_sub(UDP_HEADER_LEN)?;
        if !is_clients || u16::from_be_bytes([d0, d1]) != SERVER_PORT {
            return None;
        }
        let request = Message::parse(rest.get(..length)?)?;
        self.encode(packet.source, &self.reply(&request)?)
    }

    fn encode(&self, client: Ipv6Addr, reply: &Message) -> Option<Vec<u8>> {
        let message = reply.encode();
        let length = u16::try_from(UDP_HEADER_LEN + message.len()).ok()?;
        let mut payload = SERVER_PORT.to_be_bytes().to_vec();
        payload.extend(CLIENT_PORT.to_be_bytes());
        payload.extend(length.to_be_bytes());
        payload.extend([0, 0]);
        payload.extend(message);
        Packet {
            source_mac: SERVER_MAC,
            destination_mac: self.mac,
            source: link_local(SERVER_MAC),
            destination: client,
            next_header: UDP,
            hop_limit: 64,
            payload: &payload,
        }
        .encode_with_checksum(CHECKSUM)
    }

    /// The message to send for a message that came, if any: who must say which DUID is RFC 8415,
    /// section 16.
    pub fn reply(&self, request: &Message) -> Option<Message> {
        let client = request.option(code::CLIENT_ID);
        let server = request.option(code::SERVER_ID);
        let is_ours = server == Some(&SERVER_DUID);
        let is_said = match request.kind {
            Kind::Solicit | Kind::Confirm | Kind::Rebind => client.is_some() && server.is_none(),
            Kind::Request | Kind::Renew | Kind::Release | Kind::Decline => {
                client.is_some() && is_ours
            }
            Kind::InformationRequest => server.is_none() || is_ours,
            Kind::Advertise | Kind::Reply => false,
        };
        if !is_said || client.is_some_and(|duid| duid.len() > MAX_DUID) {
            return None;
        }
        let mut options = vec![(code::SERVER_ID, SERVER_DUID.to_vec())];
        options.extend(client.map(|duid| (code::CLIENT_ID, duid.to_vec())));
        let rapid = request.kind == Kind::Solicit && request.option(code::RAPID_COMMIT).is_some();
        match request.kind {
            Kind::Confirm => options.push(self.confirmed(request)?),
            Kind::Release | Kind::Decline => options.push(status(Status::Success)),
            Kind::InformationRequest => options.extend(self.names(request)),
            _ => {
                options.extend(self.associations(request));
                options.extend(self.names(request));
            }
        }
        if rapid {
            options.push((code::RAPID_COMMIT, vec![]));
        }
        let kind = match request.kind {
            Kind::Solicit if !rapid => Kind::Advertise,
            _ => Kind::Reply,
        };
        if kind == Kind::Advertise {
            options.push((code::PREFERENCE, vec![u8::MAX]));
        }
        Some(Message {
            kind,
            transaction: request.transaction,
            options,
        })
    }

    /// Whether all addresses the client thinks it has are the guest's; none if it names none.
    fn confirmed(&self, request: &Message) -> Option<OptionValue> {
        let mut addresses = associations(request, code::IA_NA)
            .flat_map(addresses_of)
            .peekable();
        addresses.peek()?;
        Some(status(match addresses.all(|address| self.has(address)) {
            true => Status::Success,
            false => Status::NotOnLink,
        }))
    }

    fn has(&self, address: Ipv6Addr) -> bool {
        self.lease.addresses.iter().any(|net| net.addr() == address)
    }

    /// What the client gets for what it asks for: all addresses for the first association, a word
    /// why not for the others.
    fn associations(&self, request: &Message) -> Vec<OptionValue> {
        let mut answers = Vec::new();
        let lasting = associations(request, code::IA_NA);
        for (number, association) in lasting.take(MAX_ASSOCIATIONS).enumerate() {
            let granted = match number {
                0 => self.granted(association),
                _ => refused(association, Status::NoAddresses),
            };
            answers.extend(granted.map(|value| (code::IA_NA, value)));
        }
        let temporary = associations(request, code::IA_TA).next();
        if let Some((id, _)) = temporary.and_then(|value| value.split_first_chunk::<4>()) {
            let mut value = id.to_vec();
            push(&mut value, status(Status::NoAddresses));
            answers.push((code::IA_TA, value));
        }
        let prefix = associations(request, code::IA_PD).next();
        let prefix = prefix.and_then(|value| refused(value, Status::NoPrefix));
        answers.extend(prefix.map(|value| (code::IA_PD, value)));
        answers
    }

    /// The association with the guest's addresses, and with those of others it holds, as ended.
    fn granted(&self, association: &[u8]) -> Option<Vec<u8>> {
        let mut value = association.first_chunk::<4>()?.to_vec();
        // Times to renew: never.
        value.extend([FOR_EVER.to_be_bytes(); 2].concat());
        for net in self.lease.addresses.iter().take(MAX_ADDRESSES) {
            push(&mut value, lifetime(net.addr(), FOR_EVER));
        }
        let foreign = addresses_of(association)
            .into_iter()
            .filter(|address| !self.has(*address));
        for address in foreign.take(MAX_FOREIGN) {
            push(&mut value, lifetime(address, 0));
        }
        Some(value)
    }

    /// Name servers and search list, as far as they are wanted.
    fn names(&self, request: &Message) -> Vec<OptionValue> {
        let requested = request.option(code::REQUESTED);
        let is_wanted = |code: u16| {
            requested.is_none_or(|codes| codes.chunks(2).any(|pair| pair == code.to_be_bytes()))
        };
        let servers = self.lease.dns.iter().take(MAX_DNS);
        let servers: Vec<u8> = servers.flat_map(|server| server.octets()).collect();
        [
            (code::DNS, servers),
            (code::DOMAINS, domains(&self.lease.search)),
        ]
        .into_iter()
        .filter(|(code, value)| !value.is_empty() && is_wanted(*code))
        .collect()
    }
}

/// The values of all options of this number.
fn associations(request: &Message, code: u16) -> impl Iterator<Item = &[u8]> {
    let options = request.options.iter();
    options
        .filter(move |(number, _)| *number == code)
        .map(|(_, value)| value.as_slice())
}

/// The addresses within an association that lasts, whose head has 12 bytes.
fn addresses_of(association: &[u8]) -> Vec<Ipv6Addr> {
    let options = association.get(12..).and_then(parse_options);
    options
        .unwrap_or_default()
        .iter()
        .filter(|(number, _)| *number == code::ADDRESS)
        .filter_map(|(_, value)| address(value, 0))
        .collect()
}

/// The association with no more than a status.
fn refused(association: &[u8], why: Status) -> Option<Vec<u8>> {
    let mut value = association.first_chunk::<4>()?.to_vec();
    value.extend([0; 8]);
    push(&mut value, status(why));
    Some(value)
}

fn lifetime(address: Ipv6Addr, seconds: u32) -> OptionValue {
    let mut value = address.octets().to_vec();
    value.extend([seconds.to_be_bytes(); 2].concat());
    (code::ADDRESS, value)
}

fn status(status: Status) -> OptionValue {
    (code::STATUS, (status as u16).to_be_bytes().to_vec())
}

fn push(bytes: &mut Vec<u8>, (code, value): OptionValue) {
    push_option(bytes, code, &value);
}

/// Names as DNS writes them (RFC 1035, section 3.1); one that is none is left out.
fn domains(names: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for name in names {
        let labels: Vec<&str> = name.trim_end_matches('.').split('.').collect();
        let fits = |label: &&str| (1..=63).contains(&label.len());
        if !labels.iter().all(fits) || bytes.len() + name.len() + 2 > MAX_NAMES {
            continue;
        }
        for label in labels {
            bytes.push(u8::try_from(label.len()).expect("63 at most"));
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests;
