//! The stream of a guest's agent, and of a client at a supervisor's socket.

use ignite_wire::agent::{Decoder, Frame};

use crate::pieces::Cut;

/// Cuts make no difference, and each frame becomes bytes and the same frame again.
pub fn run(bytes: &[u8]) {
    let Some(cut) = Cut::of(bytes) else { return };
    let (whole, sound) = decode(std::iter::once(cut.whole));
    assert_eq!(decode(cut.pieces()), (whole.clone(), sound));
    for frame in whole {
        let mut bytes = Vec::new();
        // JSON may grow beyond the bound when numbers and escapes are spelt out.
        if frame.encode(&mut bytes).is_ok() {
            assert_eq!(decode(std::iter::once(&bytes[..])), (vec![frame], true));
        }
    }
}

/// The frames up to the end or the first error, and whether there was none.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, bool) {
    let (mut decoder, mut frames) = (Decoder::new(), Vec::new());
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, false),
            }
        }
    }
    (frames, true)
}
