//! What a frame was that a guest may not send: its kind, and the address it would need.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::neighbour::SOLICITATION;

/// Frames of a guest that did not reach its network, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// Of another MAC.
    pub mac: u64,
    /// ARP in another's name.
    pub arp: u64,
    /// IPv4 of another's address, or what no guest may say.
    pub ipv4: u64,
    /// IPv6 of another's address, or what no guest may say.
    pub ipv6: u64,
    /// Neighbour discovery in another's name, or as a router.
    pub neighbour: u64,
    /// Anything else, VLAN tags among them.
    pub other: u64,
    /// Too many at once to look at each.
    pub unread: u64,
}

impl Counts {
    /// Counts one.
    pub fn add(&mut self, kind: Kind) {
        let count = match kind {
            Kind::Mac => &mut self.mac,
            Kind::Arp => &mut self.arp,
            Kind::Ipv4 => &mut self.ipv4,
            Kind::Ipv6 => &mut self.ipv6,
            Kind::Neighbour => &mut self.neighbour,
            Kind::Other => &mut self.other,
        };
        *count = count.saturating_add(1);
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        [
            self.mac,
            self.arp,
            self.ipv4,
            self.ipv6,
            self.neighbour,
            self.other,
            self.unread,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}

/// Why a frame did not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It came from another MAC.
    Mac,
    /// ARP.
    Arp,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// Neighbour discovery.
    Neighbour,
    /// Anything else.
    Other,
}

/// A frame that did not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub kind: Kind,
    /// The address that would have to be allowed for it; none where that would not help.
    pub address: Option<IpAddr>,
}

impl Refused {
    /// Judges a frame that the filter refused, of the guest with this MAC. `is_own` tells whether it
    /// may use an address. None for what a guest asks of its host, which is kept from the network
    /// but is no offence.
    pub fn judge(frame: &[u8], mac: [u8; 6], is_own: impl Fn(&IpAddr) -> bool) -> Option<Self> {
        let refused = |kind, address| Some(Self { kind, address });
        let ethertype = frame.get(12..14);
        let packet = frame.get(14..).unwrap_or_default();
        if frame.get(6..12) != Some(&mac) {
            return refused(Kind::Mac, None);
        }
        let (kind, address) = match ethertype {
            Some([0x08, 0x06]) => (Kind::Arp, arp(packet, mac)),
            Some([0x08, 0x00]) => (Kind::Ipv4, ipv4(packet)?),
            Some([0x86, 0xdd]) => ipv6(packet)?,
            _ => return refused(Kind::Other, None),
        };
        let foreign = |address: &IpAddr| is_usable(address) && !is_own(address);
        refused(kind, address.filter(foreign))
    }
}

/// The sender, or what a probe asks for.
fn arp(packet: &[u8], mac: [u8; 6]) -> Option<IpAddr> {
    if packet.get(..6)? != [0, 1, 8, 0, 6, 4] || packet.get(8..14)? != mac {
        return None;
    }
    let (sender, target) = (ipv4_at(packet, 14)?, ipv4_at(packet, 24)?);
    Some(IpAddr::V4(match sender.is_unspecified() {
        true => target,
        false => sender,
    }))
}

/// The source; none at all for a request to a DHCP server.
fn ipv4(packet: &[u8]) -> Option<Option<IpAddr>> {
    let header = 4 * usize::from(packet.first().copied().unwrap_or_default() & 0xf);
    let is_udp = packet.get(9) == Some(&17);
    if is_udp && ports(packet.get(header..).unwrap_or_default()) == Some((68, 67)) {
        return None;
    }
    Some(ipv4_at(packet, 12).map(IpAddr::V4))
}

/// Kind and address; none at all for a request to a router or a DHCPv6 server.
fn ipv6(packet: &[u8]) -> Option<(Kind, Option<IpAddr>)> {
    let source = ipv6_at(packet, 8);
    let (header, payload) = last_header(packet).unwrap_or((59, &[]));
    if header == 17 && ports(payload) == Some((546, 547)) {
        return None;
    }
    if header != 58 {
        return Some((Kind::Ipv6, source.map(IpAddr::V6)));
    }
    let target = ipv6_at(payload, 8);
    match payload.first() {
        Some(133) => None,
        // Which has nothing to do with an address.
        Some(134 | 137) => Some((Kind::Neighbour, None)),
        Some(136) => Some((Kind::Neighbour, target.map(IpAddr::V6))),
        Some(&SOLICITATION) => match source {
            Some(source) if source.is_unspecified() => {
                Some((Kind::Neighbour, target.map(IpAddr::V6)))
            }
            _ => Some((Kind::Neighbour, source.map(IpAddr::V6))),
        },
        _ => Some((Kind::Ipv6, source.map(IpAddr::V6))),
    }
}

/// The header behind all extension headers, and what it begins with; none if it is not there.
fn last_header(packet: &[u8]) -> Option<(u8, &[u8])> {
    let mut header = *packet.get(6)?;
    let mut rest = packet.get(40..)?;
    loop {
        let length = match header {
            0 | 43 | 60 => 8 * (usize::from(*rest.get(1)?) + 1),
            44 => 8,
            51 => 4 * (usize::from(*rest.get(1)?) + 2),
            _ => return Some((header, rest)),
        };
        header = *rest.first()?;
        rest = rest.get(length..)?;
    }
}

/// Source and destination.
fn ports(datagram: &[u8]) -> Option<(u16, u16)> {
    let &[a, b, c, d] = datagram.first_chunk()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

fn ipv4_at(bytes: &[u8], offset: usize) -> Option<Ipv4Addr> {
    let octets = bytes.get(offset..)?.first_chunk::<4>()?;
    Some(Ipv4Addr::from(*octets))
}

fn ipv6_at(bytes: &[u8], offset: usize) -> Option<Ipv6Addr> {
    crate::ipv6::address(bytes, offset)
}

/// Whether somebody could have it.
fn is_usable(address: &IpAddr) -> bool {
    let is_broadcast = *address == IpAddr::V4(Ipv4Addr::BROADCAST);
    !address.is_unspecified() && !address.is_multicast() && !address.is_loopback() && !is_broadcast
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipv6::{ICMPV6, Packet, UDP};
    use crate::neighbour::Solicitation;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 2];

    fn is_own(address: &IpAddr) -> bool {
        ["10.61.0.7", "fd00::7"].contains(&address.to_string().as_str())
    }

    fn judge(frame: &[u8]) -> Option<(Kind, Option<String>)> {
        let refused = Refused::judge(frame, MAC, is_own)?;
        Some((
            refused.kind,
            refused.address.map(|address| address.to_string()),
        ))
    }

    fn said(kind: Kind, address: &str) -> Option<(Kind, Option<String>)> {
        Some((kind, Some(address.to_owned())))
    }

    fn frame(mac: [u8; 6], ethertype: [u8; 2], payload: &[u8]) -> Vec<u8> {
        [&[0xff; 6][..], &mac, &ethertype, payload].concat()
    }

    fn arp(sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
        let head = [0, 1, 8, 0, 6, 4, 0, 1];
        frame(
            MAC,
            [8, 6],
            &[&head[..], &MAC, &sender, &[0; 6], &target].concat(),
        )
    }

    fn ipv4(source: [u8; 4], from: u16, to: u16) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
        packet.extend(source);
        packet.extend([255; 4]);
        packet.extend(from.to_be_bytes());
        packet.extend(to.to_be_bytes());
        frame(MAC, [8, 0], &packet)
    }

    fn ipv6(source: &str, next_header: u8, payload: &[u8]) -> Vec<u8> {
        Packet {
            source_mac: MAC,
            destination_mac: OTHER,
            source: source.parse().expect("an address"),
            destination: crate::ipv6::ALL_NODES,
            next_header,
            hop_limit: 255,
            payload,
        }
        .encode()
        .expect("short")
    }

    #[test]
    fn each_by_its_kind_and_address() {
        let other = [10, 61, 9, 5];
        assert_eq!(judge(&frame(OTHER, [8, 0], &[])), Some((Kind::Mac, None)));
        assert_eq!(
            judge(&arp(other, [10, 61, 0, 1])),
            said(Kind::Arp, "10.61.9.5")
        );
        assert_eq!(judge(&arp([0; 4], other)), said(Kind::Arp, "10.61.9.5"));
        assert_eq!(judge(&ipv4(other, 1, 2)), said(Kind::Ipv4, "10.61.9.5"));
        assert_eq!(
            judge(&ipv4([10, 61, 0, 7], 67, 68)),
            Some((Kind::Ipv4, None))
        );
        assert_eq!(judge(&ipv4([0; 4], 1, 2)), Some((Kind::Ipv4, None)));
        assert_eq!(judge(&ipv6("fd00::8", 6, &[])), said(Kind::Ipv6, "fd00::8"));
        assert_eq!(
            judge(&ipv6("fd00::7", UDP, &[2, 35, 2, 34])),
            Some((Kind::Ipv6, None))
        );
        assert_eq!(
            judge(&frame(MAC, [0x88, 0xcc], &[])),
            Some((Kind::Other, None))
        );
        assert_eq!(judge(&[]), Some((Kind::Mac, None)));
    }

    #[test]
    fn neighbour_discovery_is_of_its_target() {
        let detection = Solicitation {
            source_mac: MAC,
            source: Ipv6Addr::UNSPECIFIED,
            target: "fd00::8".parse().expect("an address"),
        };
        assert_eq!(judge(&detection.encode()), said(Kind::Neighbour, "fd00::8"));
        let mut advertisement = vec![136, 0, 0, 0, 0, 0, 0, 0];
        advertisement.extend(detection.target.octets());
        let hidden = [&[ICMPV6, 0, 0, 0, 0, 0, 0, 0][..], &advertisement].concat();
        for frame in [
            ipv6("fd00::7", ICMPV6, &advertisement),
            ipv6("fd00::7", 60, &hidden),
        ] {
            assert_eq!(judge(&frame), said(Kind::Neighbour, "fd00::8"));
        }
        let router = ipv6("fe80::1", ICMPV6, &[134, 0, 0, 0]);
        assert_eq!(judge(&router), Some((Kind::Neighbour, None)));
    }

    #[test]
    fn requests_to_the_host_are_no_offence() {
        assert_eq!(judge(&ipv4([0; 4], 68, 67)), None);
        assert_eq!(judge(&ipv4([10, 61, 0, 7], 68, 67)), None);
        assert_eq!(judge(&ipv6("fe80::1", UDP, &[2, 34, 2, 35])), None);
        assert_eq!(judge(&ipv6("fe80::1", ICMPV6, &[133, 0, 0, 0])), None);
    }

    #[test]
    fn counts_add_up() {
        let mut counts = Counts {
            unread: 5,
            ..Counts::default()
        };
        for kind in [Kind::Mac, Kind::Arp, Kind::Arp, Kind::Other] {
            counts.add(kind);
        }
        assert_eq!((counts.arp, counts.total()), (2, 9));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_judged(
            mut bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            ethertype in 0..3_usize,
        ) {
            let head = frame(MAC, [[8, 0], [8, 6], [0x86, 0xdd]][ethertype], &[]);
            let length = bytes.len().min(14);
            bytes[..length].copy_from_slice(&head[..length]);
            let _ = Refused::judge(&bytes, MAC, is_own);
        }
    }
}
