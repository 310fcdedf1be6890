//! What Firecracker answers over its API's socket.

use ignite_vmm::firecracker::answer::{Answer, Decoder, MAX_BODY};

use crate::pieces::Cut;

/// Cuts make no difference, and nothing is unbounded.
pub fn run(bytes: &[u8]) {
    if let Some(cut) = Cut::of(bytes) {
        let whole = decode(std::iter::once(cut.whole));
        for answer in &whole.0 {
            assert!(answer.body.len() <= MAX_BODY && (200..600).contains(&answer.code));
            assert!(answer.fault().len() < 500 && !answer.fault().contains('\n'));
        }
        assert_eq!(decode(cut.pieces()), whole);
    }
}

/// The answers up to the end or the first error, and whether there was none.
fn decode<'a>(mut pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Answer>, bool) {
    let (mut decoder, mut answers) = (Decoder::default(), Vec::new());
    let sound = pieces.all(|piece| decoder.push(piece, &mut answers).is_ok());
    (answers, sound)
}
