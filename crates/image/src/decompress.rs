//! Reads a stream whatever it was packed with, known by its first bytes, never by its name.
//!
//! The memory a stream may ask for is bounded: windows of 128 MiB are read (zstd's `--long=27`, which
//! image builders use), larger ones are an error.

use std::io::{self, BufRead, Cursor, Read};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0x00];
const LONGEST_MAGIC: u64 = 6;

/// log2 of the largest zstd window.
const ZSTD_WINDOW_LOG: u32 = 27;
/// KiB an xz stream may need: its 128 MiB dictionary and what goes with it.
const XZ_MEMORY_KIB: u32 = 160 << 10;

/// What a stream is packed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all, or not with anything known here.
    Plain,
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames.
    Zstd,
    /// The .xz container.
    Xz,
}

impl Compression {
    /// By the first bytes of the stream.
    pub fn of(start: &[u8]) -> Self {
        match start {
            start if start.starts_with(GZIP) => Self::Gzip,
            start if start.starts_with(ZSTD) => Self::Zstd,
            start if start.starts_with(XZ) => Self::Xz,
            _ => Self::Plain,
        }
    }
}

/// The unpacked bytes of `r`.
pub fn reader<'a>(r: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    detect(r).map(|(_, reader)| reader)
}

/// The unpacked bytes of `r`, and what they were packed with.
pub fn detect<'a>(mut r: impl BufRead + 'a) -> io::Result<(Compression, Box<dyn Read + 'a>)> {
    let mut start = Vec::new();
    r.by_ref().take(LONGEST_MAGIC).read_to_end(&mut start)?;
    let compression = Compression::of(&start);
    let whole = Cursor::new(start).chain(r);
    let reader: Box<dyn Read + 'a> = match compression {
        Compression::Plain => Box::new(whole),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(whole)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
        Compression::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(
            whole,
            true,
            XZ_MEMORY_KIB,
        )),
    };
    Ok((compression, reader))
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use super::*;

    fn unpacked(packed: &[u8]) -> io::Result<Vec<u8>> {
        // A buffer of one byte: the magic must not be looked for in the first read only.
        let mut bytes = Vec::new();
        reader(BufReader::with_capacity(1, packed))?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("to memory");
        encoder.finish().expect("to memory")
    }

    #[test]
    fn reads_every_packing() {
        let text = b"layer ".repeat(5000);
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::default())
            .expect("options");
        xz.write_all(&text).expect("to memory");
        assert_eq!(
            unpacked(&xz.finish().expect("to memory")).expect("xz"),
            text
        );
        assert_eq!(
            unpacked(&zstd::encode_all(&text[..], 3).expect("zstd")).expect("zstd"),
            text
        );
        assert_eq!(unpacked(&gzip(&text)).expect("gzip"), text);
        assert_eq!(unpacked(&text).expect("plain"), text);
        assert_eq!(unpacked(b"").expect("empty"), b"");
        assert_eq!(unpacked(&[0x1f]).expect("one byte"), [0x1f]);
    }

    #[test]
    fn reads_members_one_after_the_other() {
        let both = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(unpacked(&both).expect("two members"), b"one two");
    }

    #[test]
    fn a_cut_stream_is_an_error() {
        let whole = gzip(&b"layer ".repeat(5000));
        assert!(unpacked(&whole[..whole.len() - 9]).is_err());
    }
}
