//! A DHCP packet: the payload of a UDP datagram (RFC 2131, section 2).

use std::net::Ipv4Addr;

use thiserror::Error;

use super::options::Options;

/// Bytes before the magic cookie.
const FIXED_LEN: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const ETHERNET: u8 = 1;
const BROADCAST: u16 = 0x8000;
/// What BOOTP relays and old clients expect at the least (RFC 1542, section 2.1).
const MINIMUM_LEN: usize = 300;

/// Bytes of the packet that are no options.
pub(super) const OVERHEAD: usize = FIXED_LEN + COOKIE.len();

/// Why bytes are no DHCP packet for an Ethernet client.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseError {
    /// Shorter than the fixed part.
    #[error("a DHCP packet of {length} bytes is cut short")]
    Short {
        /// Bytes there are.
        length: usize,
    },
    /// Not DHCP over Ethernet.
    #[error("not a DHCP packet of an Ethernet client")]
    NotDhcp,
    /// An option goes past the end.
    #[error("DHCP option {code} is cut short")]
    OptionCut {
        /// Its code.
        code: u8,
    },
}

/// Direction of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Client to server.
    Request,
    /// Server to client.
    Reply,
}

/// A packet; fields by their names in the RFC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Direction.
    pub op: Operation,
    /// Chosen by the client, echoed by the server.
    pub xid: u32,
    /// Seconds since the client began.
    pub secs: u16,
    /// Whether the client can only take broadcasts.
    pub broadcast: bool,
    /// The client's address, if it has one already.
    pub ciaddr: Ipv4Addr,
    /// The address for the client.
    pub yiaddr: Ipv4Addr,
    /// Next server of a network boot.
    pub siaddr: Ipv4Addr,
    /// The relay.
    pub giaddr: Ipv4Addr,
    /// The client's MAC.
    pub chaddr: [u8; 6],
    /// The options.
    pub options: Options,
}

impl Packet {
    /// Reads the payload of a UDP datagram. Boot file and server name are skipped.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let short = ParseError::Short {
            length: bytes.len(),
        };
        let (fixed, rest) = bytes
            .split_first_chunk::<FIXED_LEN>()
            .ok_or(short.clone())?;
        let (cookie, options) = rest.split_first_chunk::<4>().ok_or(short)?;
        let op = match fixed[0] {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return Err(ParseError::NotDhcp),
        };
        if fixed[1..3] != [ETHERNET, 6] || *cookie != COOKIE {
            return Err(ParseError::NotDhcp);
        }
        let address = |at| Ipv4Addr::from(array::<4>(fixed, at));
        Ok(Self {
            op,
            xid: u32::from_be_bytes(array(fixed, 4)),
            secs: u16::from_be_bytes(array(fixed, 8)),
            broadcast: u16::from_be_bytes(array(fixed, 10)) & BROADCAST != 0,
            ciaddr: address(12),
            yiaddr: address(16),
            siaddr: address(20),
            giaddr: address(24),
            chaddr: array(fixed, 28),
            options: Options::parse(options)?,
        })
    }

    /// The payload of a UDP datagram.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MINIMUM_LEN.max(OVERHEAD + self.options.encoded_len()));
        let op = match self.op {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        out.extend_from_slice(&[op, ETHERNET, 6, 0]);
        out.extend_from_slice(&self.xid.to_be_bytes());
        out.extend_from_slice(&self.secs.to_be_bytes());
        out.extend_from_slice(&if self.broadcast { BROADCAST } else { 0 }.to_be_bytes());
        for address in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            out.extend_from_slice(&address.octets());
        }
        out.extend_from_slice(&self.chaddr);
        out.resize(FIXED_LEN, 0);
        out.extend_from_slice(&COOKIE);
        self.options.encode(&mut out);
        out.resize(out.len().max(MINIMUM_LEN), 0);
        out
    }
}

fn array<const N: usize>(bytes: &[u8; FIXED_LEN], at: usize) -> [u8; N] {
    bytes[at..at + N]
        .try_into()
        .expect("callers name fields of the fixed part")
}
