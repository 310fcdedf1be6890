//! What Firecracker writes to its log.

use ignite_vmm::firecracker::log::Decoder;

use crate::pieces::Cut;

/// Cuts make no difference, and what is told is plain and bounded.
pub fn run(bytes: &[u8]) {
    if let Some(cut) = Cut::of(bytes) {
        let mut whole = Decoder::default();
        let told = whole.push(cut.whole);
        assert!(told.len() <= 200);
        for line in &told {
            assert!(line.len() < 500 && !line.contains(char::is_control));
        }
        let mut decoder = Decoder::default();
        let pieces: Vec<String> = cut.pieces().flat_map(|piece| decoder.push(piece)).collect();
        assert_eq!(pieces, told);
        assert_eq!(decoder.trouble(), whole.trouble());
        assert_eq!(decoder.last(), whole.last());
    }
}
