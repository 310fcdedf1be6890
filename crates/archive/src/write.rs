//! The entries of a tar stream, written: ustar headers, with pax records where those are too small.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use ignite_host::fs::Time;
use tar::{EntryType, Header};

use crate::read::BLOCK;
use crate::sparse::SparseMap;

/// The largest owner a header's own field holds: seven octal digits.
const LARGEST_ID: u32 = 0o777_7777;

/// What is said of every entry.
#[derive(Debug, Clone)]
pub struct Meta {
    /// Permission bits, `07777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of last change.
    pub mtime: Time,
    /// Extended attributes by full name.
    pub xattrs: Vec<(OsString, Vec<u8>)>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// A regular file of that many bytes, which are to follow.
    File(u64),
    /// A regular file with holes; the parts of its map are to follow.
    Sparse(&'a SparseMap),
    /// Another name of an earlier file.
    HardLink(&'a [u8]),
    /// A symbolic link with its target.
    Symlink(&'a [u8]),
    /// A directory.
    Directory,
    /// A character device by major and minor number.
    CharDevice(u32, u32),
    /// A block device by major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

impl Body<'_> {
    fn kind(self) -> EntryType {
        match self {
            Self::File(_) | Self::Sparse(_) => EntryType::Regular,
            Self::HardLink(_) => EntryType::Link,
            Self::Symlink(_) => EntryType::Symlink,
            Self::Directory => EntryType::Directory,
            Self::CharDevice(..) => EntryType::Char,
            Self::BlockDevice(..) => EntryType::Block,
            Self::Fifo => EntryType::Fifo,
        }
    }
}

/// Writes entry after entry.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// Bytes of padding behind the current entry's data.
    padding: usize,
}

impl<W: Write> Writer<W> {
    /// Into `out`.
    pub fn new(out: W) -> Self {
        Self { out, padding: 0 }
    }

    /// Begins an entry; its data follows by [`Writer::data`], all of it.
    pub fn begin(&mut self, path: &[u8], meta: &Meta, body: Body<'_>) -> io::Result<()> {
        let map = match body {
            Body::Sparse(map) => map_block(map),
            _ => Vec::new(),
        };
        let size = match body {
            Body::File(size) => size,
            Body::Sparse(map_of) => {
                let parts = map_of.parts.iter().map(|(_, length)| length);
                map.len() as u64 + parts.sum::<u64>()
            }
            _ => 0,
        };
        self.pad()?;
        let records = records(path, meta, body);
        if !records.is_empty() {
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::XHeader);
            put(&mut header.as_old_mut().name, b"pax");
            header.set_mode(0o600);
            self.header(header, records.len() as u64)?;
            self.out.write_all(&records)?;
            self.padding = padding(records.len() as u64);
            self.pad()?;
        }
        self.header(plain(path, meta, body), size)?;
        self.padding = padding(size);
        self.out.write_all(&map)
    }

    /// Some of the entry's data.
    pub fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Ends the archive.
    pub fn finish(mut self) -> io::Result<()> {
        self.pad()?;
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()
    }

    fn header(&mut self, mut header: Header, size: u64) -> io::Result<()> {
        header.set_size(size);
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    fn pad(&mut self) -> io::Result<()> {
        let padding = std::mem::take(&mut self.padding);
        self.out.write_all(&[0; BLOCK][..padding])
    }
}

fn padding(size: u64) -> usize {
    usize::try_from(size.wrapping_neg() % BLOCK as u64).expect("less than a block")
}

/// The header itself, with what does not fit cut off.
fn plain(path: &[u8], meta: &Meta, body: Body<'_>) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(body.kind());
    header.set_mode(meta.mode & 0o7777);
    header.set_uid(meta.uid.min(LARGEST_ID).into());
    header.set_gid(meta.gid.min(LARGEST_ID).into());
    header.set_mtime(u64::try_from(meta.mtime.seconds).unwrap_or(0));
    put(&mut header.as_old_mut().name, path);
    if let Body::HardLink(target) | Body::Symlink(target) = body {
        put(&mut header.as_old_mut().linkname, target);
    }
    if let Body::CharDevice(major, minor) | Body::BlockDevice(major, minor) = body {
        // Of a ustar header, which has the fields.
        let set = header.set_device_major(major);
        let _ = set.and_then(|()| header.set_device_minor(minor));
    }
    header
}

fn put(field: &mut [u8], value: &[u8]) {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
}

/// The pax records of an entry; none where its header says everything.
fn records(path: &[u8], meta: &Meta, body: Body<'_>) -> Vec<u8> {
    let mut records = Vec::new();
    if let Body::Sparse(map) = body {
        record(&mut records, b"GNU.sparse.major", b"1");
        record(&mut records, b"GNU.sparse.minor", b"0");
        record(&mut records, b"GNU.sparse.name", path);
        let size = map.real_size.to_string();
        record(&mut records, b"GNU.sparse.realsize", size.as_bytes());
    }
    if path.len() > 100 {
        record(&mut records, b"path", path);
    }
    if let Body::HardLink(target) | Body::Symlink(target) = body
        && target.len() > 100
    {
        record(&mut records, b"linkpath", target);
    }
    for (key, id) in [(&b"uid"[..], meta.uid), (&b"gid"[..], meta.gid)] {
        if id > LARGEST_ID {
            record(&mut records, key, id.to_string().as_bytes());
        }
    }
    if meta.mtime.nanoseconds != 0 || meta.mtime.seconds < 0 {
        record(&mut records, b"mtime", time(meta.mtime).as_bytes());
    }
    for (name, value) in &meta.xattrs {
        let key = [b"SCHILY.xattr.", name.as_bytes()].concat();
        record(&mut records, &key, value);
    }
    records
}

/// `"<length> <key>=<value>\n"`; the length counts its own digits.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let body = key.len() + value.len() + 3;
    let mut length = body + 1;
    while body + length.to_string().len() != length {
        length = body + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Seconds with a fraction, of which a negative number's counts downwards.
fn time(time: Time) -> String {
    match (time.seconds, time.nanoseconds) {
        (seconds @ ..0, nanoseconds @ 1..) => {
            let (whole, fraction) = (-(seconds + 1), 1_000_000_000 - nanoseconds);
            format!("-{whole}.{fraction:09}")
        }
        (seconds, nanoseconds) => format!("{seconds}.{nanoseconds:09}"),
    }
}

/// The map of pax format 1.0, whole blocks. A hole at the end has an empty part behind it: GNU tar takes
/// the file's size from the last part of the map, and from nothing else.
fn map_block(map: &SparseMap) -> Vec<u8> {
    let data_end = map
        .parts
        .last()
        .map_or(0, |(offset, length)| offset + length);
    let end = (data_end < map.real_size).then_some((map.real_size, 0));
    let mut text = format!("{}\n", map.parts.len() + usize::from(end.is_some()));
    for (offset, length) in map.parts.iter().copied().chain(end) {
        text.push_str(&format!("{offset}\n{length}\n"));
    }
    let mut bytes = text.into_bytes();
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::read::{Entries, Entry, Kind};

    fn meta() -> Meta {
        Meta {
            mode: 0o4751,
            uid: 3_000_000_000,
            gid: 7,
            mtime: Time {
                seconds: -5,
                nanoseconds: 250_000_000,
            },
            xattrs: vec![("user.note".into(), b"a\nb=\0".to_vec())],
        }
    }

    fn read_back(bytes: &[u8]) -> Vec<(Entry, Vec<u8>)> {
        let mut entries = Entries::new(bytes);
        let mut all = Vec::new();
        while let Some(entry) = entries.next_entry().expect("an archive") {
            let mut data = Vec::new();
            entries.data().read_to_end(&mut data).expect("its data");
            all.push((entry, data));
        }
        all
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        let long = b"x".repeat(300);
        let map = SparseMap {
            parts: vec![(4096, 3), (1 << 40, 2)],
            real_size: 1 << 41,
        };
        let bodies = [
            Body::Symlink(&long),
            Body::HardLink(b"a"),
            Body::Directory,
            Body::CharDevice(1, 3),
            Body::BlockDevice(259, 7),
            Body::Fifo,
        ];
        for body in bodies {
            writer.begin(&long, &meta(), body).expect("memory");
        }
        writer.begin(b"f", &meta(), Body::File(5)).expect("memory");
        writer.data(b"he").expect("memory");
        writer.data(b"llo").expect("memory");
        writer
            .begin(b"holes", &meta(), Body::Sparse(&map))
            .expect("memory");
        writer.data(b"12345").expect("memory");
        writer.finish().expect("memory");

        let all = read_back(&bytes);
        let path = PathBuf::from(String::from_utf8(long.clone()).expect("text"));
        assert!(all[..6].iter().all(|(entry, _)| entry.path == path));
        let kinds: Vec<&Kind> = all.iter().map(|(entry, _)| &entry.kind).collect();
        assert_eq!(kinds[0], &Kind::Symlink(path.clone().into_os_string()));
        assert_eq!(kinds[1], &Kind::HardLink("a".into()));
        assert_eq!(kinds[3], &Kind::CharDevice(1, 3));
        assert_eq!(kinds[4], &Kind::BlockDevice(259, 7));
        assert_eq!(kinds[7], &Kind::File(Some(map)));
        assert_eq!(
            (&all[6].1[..], &all[7].1[..]),
            (&b"hello"[..], &b"12345"[..])
        );
        for (entry, _) in &all {
            let expected = meta();
            assert_eq!(
                (entry.mode, entry.uid, entry.gid, entry.mtime),
                (expected.mode, expected.uid, expected.gid, expected.mtime)
            );
            assert_eq!(entry.xattrs, expected.xattrs);
        }
    }

    proptest! {
        #[test]
        fn any_name_and_time_is_read_back(
            name in proptest::collection::vec(1u8.., 1..400),
            seconds in -10_000_000_000i64..10_000_000_000,
            nanoseconds in 0u32..1_000_000_000,
        ) {
            let mut bytes = Vec::new();
            let mut writer = Writer::new(&mut bytes);
            let mtime = Time { seconds, nanoseconds };
            let meta = Meta { mtime, ..meta() };
            writer.begin(&name, &meta, Body::Fifo).expect("memory");
            writer.finish().expect("memory");
            let all = read_back(&bytes);
            prop_assert_eq!(all[0].0.path.as_os_str().as_bytes(), &name[..]);
            prop_assert_eq!(all[0].0.mtime, mtime);
        }
    }
}
