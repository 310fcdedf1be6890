//! A stream cut into pieces, as a socket would.

/// The pieces of a stream and the whole of it. The first byte of `bytes` decides where the cuts are.
pub struct Cut<'a> {
    /// The bytes that were cut.
    pub whole: &'a [u8],
    random: u64,
}

impl<'a> Cut<'a> {
    /// None where there is not even the first byte.
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        let (seed, whole) = bytes.split_first()?;
        Some(Self {
            whole,
            random: u64::from(*seed) + 1,
        })
    }

    /// One after the other; some are empty.
    pub fn pieces(&self) -> impl Iterator<Item = &'a [u8]> {
        let (mut rest, mut random) = (self.whole, self.random);
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            // xorshift: any seed but 0 gives a long sequence.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let length = rest.len().min((random % 23) as usize);
            let piece;
            (piece, rest) = rest.split_at(length);
            Some(piece)
        })
    }
}
