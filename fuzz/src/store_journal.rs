//! The journal of events, which a crash may have torn and anybody on the host may have written to.

use ignite_store::journal::{Happening, Lines, MAX_LINE};

use crate::pieces::Cut;

/// Cuts make no difference, and what is read is what is written.
pub fn run(bytes: &[u8]) {
    if let Some(cut) = Cut::of(bytes) {
        let whole = read(std::iter::once(cut.whole));
        assert_eq!(read(cut.pieces()), whole);
        for happening in whole {
            let text = serde_json::to_vec(&happening).expect("plain data");
            let again: Happening = serde_json::from_slice(&text).expect("our own");
            assert_eq!(again, happening);
            assert!(happening.event.len() <= MAX_LINE);
        }
    }
}

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Happening> {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    for piece in pieces {
        lines.push(piece, &mut found);
    }
    found
}
