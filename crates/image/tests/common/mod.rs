//! Archives and images made by hand, honest and hostile, and a server that breaks as told.

#![allow(dead_code, reason = "each test program uses its part")]

pub mod image;
pub mod server;

use std::io::Write;
use std::path::Path;

use ignite_image::layer::{Error, Layer, Limits, Unpacked};
use ignite_image::{Silent, unpack_layers};

/// A tar archive written entry by entry, with whatever names and sizes the test wants.
#[derive(Clone, Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

/// Fields of the next entry.
#[derive(Clone)]
pub struct Fields<'a> {
    pub name: &'a str,
    pub kind: u8,
    pub link: &'a str,
    pub mode: u32,
    pub owner: (u32, u32),
    pub device: (u32, u32),
    pub data: &'a [u8],
    pub pax: &'a [(&'a str, &'a [u8])],
}

impl Default for Fields<'_> {
    fn default() -> Self {
        Self {
            name: "",
            kind: b'0',
            link: "",
            mode: 0o644,
            owner: (0, 0),
            device: (0, 0),
            data: b"",
            pax: &[],
        }
    }
}

impl Tar {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn file(self, name: &str, data: &[u8]) -> Self {
        self.entry(Fields {
            name,
            data,
            ..Fields::default()
        })
    }

    pub fn directory(self, name: &str) -> Self {
        self.entry(Fields {
            name,
            kind: b'5',
            mode: 0o755,
            ..Fields::default()
        })
    }

    pub fn symlink(self, name: &str, link: &str) -> Self {
        self.entry(Fields {
            name,
            kind: b'2',
            link,
            mode: 0o777,
            ..Fields::default()
        })
    }

    pub fn hard_link(self, name: &str, link: &str) -> Self {
        self.entry(Fields {
            name,
            kind: b'1',
            link,
            ..Fields::default()
        })
    }

    pub fn entry(mut self, fields: Fields<'_>) -> Self {
        if !fields.pax.is_empty() {
            let records: Vec<u8> = fields
                .pax
                .iter()
                .flat_map(|(key, value)| record(key, value))
                .collect();
            self.header(
                &Fields {
                    name: "pax",
                    kind: b'x',
                    ..Fields::default()
                },
                records.len(),
            );
            self.data(&records);
        }
        self.header(&fields, fields.data.len());
        self.data(fields.data);
        self
    }

    pub fn done(mut self) -> Vec<u8> {
        self.bytes.extend([0; 1024]);
        self.bytes
    }

    fn header(&mut self, fields: &Fields<'_>, size: usize) {
        let mut header = tar::Header::new_gnu();
        // The crate refuses what hostile tests need: the bytes are set as they are.
        header.as_mut_bytes()[..fields.name.len()].copy_from_slice(fields.name.as_bytes());
        header.as_mut_bytes()[157..157 + fields.link.len()].copy_from_slice(fields.link.as_bytes());
        header.set_entry_type(tar::EntryType::new(fields.kind));
        header.set_mode(fields.mode);
        header.set_uid(fields.owner.0.into());
        header.set_gid(fields.owner.1.into());
        header.set_mtime(1_600_000_000);
        header.set_size(size as u64);
        header.set_device_major(fields.device.0).expect("a field");
        header.set_device_minor(fields.device.1).expect("a field");
        header.set_cksum();
        self.bytes.extend(header.as_bytes());
    }

    fn data(&mut self, data: &[u8]) {
        self.bytes.extend(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
    }
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let body = key.len() + value.len() + 3;
    let mut length = body + 1;
    while body + length.to_string().len() != length {
        length += 1;
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("to memory");
    encoder.finish().expect("to memory")
}

/// A layer nobody checks.
pub fn layer(index: usize, bytes: Vec<u8>) -> Layer {
    Layer {
        name: format!("layer-{index}"),
        reader: Box::new(std::io::Cursor::new(bytes)),
        digest: None,
        size: None,
        diff_id: None,
    }
}

/// Unpacks tars, lowest first.
pub fn unpack(root: &Path, tars: &[Vec<u8>]) -> Result<Unpacked, Error> {
    let mut layers = tars
        .iter()
        .cloned()
        .enumerate()
        .map(|(index, bytes)| layer(index, bytes));
    unpack_layers(&mut layers, root, &Limits::default(), &Silent)
}

/// The chain of an error's messages, as a person sees it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(&format!(": {error}"));
        next = error.source();
    }
    text
}

/// Bytes that cannot be packed (xorshift).
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}
