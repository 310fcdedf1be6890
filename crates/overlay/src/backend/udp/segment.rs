//! What the kernel left undone in a packet from the TUN device: its checksum, or, for TCP, the cut
//! into packets that fit. So one read brings up to 64 KiB, and one write sends them.
//!
//! ```text
//!   struct virtio_net_hdr | IPv4 | TCP | up to 64 KiB   -->   IPv4 | TCP | n bytes,  IPv4 | TCP | n bytes,  ...
//! ```
//!
//! The header before a packet is the kernel's, what it says of the packet is checked all the same.

use super::packet::{destination, fold, sum};

/// Bytes of `struct virtio_net_hdr`.
pub const HEADER: usize = 10;

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`
const NEEDS_CHECKSUM: u8 = 1;
/// `VIRTIO_NET_HDR_GSO_NONE`
const NO_SEGMENTS: u8 = 0;
/// `VIRTIO_NET_HDR_GSO_TCPV4`
const TCP4: u8 = 1;
const TCP: u8 = 6;

const FIN_PUSH: u8 = 0x09;
const CONGESTION_WINDOW_REDUCED: u8 = 0x80;

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// It is ready as it stands.
    Whole,
    /// It was cut into packets of that many bytes, the last one as long or shorter.
    Cut(usize),
    /// It is none we can finish.
    Unusable,
}

/// Finishes an IPv4 packet as its `header` asks. What is cut is appended to `segments`.
pub fn finish(header: &[u8; HEADER], packet: &mut [u8], segments: &mut Vec<u8>) -> Finished {
    let [flags, kind, _, _, size @ .., _, _, _, _] = *header;
    let size = usize::from(u16::from_ne_bytes(size));
    let [.., start_low, start_high, offset_low, offset_high] = *header;
    match kind {
        NO_SEGMENTS if flags & NEEDS_CHECKSUM == 0 => Finished::Whole,
        NO_SEGMENTS => {
            let start = u16::from_ne_bytes([start_low, start_high]);
            let offset = u16::from_ne_bytes([offset_low, offset_high]);
            match complete(packet, usize::from(start), usize::from(offset)) {
                Some(()) => Finished::Whole,
                None => Finished::Unusable,
            }
        }
        TCP4 => cut(packet, size, segments).map_or(Finished::Unusable, Finished::Cut),
        _ => Finished::Unusable,
    }
}

/// The checksum field holds the sum of the pseudo header; the rest is added.
fn complete(packet: &mut [u8], start: usize, offset: usize) -> Option<()> {
    let checksum = !fold(sum(packet.get(start..)?));
    let field = packet.get_mut(start + offset..start + offset + 2)?;
    // To UDP zero means none at all, and all ones is the same number.
    let checksum = if checksum == 0 { 0xffff } else { checksum };
    field.copy_from_slice(&checksum.to_be_bytes());
    Some(())
}

/// The bytes of every segment but the last.
fn cut(packet: &[u8], size: usize, segments: &mut Vec<u8>) -> Option<usize> {
    let tcp = header_lengths(packet)?;
    let whole = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let (headers, payload) = packet[..whole].split_at_checked(tcp.end)?;
    if size == 0 || tcp.end + size > usize::from(u16::MAX) {
        return None;
    }
    // At least one, so that a packet without payload is not lost.
    let count = payload.len().div_ceil(size).max(1);
    let mut chunks = payload.chunks(size);
    for number in 0..count {
        let chunk = chunks.next().unwrap_or_default();
        let begin = segments.len();
        segments.extend_from_slice(headers);
        segments.extend_from_slice(chunk);
        let segment = Segment {
            bytes: &mut segments[begin..],
            tcp: tcp.start,
        };
        segment.adjust(number, number * size, number + 1 == count);
    }
    Some(tcp.end + size)
}

/// Where the TCP header is, in a packet that has one.
fn header_lengths(packet: &[u8]) -> Option<std::ops::Range<usize>> {
    destination(packet)?;
    let start = usize::from(packet[0] & 15) * 4;
    let fragment = u16::from_be_bytes([packet[6], packet[7]]) & 0x3fff;
    if packet[9] != TCP || fragment != 0 {
        return None;
    }
    let length = usize::from(packet.get(start + 12)? >> 4) * 4;
    (length >= 20).then_some(start..start + length)
}

/// One packet of a cut one, with the headers of the whole.
struct Segment<'a> {
    bytes: &'a mut [u8],
    /// Where its TCP header starts.
    tcp: usize,
}

impl Segment<'_> {
    fn adjust(mut self, number: usize, offset: usize, last: bool) {
        let length = self.bytes.len() as u16;
        self.set_u16(2, length);
        let identification = self.u16_at(4).wrapping_add(number as u16);
        self.set_u16(4, identification);
        self.set_u16(10, 0);
        let header = !fold(sum(&self.bytes[..self.tcp]));
        self.set_u16(10, header);

        let sequence = &mut self.bytes[self.tcp + 4..self.tcp + 8];
        let number_of_first = sequence
            .iter()
            .fold(0, |all, byte| all << 8 | u32::from(*byte));
        sequence.copy_from_slice(&number_of_first.wrapping_add(offset as u32).to_be_bytes());
        let flags = &mut self.bytes[self.tcp + 13];
        if !last {
            *flags &= !FIN_PUSH;
        }
        if number > 0 {
            *flags &= !CONGESTION_WINDOW_REDUCED;
        }
        self.set_u16(self.tcp + 16, 0);
        let pseudo =
            sum(&self.bytes[12..20]) + u64::from(TCP) + (self.bytes.len() - self.tcp) as u64;
        let checksum = !fold(pseudo + sum(&self.bytes[self.tcp..]));
        self.set_u16(self.tcp + 16, checksum);
    }

    fn u16_at(&self, offset: usize) -> u16 {
        u16::from_be_bytes([self.bytes[offset], self.bytes[offset + 1]])
    }

    fn set_u16(&mut self, offset: usize, value: u16) {
        self.bytes[offset..offset + 2].copy_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEQUENCE: u32 = 0xffff_fff0;

    /// TCP 10.5.9.1 -> 10.5.8.1 with all flags set, options in both headers.
    fn packet(payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x46, 0, 0, 0, 0xff, 0xff, 0x40, 0, 64, TCP, 0, 0];
        packet.extend([10, 5, 9, 1, 10, 5, 8, 1, 1, 1, 1, 0]);
        packet.extend([0x1f, 0x90, 0x00, 0x50]);
        packet.extend(SEQUENCE.to_be_bytes());
        packet.extend([0, 0, 0, 9, 0x60, 0xff, 1, 0, 0, 0, 0, 0, 1, 1, 1, 0]);
        packet.extend(payload);
        let length = u16::try_from(packet.len()).expect("fits");
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet
    }

    fn header(flags: u8, kind: u8, numbers: [u16; 4]) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[0] = flags;
        header[1] = kind;
        for (to, from) in header[2..].as_chunks_mut::<2>().0.iter_mut().zip(numbers) {
            *to = from.to_ne_bytes();
        }
        header
    }

    /// Whether both checksums of a packet made by [`packet`] are right.
    fn right(segment: &[u8]) -> bool {
        let tcp = &segment[24..];
        let pseudo = sum(&segment[12..20]) + u64::from(TCP) + tcp.len() as u64;
        fold(sum(&segment[..24])) == 0xffff && fold(pseudo + sum(tcp)) == 0xffff
    }

    proptest! {
        #[test]
        fn segments_make_up_the_whole(
            payload in prop::collection::vec(any::<u8>(), 0..3000),
            size in 1u16..1500,
        ) {
            let mut whole = packet(&payload);
            let mut segments = Vec::new();
            let header = header(NEEDS_CHECKSUM, TCP4, [48, size, 24, 16]);
            let finished = finish(&header, &mut whole, &mut segments);
            prop_assert_eq!(finished, Finished::Cut(48 + usize::from(size)));
            let mut again: Vec<u8> = Vec::new();
            let count = segments.chunks(48 + usize::from(size)).count();
            for (number, segment) in segments.chunks(48 + usize::from(size)).enumerate() {
                prop_assert!(right(segment) && destination(segment).is_some());
                let sequence = SEQUENCE.wrapping_add(again.len() as u32);
                prop_assert_eq!(&segment[28..32], sequence.to_be_bytes());
                let mut flags = 0xff;
                if number > 0 {
                    flags &= !CONGESTION_WINDOW_REDUCED;
                }
                if number + 1 < count {
                    flags &= !FIN_PUSH;
                }
                prop_assert_eq!(segment[37], flags);
                again.extend(&segment[48..]);
            }
            prop_assert_eq!(again, payload);
        }

        #[test]
        fn any_bytes_are_taken(
            header in any::<[u8; HEADER]>(),
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
            like_tcp: bool,
            cut: bool,
        ) {
            let mut header = header;
            if like_tcp {
                let mut whole = packet(&[7; 100]);
                for (to, from) in whole.iter_mut().zip(&bytes).skip(20) {
                    *to = *from;
                }
                bytes = whole;
            }
            if cut {
                header[1] = TCP4;
            }
            let mut segments = Vec::new();
            let finished = finish(&header, &mut bytes, &mut segments);
            prop_assert_eq!(matches!(finished, Finished::Cut(_)), !segments.is_empty());
        }
    }

    #[test]
    fn a_checksum_is_completed() {
        let mut whole = packet(b"hello");
        let header_sum = !fold(sum(&whole[..24]));
        whole[10..12].copy_from_slice(&header_sum.to_be_bytes());
        let length = (whole.len() - 24) as u64;
        let pseudo = fold(sum(&whole[12..20]) + u64::from(TCP) + length);
        whole[40..42].copy_from_slice(&pseudo.to_be_bytes());
        let header = header(NEEDS_CHECKSUM, NO_SEGMENTS, [0, 0, 24, 16]);
        assert_eq!(
            finish(&header, &mut whole, &mut Vec::new()),
            Finished::Whole
        );
        assert!(right(&whole));
    }

    #[test]
    fn what_cannot_be_right_is_refused() {
        let refused = |header: [u8; HEADER], mut packet: Vec<u8>| {
            let finished = finish(&header, &mut packet, &mut Vec::new());
            assert_eq!(finished, Finished::Unusable, "{header:?}");
        };
        let whole = packet(&[7; 100]);
        refused(header(0, TCP4, [0; 4]), whole.clone());
        refused(header(0, 3, [0, 9, 0, 0]), whole.clone());
        refused(header(0, TCP4, [0, u16::MAX, 0, 0]), whole.clone());
        refused(
            header(NEEDS_CHECKSUM, NO_SEGMENTS, [0, 0, 148, 0]),
            whole.clone(),
        );
        refused(
            header(NEEDS_CHECKSUM, NO_SEGMENTS, [0, 0, 9999, 9999]),
            whole.clone(),
        );
        let fragment = |mut packet: Vec<u8>| {
            packet[7] = 1;
            packet
        };
        refused(header(0, TCP4, [0, 9, 0, 0]), fragment(whole.clone()));
        refused(header(0, TCP4, [0, 9, 0, 0]), whole[..40].to_vec());
    }
}
