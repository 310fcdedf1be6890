//! Compressed layers and archives.

use std::io::{BufReader, Read};

use ignite_image::decompress::{Compression, detect};
use ignite_image::kernel::compression::Format;

/// More than any input should be given the time for.
const BOUND: u64 = 1 << 20;

/// The way the bytes arrive makes no difference; kernels' decoders keep their bound.
pub fn run(bytes: &[u8]) {
    let whole = unpack(bytes, 4096);
    if let (Some(whole), Some(trickled)) = (&whole, unpack(bytes, 1)) {
        assert!(*whole == trickled, "depends on how the bytes arrive");
    }
    if Compression::of(bytes) == Compression::Plain {
        let length = bytes.len().min(BOUND as usize);
        assert_eq!(whole.as_deref(), Some(&bytes[..length]));
    }
    if let Some(format) = Format::of(bytes)
        && let Ok(content) = format.decompress(bytes, BOUND)
    {
        assert!(content.len() as u64 <= BOUND);
    }
}

/// What comes out of bytes that arrive `size` at a time, none where they are damaged.
fn unpack(bytes: &[u8], size: usize) -> Option<Vec<u8>> {
    let (_, reader) = detect(BufReader::with_capacity(size, bytes)).ok()?;
    let mut unpacked = Vec::new();
    reader.take(BOUND).read_to_end(&mut unpacked).ok()?;
    Some(unpacked)
}
