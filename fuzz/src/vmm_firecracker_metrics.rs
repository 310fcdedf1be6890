//! What Firecracker writes to its metrics.

use ignite_vmm::firecracker::metrics::Decoder;

use crate::pieces::Cut;

/// Cuts make no difference, and a sum never falls.
pub fn run(bytes: &[u8]) {
    if let Some(cut) = Cut::of(bytes) {
        let mut whole = Decoder::default();
        whole.push(cut.whole);
        let mut pieces = Decoder::default();
        let mut before = pieces.sums();
        for piece in cut.pieces() {
            pieces.push(piece);
            assert!(pieces.sums().exits >= before.exits);
            before = pieces.sums();
        }
        assert_eq!(pieces.sums(), whole.sums());
    }
}
