//! Compressed bytes, told by their first bytes and undone within a bound.
//!
//! Kernels, modules and the members of packages come in the same few formats. Kernel builds append
//! the size of the content as four bytes to what they compress, which some decoders take for a
//! frame cut short: trailing bytes are ignored here.

use std::io::{self, Read};

use lzma_rust2::{LzmaReader, XzReader};

/// What a decoder may use for its dictionary, in KiB; kernels are built with at most 128 MiB.
const MEMORY_LIMIT_KIB: u32 = 256 * 1024;
/// The legacy frame of lz4 has blocks of this many bytes, the last one shorter.
const LZ4_BLOCK: usize = 8 * 1024 * 1024;
const LZ4_LEGACY: [u8; 4] = 0x184c_2102_u32.to_le_bytes();

/// A compression format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// zstd.
    Zstd,
    /// lz4 in its legacy frame, which is the kernel's.
    Lz4,
    /// lzma "alone".
    Lzma,
    /// bzip2; not undone.
    Bzip2,
    /// lzop; not undone.
    Lzo,
}

/// Why bytes could not be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A format this program does not read.
    #[error("{} compression is not supported", format.name())]
    Unsupported {
        /// The format.
        format: Format,
    },
    /// The bytes are not what they say they are.
    #[error("the {} data is damaged or cut short", format.name())]
    Damaged {
        /// The format.
        format: Format,
        /// The decoder's complaint.
        source: io::Error,
    },
    /// More comes out than may.
    #[error("more than {max} bytes come out of the {} data", format.name())]
    TooLarge {
        /// The format.
        format: Format,
        /// The bound in bytes.
        max: u64,
    },
}

impl Format {
    /// The format of bytes that begin with `head`, if it is a compressed one. Six bytes suffice.
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [b'B', b'Z', b'h', ..] => Some(Self::Bzip2),
            [0x89, b'L', b'Z', b'O', ..] => Some(Self::Lzo),
            [0x5d, 0, 0, ..] => Some(Self::Lzma),
            head if head.starts_with(&LZ4_LEGACY) => Some(Self::Lz4),
            _ => None,
        }
    }

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Lzma => "lzma",
            Self::Bzip2 => "bzip2",
            Self::Lzo => "lzo",
        }
    }

    /// All that comes out of `bytes`, at most `max` bytes.
    pub fn decompress(self, bytes: &[u8], max: u64) -> Result<Vec<u8>, Error> {
        let damaged = |source| Error::Damaged {
            format: self,
            source,
        };
        let mut content = Vec::new();
        if self == Self::Lz4 {
            lz4_legacy(bytes, max, &mut content).map_err(damaged)?;
        } else {
            self.reader(bytes)?
                .take(max.saturating_add(1))
                .read_to_end(&mut content)
                .map_err(damaged)?;
        }
        if content.len() as u64 > max {
            return Err(Error::TooLarge { format: self, max });
        }
        Ok(content)
    }

    /// A reader of what comes out of `input`; for lz4 there is none, see [`Format::decompress`].
    pub fn reader<'a>(self, input: impl Read + 'a) -> Result<Box<dyn Read + 'a>, Error> {
        let damaged = |source| Error::Damaged {
            format: self,
            source,
        };
        Ok(match self {
            Self::Gzip => Box::new(flate2::read::GzDecoder::new(input)),
            Self::Xz => Box::new(XzReader::new_mem_limit(input, false, MEMORY_LIMIT_KIB)),
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::new(input).map_err(damaged)?;
                Box::new(decoder.single_frame())
            }
            Self::Lzma => {
                Box::new(LzmaReader::new_mem_limit(input, MEMORY_LIMIT_KIB, None).map_err(damaged)?)
            }
            Self::Lz4 | Self::Bzip2 | Self::Lzo => {
                return Err(Error::Unsupported { format: self });
            }
        })
    }
}

/// Blocks, each behind its compressed size; a new magic may come between two, and four bytes with
/// the size of the whole content (mod 2^32) may follow the last. Stops soon after `max` bytes.
fn lz4_legacy(bytes: &[u8], max: u64, content: &mut Vec<u8>) -> io::Result<()> {
    let mut rest = &bytes[LZ4_LEGACY.len().min(bytes.len())..];
    while content.len() as u64 <= max {
        let Some((word, after)) = rest.split_first_chunk::<4>() else {
            return if rest.is_empty() {
                Ok(())
            } else {
                Err(cut_short())
            };
        };
        let word = u32::from_le_bytes(*word);
        if after.is_empty() && word == content.len() as u32 {
            return Ok(());
        }
        rest = after;
        if word.to_le_bytes() == LZ4_LEGACY {
            continue;
        }
        let block = rest.get(..word as usize).ok_or_else(cut_short)?;
        rest = &rest[block.len()..];
        let start = content.len();
        content.resize(start + LZ4_BLOCK, 0);
        let length = lz4_flex::block::decompress_into(block, &mut content[start..])
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        content.truncate(start + length);
    }
    Ok(())
}

fn cut_short() -> io::Error {
    io::Error::from(io::ErrorKind::UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn content() -> Vec<u8> {
        (0..200_000_u32)
            .flat_map(|n| (n / 7).to_le_bytes())
            .collect()
    }

    fn lz4(content: &[u8]) -> Vec<u8> {
        let mut bytes = LZ4_LEGACY.to_vec();
        for chunk in content.chunks(LZ4_BLOCK) {
            let block = lz4_flex::block::compress(chunk);
            bytes.extend((block.len() as u32).to_le_bytes());
            bytes.extend(block);
        }
        bytes
    }

    /// The same content in every format that is undone.
    pub(crate) fn compressed(content: &[u8]) -> Vec<(Format, Vec<u8>)> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(content).expect("to memory");
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0))
            .expect("a preset");
        xz.write_all(content).expect("to memory");
        let mut lzma = lzma_rust2::LzmaWriter::new_use_header(
            Vec::new(),
            &lzma_rust2::LzmaOptions::with_preset(0),
            None,
        )
        .expect("a preset");
        lzma.write_all(content).expect("to memory");
        vec![
            (Format::Gzip, gzip.finish().expect("to memory")),
            (Format::Xz, xz.finish().expect("to memory")),
            (Format::Lzma, lzma.finish().expect("to memory")),
            (
                Format::Zstd,
                zstd::encode_all(content, 1).expect("to memory"),
            ),
            (Format::Lz4, lz4(content)),
        ]
    }

    #[test]
    fn every_format_is_told_and_undone_with_and_without_the_size_behind() {
        let content = content();
        for (format, mut bytes) in compressed(&content) {
            assert_eq!(Format::of(&bytes), Some(format));
            assert_eq!(format.decompress(&bytes, 1 << 20).expect("whole"), content);
            bytes.extend((content.len() as u32).to_le_bytes());
            assert_eq!(
                format.decompress(&bytes, 1 << 20).expect("with size"),
                content
            );
        }
    }

    #[test]
    fn more_than_the_bound_is_refused() {
        for (format, bytes) in compressed(&content()) {
            let error = format.decompress(&bytes, 1000).expect_err("too much");
            assert!(
                matches!(error, Error::TooLarge { max: 1000, .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn formats_not_undone_are_named() {
        let format = Format::of(b"BZh91AY&SY").expect("bzip2");
        let error = format
            .decompress(b"BZh91AY&SY", 1000)
            .expect_err("unsupported");
        assert_eq!(error.to_string(), "bzip2 compression is not supported");
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_an_error_never_a_panic(
            mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            keep in any::<prop::sample::Index>(),
        ) {
            for (format, mut bytes) in compressed(b"some words, some words, and again some words") {
                bytes.truncate(keep.index(bytes.len() + 1));
                for (index, value) in &mutations {
                    if !bytes.is_empty() {
                        let at = index.index(bytes.len());
                        bytes[at] = *value;
                    }
                }
                let _ = format.decompress(&bytes, 1 << 16);
            }
        }
    }
}
