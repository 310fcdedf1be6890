//! Neighbour discovery (RFC 4861): who has an address, and whether anybody has it.

use std::net::Ipv6Addr;

use crate::ipv6::{ALL_NODES, ICMPV6, Packet, address, multicast_mac, solicited_node};

pub(crate) const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Offset of ICMPv6's checksum.
pub(crate) const CHECKSUM: usize = 2;
/// Type, code, checksum, flags, target.
const FIXED_LEN: usize = 24;
/// Hop limit of what no router passed on.
pub(crate) const ON_LINK: u8 = 255;

const SOURCE_OPTION: u8 = 1;
const TARGET_OPTION: u8 = 2;

/// A router; an answer; in place of what was known.
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// "Who has `target`?"
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Solicitation {
    /// The asker's MAC.
    pub source_mac: [u8; 6],
    /// The asker; unspecified if it wants the address for itself.
    pub source: Ipv6Addr,
    /// The address asked for.
    pub target: Ipv6Addr,
}

impl Solicitation {
    /// Asks for an address that the node with this MAC wants for itself.
    pub fn detection(source_mac: [u8; 6], target: Ipv6Addr) -> Self {
        Self {
            source_mac,
            source: Ipv6Addr::UNSPECIFIED,
            target,
        }
    }

    /// Reads a frame; none if it holds anything else.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let packet = Packet::parse(frame)?;
        Some(Self {
            source_mac: packet.source_mac,
            source: packet.source,
            target: target(&packet, SOLICITATION)?,
        })
    }

    /// Whether it asks so that nobody has the address but itself (RFC 4862, section 5.4).
    pub fn is_detection(&self) -> bool {
        self.source.is_unspecified()
    }

    /// The frame, to all that may have the address; without options if it is a detection.
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
        payload.extend(self.target.octets());
        if !self.is_detection() {
            payload.extend([SOURCE_OPTION, 1]);
            payload.extend(self.source_mac);
        }
        let group = solicited_node(self.target);
        Packet {
            source_mac: self.source_mac,
            destination_mac: multicast_mac(group),
            source: self.source,
            destination: group,
            next_header: ICMPV6,
            hop_limit: ON_LINK,
            payload: &payload,
        }
        .encode_with_checksum(CHECKSUM)
        .expect("it is 86 bytes long")
    }
}

/// "`mac` has `target`."
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advertisement {
    /// The address.
    pub target: Ipv6Addr,
    /// Who has it.
    pub mac: [u8; 6],
}

impl Advertisement {
    /// Reads a frame; none if it holds anything else. Without a word about the MAC it is the sender's.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let packet = Packet::parse(frame)?;
        let target = target(&packet, ADVERTISEMENT)?;
        let options = packet.payload.get(FIXED_LEN..)?;
        Some(Self {
            target,
            mac: target_mac(options).unwrap_or(packet.source_mac),
        })
    }

    /// The frame of a router that answers `to` at `to_mac`, sent by `source_mac`.
    pub fn encode(&self, source_mac: [u8; 6], to: Ipv6Addr, to_mac: [u8; 6]) -> Vec<u8> {
        let (to, flags) = match to.is_unspecified() {
            true => (ALL_NODES, ROUTER | OVERRIDE),
            false => (to, ROUTER | SOLICITED | OVERRIDE),
        };
        let mut payload = vec![ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
        payload.extend(self.target.octets());
        payload.extend([TARGET_OPTION, 1]);
        payload.extend(self.mac);
        Packet {
            source_mac,
            destination_mac: to_mac,
            source: self.target,
            destination: to,
            next_header: ICMPV6,
            hop_limit: ON_LINK,
            payload: &payload,
        }
        .encode_with_checksum(CHECKSUM)
        .expect("it is 86 bytes long")
    }
}

fn target(packet: &Packet<'_>, kind: u8) -> Option<Ipv6Addr> {
    let is_it = packet.next_header == ICMPV6
        && packet.hop_limit == ON_LINK
        && packet.payload.starts_with(&[kind, 0]);
    address(packet.payload, 8).filter(|target| is_it && !target.is_multicast())
}

/// Options are units of 8 bytes: type, number of units, value.
fn target_mac(mut options: &[u8]) -> Option<[u8; 6]> {
    loop {
        let (&[kind, units], value) = options.split_first_chunk::<2>()?;
        if kind == TARGET_OPTION {
            return value.first_chunk().copied();
        }
        options = options.get(8 * usize::from(units.max(1))..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 2];

    fn ip(text: &str) -> Ipv6Addr {
        text.parse().expect("an address")
    }

    #[test]
    fn both_are_read_as_written() {
        for source in ["::", "fd00::1"] {
            let solicitation = Solicitation {
                source_mac: MAC,
                source: ip(source),
                target: ip("fd00::2"),
            };
            let frame = solicitation.encode();
            assert_eq!(Solicitation::parse(&frame), Some(solicitation));
            assert_eq!(solicitation.is_detection(), source == "::");
            assert_eq!(Advertisement::parse(&frame), None);
        }
        let advertisement = Advertisement {
            target: ip("fe80::1"),
            mac: OTHER,
        };
        let frame = advertisement.encode(MAC, ip("fe80::2"), OTHER);
        assert_eq!(Advertisement::parse(&frame), Some(advertisement));
        assert_eq!(Solicitation::parse(&frame), None);
        for length in 0..frame.len() {
            assert_eq!(Advertisement::parse(&frame[..length]), None, "{length}");
        }
    }

    #[test]
    fn a_detection_is_minimal() {
        let target = ip("fe80::1234:5678:9abc:def0");
        let frame = Solicitation::detection(MAC, target).encode();
        let expected = [
            &[0x33, 0x33, 0xff, 0xbc, 0xde, 0xf0][..],
            &MAC,
            &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 58, 255],
            &[0; 16],
            &ip("ff02::1:ffbc:def0").octets(),
            &[135, 0, frame[56], frame[57], 0, 0, 0, 0],
            &target.octets(),
        ];
        assert_eq!(frame, expected.concat());
        // With its pseudo header, the sum of all words of it is all ones.
        let words = frame[22..].chunks(2);
        let words = words.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
        let sum: u32 = words.sum::<u32>() + 24 + 58;
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }

    #[test]
    fn an_advertisement_without_a_mac_is_its_senders() {
        let mut frame = Advertisement {
            target: ip("fe80::1"),
            mac: OTHER,
        }
        .encode(MAC, ip("fe80::2"), OTHER);
        // An option of another kind, without length.
        frame[14 + 40 + 24] = 9;
        frame[14 + 40 + 25] = 0;
        assert_eq!(Advertisement::parse(&frame).map(|read| read.mac), Some(MAC));
        // Passed on by a router.
        frame[14 + 7] = 254;
        assert_eq!(Advertisement::parse(&frame), None);
    }
}
