//! Frames as a guest might make them.

use std::net::Ipv6Addr;

pub(super) const MAC: [u8; 6] = [0x02, 0x42, 1, 2, 3, 4];
pub(super) const OTHER_MAC: [u8; 6] = [0x02, 0x42, 1, 2, 3, 5];
pub(super) const GUEST: [u8; 4] = [10, 61, 0, 7];
pub(super) const OTHER: [u8; 4] = [10, 61, 0, 8];
pub(super) const GUEST6: &str = "fd00::7";
pub(super) const OTHER6: &str = "fd00::8";
/// EUI-64 of the guest's MAC, and another one.
pub(super) const LINK_LOCAL: &str = "fe80::42:1ff:fe02:304";
pub(super) const OTHER_LINK_LOCAL: &str = "fe80::42:1ff:fe02:305";

pub(super) fn ethernet(source: [u8; 6], protocol: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(source);
    frame.extend(protocol.to_be_bytes());
    frame.extend(payload);
    frame.resize(frame.len().max(60), 0);
    frame
}

/// Passes every filter, and is like no other frame.
pub(super) fn mark() -> Vec<u8> {
    let mut frame = arp(MAC, MAC, GUEST, 1);
    *frame.last_mut().expect("not empty") = 0xaa;
    frame
}

/// A request (1) or answer (2) about 10.61.0.1.
pub(super) fn arp(source: [u8; 6], sender: [u8; 6], address: [u8; 4], operation: u8) -> Vec<u8> {
    arp_for(source, sender, address, operation, [10, 61, 0, 1])
}

pub(super) fn arp_for(
    source: [u8; 6],
    sender: [u8; 6],
    address: [u8; 4],
    operation: u8,
    target: [u8; 4],
) -> Vec<u8> {
    let mut payload = vec![0, 1, 8, 0, 6, 4, 0, operation];
    payload.extend(sender);
    payload.extend(address);
    payload.extend([0; 6]);
    payload.extend(target);
    ethernet(source, 0x0806, &payload)
}

/// An IPv4 packet with `options` words of options.
pub(super) fn ipv4(
    address: [u8; 4],
    protocol: u8,
    fragment: u16,
    options: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = vec![0x45 + options, 0, 0, 46, 0, 0];
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(address);
    packet.extend([255; 4]);
    packet.extend(vec![1; 4 * usize::from(options)]);
    packet.extend(payload);
    packet
}

pub(super) fn udp(from: u16, to: u16) -> Vec<u8> {
    let mut datagram = from.to_be_bytes().to_vec();
    datagram.extend(to.to_be_bytes());
    datagram.extend([0, 26, 0, 0]);
    datagram.extend([7; 18]);
    datagram
}

pub(super) fn udp4(source: [u8; 6], address: [u8; 4], from: u16, to: u16, options: u8) -> Vec<u8> {
    ethernet(
        source,
        0x0800,
        &ipv4(address, 17, 0, options, &udp(from, to)),
    )
}

fn octets(text: &str) -> [u8; 16] {
    text.parse::<Ipv6Addr>().expect("an address").octets()
}

/// What is behind the IPv6 header, with the number of its first header.
#[derive(Clone)]
pub(super) struct Behind(pub(super) u8, pub(super) Vec<u8>);

impl Behind {
    /// The same behind an extension header of `units` times 8 bytes.
    pub(super) fn after(self, header: u8, units: u8) -> Self {
        let mut bytes = vec![self.0, units - 1];
        bytes.extend(vec![0; 8 * usize::from(units) - 2]);
        bytes.extend(self.1);
        Self(header, bytes)
    }

    /// The same as a fragment, `offset` as in the header with its flag.
    pub(super) fn fragment(self, offset: u16) -> Self {
        let mut bytes = vec![self.0, 0];
        bytes.extend(offset.to_be_bytes());
        bytes.extend([1, 2, 3, 4]);
        bytes.extend(self.1);
        Self(44, bytes)
    }

    pub(super) fn packet(self, source: &str, destination: &str) -> Vec<u8> {
        let length = u16::try_from(self.1.len()).expect("short");
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend(length.to_be_bytes());
        packet.extend([self.0, 255]);
        packet.extend(octets(source));
        packet.extend(octets(destination));
        packet.extend(self.1);
        packet
    }

    pub(super) fn frame(self, source: &str, destination: &str) -> Vec<u8> {
        ethernet(MAC, 0x86dd, &self.packet(source, destination))
    }
}

pub(super) fn icmp6(kind: u8, body: &[u8]) -> Behind {
    let mut bytes = vec![kind, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend(body);
    bytes.resize(bytes.len().max(24), 0);
    Behind(58, bytes)
}

/// A neighbour solicitation (135) or advertisement (136) of this target.
pub(super) fn neighbour(kind: u8, target: &str) -> Behind {
    let mut body = octets(target).to_vec();
    body.extend([2, 1]);
    body.extend(MAC);
    icmp6(kind, &body)
}

pub(super) fn echo6(source: [u8; 6], address: &str, destination: &str) -> Vec<u8> {
    let packet = icmp6(128, &[]).packet(address, destination);
    ethernet(source, 0x86dd, &packet)
}
