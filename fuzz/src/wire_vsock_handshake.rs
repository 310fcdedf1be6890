//! What a VMM answers to a connection by vsock.

use ignite_wire::vsock::Answer;

use crate::pieces::Cut;

/// Cuts make no difference: the same port, at the same place of the stream, or the same refusal.
pub fn run(bytes: &[u8]) {
    let Some(cut) = Cut::of(bytes) else { return };
    let whole = read(std::iter::once(cut.whole));
    assert_eq!(read(cut.pieces()), whole);
    if let Ok(Some((port, end))) = whole {
        let digits = &cut.whole[b"OK ".len()..end - 1];
        let said: u32 = std::str::from_utf8(digits)
            .expect("digits")
            .parse()
            .expect("a port");
        assert_eq!(said, port);
    }
}

/// The port, and where in the stream the line ended.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Option<(u32, usize)>, String> {
    let (mut answer, mut before) = (Answer::default(), 0);
    for piece in pieces {
        match answer.push(piece) {
            Ok(Some((port, taken))) => return Ok(Some((port, before + taken))),
            Ok(None) => before += piece.len(),
            Err(error) => return Err(error.answer),
        }
    }
    Ok(None)
}
