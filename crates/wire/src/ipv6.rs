//! IPv6 over Ethernet, as much as router advertisements, neighbour discovery and DHCPv6 need.

use std::net::Ipv6Addr;

/// Next header of UDP.
pub const UDP: u8 = 17;
/// Next header of ICMPv6.
pub const ICMPV6: u8 = 58;
/// Every node of a link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

const ETHERTYPE: [u8; 2] = [0x86, 0xdd];
const HEADER_LEN: usize = 40;

/// An IPv6 packet without extension headers, in its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Ethernet source.
    pub source_mac: [u8; 6],
    /// Ethernet destination.
    pub destination_mac: [u8; 6],
    /// Source.
    pub source: Ipv6Addr,
    /// Destination.
    pub destination: Ipv6Addr,
    /// What `payload` is.
    pub next_header: u8,
    /// 255 for neighbour discovery: no router passed it on.
    pub hop_limit: u8,
    /// What it carries.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads an Ethernet frame; none if it is anything else or cut short. Checksums are not looked
    /// at: with checksum offload, what a guest sends to its own host carries partial ones.
    pub fn parse(frame: &'a [u8]) -> Option<Self> {
        let (destination_mac, rest) = frame.split_first_chunk()?;
        let (source_mac, rest) = rest.split_first_chunk()?;
        let (ethertype, packet) = rest.split_first_chunk::<2>()?;
        let (header, rest) = packet.split_first_chunk::<HEADER_LEN>()?;
        if *ethertype != ETHERTYPE || header[0] >> 4 != 6 {
            return None;
        }
        let length = u16::from_be_bytes([header[4], header[5]]);
        Some(Self {
            source_mac: *source_mac,
            destination_mac: *destination_mac,
            source: address(header, 8)?,
            destination: address(header, 24)?,
            next_header: header[6],
            hop_limit: header[7],
            payload: rest.get(..usize::from(length))?,
        })
    }

    /// The frame as it is; none if the payload does not fit into one.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let length = u16::try_from(self.payload.len()).ok()?;
        let mut frame = Vec::with_capacity(14 + HEADER_LEN + self.payload.len());
        frame.extend(self.destination_mac);
        frame.extend(self.source_mac);
        frame.extend(ETHERTYPE);
        frame.extend([0x60, 0, 0, 0]);
        frame.extend(length.to_be_bytes());
        frame.extend([self.next_header, self.hop_limit]);
        frame.extend(self.source.octets());
        frame.extend(self.destination.octets());
        frame.extend(self.payload);
        Some(frame)
    }

    /// The frame with the payload's checksum, at `offset` in it, set right.
    pub fn encode_with_checksum(&self, offset: usize) -> Option<Vec<u8>> {
        let mut payload = self.payload.to_vec();
        payload.get_mut(offset..offset + 2)?.fill(0);
        let sum = match checksum(self.source, self.destination, self.next_header, &payload) {
            // To UDP, 0 says that there is none (RFC 8200, section 8.1).
            0 => u16::MAX,
            sum => sum,
        };
        payload[offset..offset + 2].copy_from_slice(&sum.to_be_bytes());
        let packet = Packet {
            payload: &payload,
            ..*self
        };
        packet.encode()
    }
}

/// The address at `offset`, if it is there.
pub(crate) fn address(bytes: &[u8], offset: usize) -> Option<Ipv6Addr> {
    let octets = bytes.get(offset..)?.first_chunk::<16>()?;
    Some(Ipv6Addr::from(*octets))
}

/// The link-local address made of a MAC (EUI-64, RFC 4291).
pub const fn link_local([a, b, c, d, e, f]: [u8; 6]) -> Ipv6Addr {
    let bytes = [
        0xfe,
        0x80,
        0,
        0,
        0,
        0,
        0,
        0,
        a ^ 2,
        b,
        c,
        0xff,
        0xfe,
        d,
        e,
        f,
    ];
    Ipv6Addr::from_bits(u128::from_be_bytes(bytes))
}

/// Ethernet destination of a multicast address (RFC 2464, section 7).
pub fn multicast_mac(group: Ipv6Addr) -> [u8; 6] {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

/// The multicast address that a node with this address listens to (RFC 4291, section 2.7.1).
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (high & 0xff), low)
}

/// Of pseudo header and payload (RFC 8200, section 8.1).
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, payload: &[u8]) -> u16 {
    let addresses = [source.octets(), destination.octets()].concat();
    let words = |bytes: &[u8]| -> u64 {
        let word = |pair: &[u8]| {
            let low = pair.get(1).copied().unwrap_or(0);
            u64::from(u16::from_be_bytes([pair[0], low]))
        };
        bytes.chunks(2).map(word).sum()
    };
    let mut sum =
        words(&addresses) + payload.len() as u64 + u64::from(next_header) + words(payload);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded to 16 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_right() {
        // An echo request from a capture.
        let source = "fd00::1".parse().expect("an address");
        let destination = "fd00::2".parse().expect("an address");
        let packet = Packet {
            source_mac: [2, 0, 0, 0, 0, 1],
            destination_mac: [2, 0, 0, 0, 0, 2],
            source,
            destination,
            next_header: ICMPV6,
            hop_limit: 64,
            payload: &[128, 0, 9, 9, 0, 1, 0, 2, 0x61, 0x62, 0x63],
        };
        let frame = packet.encode_with_checksum(2).expect("short");
        let read = Packet::parse(&frame).expect("our own frame");
        // What is right sums up to zero.
        assert_eq!(checksum(source, destination, ICMPV6, read.payload), 0);
        assert_eq!(read.payload[4..], packet.payload[4..]);
        assert_eq!((read.source, read.hop_limit), (source, 64));
    }

    #[test]
    fn cut_frames_are_none() {
        let packet = Packet {
            source_mac: [0; 6],
            destination_mac: [0; 6],
            source: Ipv6Addr::LOCALHOST,
            destination: Ipv6Addr::LOCALHOST,
            next_header: UDP,
            hop_limit: 1,
            payload: &[1; 9],
        };
        let frame = packet.encode().expect("short");
        assert_eq!(Packet::parse(&frame), Some(packet));
        for length in 0..frame.len() {
            assert_eq!(Packet::parse(&frame[..length]), None, "{length}");
        }
    }

    #[test]
    fn addresses_made_of_others() {
        let address: Ipv6Addr = "fd00::12:3456".parse().expect("an address");
        assert_eq!(solicited_node(address).to_string(), "ff02::1:ff12:3456");
        assert_eq!(
            multicast_mac(solicited_node(address)),
            [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]
        );
        let mac = [2, 0x42, 1, 2, 3, 4];
        assert_eq!(link_local(mac).to_string(), "fe80::42:1ff:fe02:304");
    }
}
