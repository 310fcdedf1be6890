//! UDP over IPv4 over Ethernet, as much as DHCP needs.

use std::net::Ipv4Addr;

use thiserror::Error;

const IPV4: [u8; 2] = [0x08, 0x00];
const UDP: u8 = 17;
const IP_HEADER_LEN: usize = 20;
const UDP_HEADER_LEN: usize = 8;
const DONT_FRAGMENT: u16 = 0x4000;
/// More fragments, or an offset.
const FRAGMENT: u16 = 0x3fff;

/// Why a frame holds no whole UDP datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// It ends before a header or the datagram does.
    #[error("the frame is cut short")]
    Short,
    /// It is something else.
    #[error("the frame holds no UDP datagram over IPv4")]
    NotUdp,
    /// It is a fragment.
    #[error("the frame holds a fragment")]
    Fragment,
}

/// One UDP datagram with its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Ethernet source and destination.
    pub source_mac: [u8; 6],
    /// Ethernet destination.
    pub destination_mac: [u8; 6],
    /// IPv4 source.
    pub source: (Ipv4Addr, u16),
    /// IPv4 destination and port.
    pub destination: (Ipv4Addr, u16),
    /// What it carries.
    pub payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads an Ethernet frame. Checksums are not looked at: with checksum offload, what a guest
    /// sends to its own host carries partial ones.
    pub fn parse(frame: &'a [u8]) -> Result<Self, FrameError> {
        let (destination_mac, rest) = frame.split_first_chunk().ok_or(FrameError::Short)?;
        let (source_mac, rest) = rest.split_first_chunk().ok_or(FrameError::Short)?;
        let (ethertype, ip) = rest.split_first_chunk::<2>().ok_or(FrameError::Short)?;
        if *ethertype != IPV4 {
            return Err(FrameError::NotUdp);
        }
        let header = ip.first_chunk::<IP_HEADER_LEN>().ok_or(FrameError::Short)?;
        let header_len = usize::from(header[0] & 0x0f) * 4;
        if header[0] >> 4 != 4 || header_len < IP_HEADER_LEN || header[9] != UDP {
            return Err(FrameError::NotUdp);
        }
        if u16::from_be_bytes([header[6], header[7]]) & FRAGMENT != 0 {
            return Err(FrameError::Fragment);
        }
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let udp = ip.get(header_len..total).ok_or(FrameError::Short)?;
        let (udp_header, _) = udp
            .split_first_chunk::<UDP_HEADER_LEN>()
            .ok_or(FrameError::Short)?;
        let [s0, s1, d0, d1, l0, l1, ..] = *udp_header;
        let udp_len = usize::from(u16::from_be_bytes([l0, l1]));
        let payload = udp.get(UDP_HEADER_LEN..udp_len).ok_or(FrameError::Short)?;
        let [.., a0, a1, a2, a3, b0, b1, b2, b3] = *header;
        Ok(Self {
            source_mac: *source_mac,
            destination_mac: *destination_mac,
            source: (Ipv4Addr::new(a0, a1, a2, a3), u16::from_be_bytes([s0, s1])),
            destination: (Ipv4Addr::new(b0, b1, b2, b3), u16::from_be_bytes([d0, d1])),
            payload,
        })
    }

    /// The Ethernet frame, with right checksums; none if the payload does not fit into one.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let udp_len = u16::try_from(UDP_HEADER_LEN + self.payload.len()).ok()?;
        let total = u16::try_from(IP_HEADER_LEN).ok()?.checked_add(udp_len)?;
        let mut frame = Vec::with_capacity(14 + usize::from(total));
        frame.extend_from_slice(&self.destination_mac);
        frame.extend_from_slice(&self.source_mac);
        frame.extend_from_slice(&IPV4);
        frame.extend_from_slice(&self.ip_header(total));
        frame.extend_from_slice(&self.udp_header(udp_len));
        frame.extend_from_slice(self.payload);
        Some(frame)
    }

    fn ip_header(&self, total: u16) -> [u8; IP_HEADER_LEN] {
        let mut header = [0; IP_HEADER_LEN];
        header[0] = 0x45;
        header[2..4].copy_from_slice(&total.to_be_bytes());
        header[6..8].copy_from_slice(&DONT_FRAGMENT.to_be_bytes());
        header[8] = 64;
        header[9] = UDP;
        header[12..16].copy_from_slice(&self.source.0.octets());
        header[16..20].copy_from_slice(&self.destination.0.octets());
        let sum = checksum(&[&header]);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    }

    fn udp_header(&self, length: u16) -> [u8; UDP_HEADER_LEN] {
        let mut header = [0; UDP_HEADER_LEN];
        header[..2].copy_from_slice(&self.source.1.to_be_bytes());
        header[2..4].copy_from_slice(&self.destination.1.to_be_bytes());
        header[4..6].copy_from_slice(&length.to_be_bytes());
        let [l0, l1] = length.to_be_bytes();
        let pseudo = [0, UDP, l0, l1];
        let sum = checksum(&[
            &self.source.0.octets(),
            &self.destination.0.octets(),
            &pseudo,
            &header,
            self.payload,
        ]);
        // Zero means "no checksum"; its complement says the same sum (RFC 768).
        let sum = if sum == 0 { 0xffff } else { sum };
        header[6..].copy_from_slice(&sum.to_be_bytes());
        header
    }
}

/// The Internet checksum (RFC 1071) of pieces of even length; only the last may be odd.
pub(super) fn checksum(pieces: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for word in pieces.iter().flat_map(|piece| piece.chunks(2)) {
        sum += u64::from(u16::from_be_bytes([
            word[0],
            word.get(1).copied().unwrap_or(0),
        ]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
