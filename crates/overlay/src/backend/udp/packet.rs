//! IPv4 packets on their way through the tunnel. Any bytes may come: from a program with the TUN
//! device, or from anybody who can send a datagram to the port.

use std::net::Ipv4Addr;

/// Bytes of an IPv4 header without options.
const HEADER: usize = 20;
/// Bytes of what an ICMP error quotes after the offender's header.
const QUOTED: usize = 8;
/// TTL of our own ICMP errors, as Flannel has it.
const ICMP_TTL: u8 = 8;
const ICMP: u8 = 1;

const TTL: usize = 8;
const PROTOCOL: usize = 9;
const CHECKSUM: usize = 10;

/// Where an IPv4 packet wants to go. None for anything else: IPv6, which the kernel sends of its own
/// accord, and what is no packet.
pub fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    is_ipv4(packet).then(|| address(packet, 16))
}

/// Takes one off the time to live, the header's checksum kept right (RFC 1624). Whether the packet
/// lives on.
pub fn decrement_ttl(packet: &mut [u8]) -> bool {
    if !is_ipv4(packet) || packet[TTL] <= 1 {
        return false;
    }
    packet[TTL] -= 1;
    // TTL is the upper byte of its 16-bit word.
    let sum = u32::from(u16_at(packet, CHECKSUM)) + 0x0100;
    let sum = (sum & 0xffff) + (sum >> 16);
    packet[CHECKSUM..CHECKSUM + 2].copy_from_slice(&(sum as u16).to_be_bytes());
    true
}

/// The packet that tells the sender of `offender` that there is no way to its destination: ICMP type 3,
/// code 0, from `own`. None where none may be sent (RFC 1122, 3.2.2): about ICMP, a later fragment, or
/// a sender that is none.
pub fn net_unreachable(offender: &[u8], own: Ipv4Addr) -> Option<Vec<u8>> {
    if !is_ipv4(offender) {
        return None;
    }
    let length = header_length(offender);
    let fragment = u16_at(offender, 6) & 0x1fff;
    let sender = address(offender, 12);
    let nobody = sender.is_unspecified() || sender.is_multicast() || sender.is_broadcast();
    // The longest header would not leave the kernel room for its own options.
    if offender[PROTOCOL] == ICMP || fragment != 0 || length >= 60 || nobody {
        return None;
    }
    let quoted = &offender[..offender.len().min(length + QUOTED)];
    let total = u16::try_from(HEADER + 8 + quoted.len()).ok()?;
    let mut packet = vec![0; HEADER + 8];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    packet[TTL] = ICMP_TTL;
    packet[PROTOCOL] = ICMP;
    packet[12..16].copy_from_slice(&own.octets());
    packet[16..20].copy_from_slice(&sender.octets());
    let header = checksum(&packet[..HEADER]);
    packet[CHECKSUM..CHECKSUM + 2].copy_from_slice(&header.to_be_bytes());
    packet[HEADER] = 3;
    packet.extend(quoted);
    let message = checksum(&packet[HEADER..]);
    packet[HEADER + 2..HEADER + 4].copy_from_slice(&message.to_be_bytes());
    Some(packet)
}

/// Whether the bytes have an IPv4 header that is whole, and no more is promised than there is: what was
/// cut off on the way is of no use to anybody.
fn is_ipv4(packet: &[u8]) -> bool {
    packet.len() >= HEADER
        && packet[0] >> 4 == 4
        && (HEADER..=packet.len()).contains(&header_length(packet))
        && (header_length(packet)..=packet.len()).contains(&usize::from(u16_at(packet, 2)))
}

fn header_length(packet: &[u8]) -> usize {
    usize::from(packet[0] & 15) * 4
}

fn address(packet: &[u8], offset: usize) -> Ipv4Addr {
    let octets: [u8; 4] = std::array::from_fn(|index| packet[offset + index]);
    octets.into()
}

fn u16_at(packet: &[u8], offset: usize) -> u16 {
    u16::from_be_bytes([packet[offset], packet[offset + 1]])
}

/// The Internet checksum (RFC 1071).
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    !fold(sum(bytes))
}

/// The sum of all 16-bit words, not folded yet.
pub(super) fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let sum: u64 = (words.iter())
        .map(|word| u64::from(u32::from_be_bytes(*word)))
        .sum();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    sum + u64::from(u32::from_be_bytes(last))
}

pub(super) fn fold(sum: u64) -> u16 {
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OWN: Ipv4Addr = Ipv4Addr::new(10, 5, 9, 0);

    /// A UDP packet 10.5.9.1 -> 10.5.8.1 of 36 bytes with a right header.
    fn packet() -> Vec<u8> {
        let mut packet = vec![
            0x45, 0, 0, 36, 1, 2, 0x40, 0, 64, 17, 0, 0, 10, 5, 9, 1, 10, 5, 8, 1,
        ];
        let sum = checksum(&packet);
        packet[CHECKSUM..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(0..16);
        packet
    }

    #[test]
    fn the_ttl_falls_and_the_checksum_stays_right() {
        let mut packet = packet();
        for ttl in (1..64).rev() {
            assert!(decrement_ttl(&mut packet));
            assert_eq!((packet[TTL], checksum(&packet[..HEADER])), (ttl, 0));
        }
        assert!(!decrement_ttl(&mut packet), "it would be 0");
        packet[TTL] = 0;
        assert!(!decrement_ttl(&mut packet), "it is 0");
    }

    #[test]
    fn only_whole_ipv4_packets_have_a_destination() {
        let whole = packet();
        assert_eq!(destination(&whole), Some(Ipv4Addr::new(10, 5, 8, 1)));
        assert_eq!(destination(&whole[..35]), None, "cut off");
        assert_eq!(destination(&whole[..19]), None, "no header");
        for first in [0x65, 0x44, 0x4f] {
            let mut wrong = whole.clone();
            wrong[0] = first;
            assert_eq!(destination(&wrong), None, "{first:#x}");
        }
    }

    #[test]
    fn the_sender_is_told_that_there_is_no_way() {
        let answer = net_unreachable(&packet(), OWN).expect("an answer");
        let start = [0x45, 0, 0, 56, 0, 0, 0, 0, 8, 1];
        assert_eq!(answer[..10], start);
        assert_eq!(answer[12..20], [10, 5, 9, 0, 10, 5, 9, 1]);
        assert_eq!(answer[HEADER..HEADER + 2], [3, 0]);
        assert_eq!(answer[28..], packet()[..28]);
        assert_eq!(checksum(&answer[..HEADER]), 0);
        assert_eq!(checksum(&answer[HEADER..]), 0);
    }

    #[test]
    fn some_senders_are_not_told() {
        for (offset, value) in [(PROTOCOL, ICMP), (7, 1), (6, 0x1f), (12, 224)] {
            let mut packet = packet();
            packet[offset] = value;
            assert_eq!(net_unreachable(&packet, OWN), None, "{offset}");
        }
        assert_eq!(net_unreachable(&[0x60; 60], OWN), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(mut bytes in prop::collection::vec(any::<u8>(), 0..100), first: bool) {
            if first && !bytes.is_empty() {
                bytes[0] = 0x45;
            }
            let known = destination(&bytes).is_some();
            let answer = net_unreachable(&bytes, OWN);
            prop_assert!(known || answer.is_none());
            prop_assert!(answer.is_none_or(|answer| destination(&answer).is_some()));
            prop_assert!(known || !decrement_ttl(&mut bytes));
        }

        #[test]
        fn the_sum_is_that_of_words(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let words = bytes.chunks(2).map(|word| {
                u64::from(word[0]) << 8 | u64::from(word.get(1).copied().unwrap_or(0))
            });
            prop_assert_eq!(fold(sum(&bytes)), fold(words.sum()));
        }
    }
}
