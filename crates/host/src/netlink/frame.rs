//! Netlink framing: `nlmsghdr` around every message, `nlmsgerr` as the answer to one.
//!
//! Reading never trusts a length: whatever the bytes, it ends without a panic.

use netlink_packet_core::Emitable;

/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Bytes of `struct nlattr`.
const ATTRIBUTE_HEADER: usize = 4;
/// `NLMSGERR_ATTR_MSG`: what the kernel has to say about an error, as text.
const ERROR_TEXT: u16 = 1;
/// Lower bits of an attribute's type; the upper two are flags.
const ATTRIBUTE_TYPE: u16 = 0x3fff;

/// One message of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) payload: &'a [u8],
}

/// A message with its header, ready to send.
pub(super) fn encode(kind: u16, flags: u16, sequence: u32, body: &impl Emitable) -> Vec<u8> {
    let length = HEADER + body.buffer_len();
    let mut bytes = vec![0; length];
    let length = u32::try_from(length).expect("a request is a few hundred bytes");
    bytes[0..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
    body.emit(&mut bytes[HEADER..]);
    bytes
}

/// The messages in `bytes`; a length that cannot be ends it.
pub(super) fn frames(mut bytes: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    std::iter::from_fn(move || {
        let length = u32_at(bytes, 0)? as usize;
        if length < HEADER || length > bytes.len() {
            return None;
        }
        let frame = Frame {
            kind: u16_at(bytes, 4)?,
            flags: u16_at(bytes, 6)?,
            sequence: u32_at(bytes, 8)?,
            payload: &bytes[HEADER..length],
        };
        bytes = bytes.get(align(length)..).unwrap_or_default();
        Some(frame)
    })
}

/// The error number in an `NLMSG_ERROR` or `NLMSG_DONE` payload, positive; 0 is success. An empty
/// payload is one, too.
pub(super) fn error_number(payload: &[u8]) -> i32 {
    let number = u32_at(payload, 0).unwrap_or(0) as i32;
    number.checked_neg().unwrap_or(libc::EIO)
}

/// The kernel's text in an `NLMSG_ERROR` payload that has attributes and no copy of the request.
pub(super) fn error_text(payload: &[u8]) -> Option<String> {
    let mut bytes = payload.get(4 + HEADER..)?;
    loop {
        let length = usize::from(u16_at(bytes, 0)?);
        let value = bytes.get(ATTRIBUTE_HEADER..length)?;
        if u16_at(bytes, 2)? & ATTRIBUTE_TYPE == ERROR_TEXT {
            let text = value.strip_suffix(&[0]).unwrap_or(value);
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        bytes = bytes.get(align(length)..)?;
    }
}

fn align(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u16::from_ne_bytes(*bytes))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_route::link::LinkMessage;
    use proptest::prelude::*;

    #[test]
    fn what_is_encoded_is_read_back() {
        let mut bytes = encode(16, 5, 7, &LinkMessage::default());
        bytes.extend(encode(3, 0, 8, &LinkMessage::default()));
        let read: Vec<_> = frames(&bytes)
            .map(|frame| (frame.kind, frame.flags, frame.sequence, frame.payload.len()))
            .collect();
        assert_eq!(read, [(16, 5, 7, 16), (3, 0, 8, 16)]);
    }

    #[test]
    fn finds_the_kernels_text() {
        let mut payload = (-22i32).to_ne_bytes().to_vec();
        payload.extend([0; HEADER]);
        payload.extend([8, 0, 9, 0, 1, 2, 3, 4]);
        payload.extend([9, 0, 1, 0]);
        payload.extend(b"nope\0\0\0\0");
        assert_eq!(error_number(&payload), 22);
        assert_eq!(error_text(&payload).as_deref(), Some("nope"));
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let total: usize = frames(&bytes).map(|frame| frame.payload.len() + HEADER).sum();
            prop_assert!(total <= bytes.len());
            let _ = (error_number(&bytes), error_text(&bytes));
        }
    }
}
