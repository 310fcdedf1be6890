//! Packets on their way through the tunnel of `udp`: from the TUN device, with the kernel's header
//! before them, and from anybody who can send a datagram.

use std::net::Ipv4Addr;

use ignite_overlay::backend::udp::packet::{decrement_ttl, destination, net_unreachable};
use ignite_overlay::backend::udp::segment::{Finished, HEADER, finish};

const OWN: Ipv4Addr = Ipv4Addr::new(10, 5, 9, 0);

/// The bytes are taken as a packet, and as one that has to be finished first.
pub fn run(bytes: &[u8]) {
    packet(bytes);
    if let Some((header, packet)) = bytes.split_first_chunk() {
        finished(header, packet);
    }
}

fn packet(bytes: &[u8]) {
    let known = destination(bytes);
    if let Some(answer) = net_unreachable(bytes, OWN) {
        assert!(known.is_some());
        assert!(destination(&answer).is_some_and(|to| !to.is_multicast()));
        // About an error there is no other one.
        assert_eq!(net_unreachable(&answer, OWN), None);
    }
    let mut packet = bytes.to_vec();
    if decrement_ttl(&mut packet) {
        assert_eq!(destination(&packet), known);
        assert_eq!(packet[8], bytes[8] - 1);
        assert_eq!(header_sum(&packet), header_sum(bytes));
    } else {
        assert_eq!(packet, bytes);
    }
}

/// What the words of the header add up to.
fn header_sum(packet: &[u8]) -> u32 {
    let length = usize::from(packet[0] & 15) * 4;
    let words = packet[..length].chunks(2);
    let sum = words
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    (0..2).fold(sum, |sum: u32, _| (sum & 0xffff) + (sum >> 16))
}

fn finished(header: &[u8; HEADER], packet: &[u8]) {
    let mut whole = packet.to_vec();
    let mut segments = b"before".to_vec();
    match finish(header, &mut whole, &mut segments) {
        Finished::Cut(size) => {
            let segments = &segments[6..];
            assert!(!segments.is_empty());
            for segment in segments.chunks(size) {
                assert_eq!(destination(segment), destination(packet));
                assert_eq!(header_sum(segment), 0xffff);
            }
        }
        Finished::Whole | Finished::Unusable => assert_eq!(segments, b"before"),
    }
}
