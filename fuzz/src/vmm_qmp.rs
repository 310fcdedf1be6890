//! What QEMU says on its control stream.

use ignite_vmm::Report;
use ignite_vmm::qemu::qmp::Decoder;

use crate::pieces::Cut;

/// Cuts make no difference.
pub fn run(bytes: &[u8]) {
    if let Some(cut) = Cut::of(bytes) {
        let whole = decode(std::iter::once(cut.whole));
        assert_eq!(decode(cut.pieces()), whole);
    }
}

/// The reports up to the end or the first error, and whether there was none.
fn decode<'a>(mut pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Report>, bool) {
    let (mut decoder, mut reports) = (Decoder::default(), Vec::new());
    let sound = pieces.all(|piece| decoder.push(piece, &mut reports).is_ok());
    (reports, sound)
}
