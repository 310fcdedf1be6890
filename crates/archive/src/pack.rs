//! A file or tree as a tar stream.
//!
//! Nothing is followed out of the tree: directories are opened one below the other, links are entries
//! of their own. What changes meanwhile does not break the stream: a file that shrinks is filled up with
//! zeros, one that is gone is left out, and both are told of.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsString};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use ignite_host::fs::Time;
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, fstatfs, major, minor, openat, readlinkat,
    statat,
};
use rustix::io::Errno;

use crate::source::Source;
use crate::sparse::SparseMap;
use crate::write::{Body, Meta, Writer};

/// Deeper trees than this are not unpacked either.
const DEEPEST: usize = 256;

/// Names of one file that are remembered, at most: past it a file is packed once more.
const MOST_LINKS: usize = 1 << 20;

/// Files up to this size are read before their size is said, as are those that claim to be empty: the
/// kernel makes up the content of some (in `/proc`, `/sys`) while they are read.
const SMALL: u64 = 64 << 10;

/// Bytes that are taken of such a file, at most.
const MOST_MADE_UP: u64 = 16 << 20;

/// Parts of a file with holes; one with more is packed as a whole.
const MOST_PARTS: usize = 8192;

/// Bytes read at once.
const BUFFER: usize = 64 << 10;

/// File systems that the kernel makes up (statfs(2)): proc, sysfs, debugfs, tracefs, securityfs, cgroup,
/// cgroup2, devpts, bpf, configfs, pstore, efivarfs. A tree does not reach into them.
const MADE_UP: [u32; 12] = [
    0x9fa0,
    0x6265_6572,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0x0027_e0eb,
    0x6367_7270,
    0x1cd1,
    0xcafe_4a11,
    0x6265_6570,
    0x6165_676c,
    0xde5e_81e4,
];

/// The kernel's bound on an extended attribute, and on the names of all of a file's.
const LARGEST_XATTR: usize = 1 << 16;

/// What was packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Packed {
    /// Files and links.
    pub files: u64,
    /// Bytes of files.
    pub bytes: u64,
    /// What could not be packed as it is.
    pub faults: u64,
}

/// Writes `source` as a whole archive into `out`. `tell` hears of what is left out or changed meanwhile;
/// those that count as faults are in the result.
pub fn pack(source: &Source, out: impl Write, tell: &mut dyn FnMut(&str)) -> io::Result<Packed> {
    let mut writer = Writer::new(out);
    let packed = pack_as(source, source.name(), None, &mut writer, tell)?;
    writer.finish()?;
    Ok(packed)
}

/// Writes `source` under another name into an archive, all of it belonging to `owner` if one is given.
pub fn pack_as<W: Write>(
    source: &Source,
    name: &[u8],
    owner: Option<(u32, u32)>,
    writer: &mut Writer<W>,
    tell: &mut dyn FnMut(&str),
) -> io::Result<Packed> {
    let mut packer = Packer {
        writer,
        tell,
        owner,
        links: HashMap::new(),
        path: name.to_vec(),
        packed: Packed::default(),
        buffer: vec![0; BUFFER],
    };
    packer.entry(source.parent.as_fd(), &source.lookup, None, 0)?;
    Ok(packer.packed)
}

struct Packer<'a, W> {
    writer: &'a mut Writer<W>,
    tell: &'a mut dyn FnMut(&str),
    owner: Option<(u32, u32)>,
    /// First names of files that have several, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
    /// Of the entry at hand, in the archive.
    path: Vec<u8>,
    packed: Packed,
    buffer: Vec<u8>,
}

impl<W: Write> Packer<'_, W> {
    /// Packs what `name` in `parent` is, which is on the device `device`.
    fn entry(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        device: Option<u64>,
        depth: usize,
    ) -> io::Result<()> {
        let stat = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(errno) => return self.fault("it cannot be looked at", errno),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.directory(parent, name, device, depth),
            FileType::RegularFile => self.regular(parent, name, &stat),
            FileType::Symlink => self.symlink(parent, name, &stat),
            FileType::Fifo => self.plain(&stat, xattrs_at(parent, name), Body::Fifo),
            FileType::CharacterDevice => {
                let body = Body::CharDevice(major(stat.st_rdev), minor(stat.st_rdev));
                self.plain(&stat, xattrs_at(parent, name), body)
            }
            FileType::BlockDevice => {
                let body = Body::BlockDevice(major(stat.st_rdev), minor(stat.st_rdev));
                self.plain(&stat, xattrs_at(parent, name), body)
            }
            FileType::Socket | FileType::Unknown => {
                self.remark("a socket is nothing that can be copied");
                Ok(())
            }
        }
    }

    fn directory(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        device: Option<u64>,
        depth: usize,
    ) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(parent, name, flags, Mode::empty());
        let (directory, stat) = match opened.and_then(|fd| fstat(&fd).map(|stat| (fd, stat))) {
            Ok(opened) => opened,
            Err(errno) => return self.fault("the directory cannot be opened", errno),
        };
        let meta = self.meta(&stat, xattrs_of(directory.as_fd()));
        self.writer.begin(&self.path, &meta, Body::Directory)?;
        let crossed = device.is_some_and(|device| device != stat.st_dev);
        if crossed && fstatfs(&directory).is_ok_and(|fs| MADE_UP.contains(&(fs.f_type as u32))) {
            self.remark("the kernel makes up what is in it: left empty");
            return Ok(());
        }
        if depth == DEEPEST {
            return self.fault("left empty", "the tree is deeper than 256 directories");
        }
        let names = match names(&directory) {
            Ok(names) => names,
            Err(errno) => return self.fault("the directory cannot be read", errno),
        };
        let length = self.path.len();
        for name in names {
            self.path.push(b'/');
            self.path.extend_from_slice(name.to_bytes());
            self.entry(directory.as_fd(), &name, Some(stat.st_dev), depth + 1)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn regular(&mut self, parent: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> io::Result<()> {
        let linked = stat.st_nlink > 1;
        let identity = (stat.st_dev, stat.st_ino);
        if linked && let Some(first) = self.links.get(&identity).cloned() {
            return self.plain(stat, Vec::new(), Body::HardLink(&first));
        }
        // NONBLOCK: it may be another thing by now, and a pipe nobody writes to would be waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = openat(parent, name, flags, Mode::empty());
        let (file, stat) = match opened.and_then(|fd| fstat(&fd).map(|stat| (fd, stat))) {
            Ok((_, stat)) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => {
                return self.fault("left out", "it became another thing meanwhile");
            }
            Ok((fd, stat)) => (File::from(fd), stat),
            Err(errno) => return self.fault("it cannot be opened", errno),
        };
        if linked && self.links.len() < MOST_LINKS {
            self.links.insert(identity, self.path.clone());
        }
        self.file(file, &stat)
    }

    fn file(&mut self, file: File, stat: &Stat) -> io::Result<()> {
        let meta = self.meta(stat, xattrs_of(file.as_fd()));
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        self.packed.files += 1;
        if size <= SMALL {
            return self.small(file, &meta);
        }
        let stored = u64::try_from(stat.st_blocks)
            .unwrap_or(0)
            .saturating_mul(512);
        let map = (stored < size).then(|| parts(&file, size)).flatten();
        match map {
            Some(map) => {
                self.writer.begin(&self.path, &meta, Body::Sparse(&map))?;
                for (offset, length) in &map.parts {
                    self.part(&file, *offset, *length)?;
                }
                Ok(())
            }
            None => {
                self.writer.begin(&self.path, &meta, Body::File(size))?;
                self.part(&file, 0, size)
            }
        }
    }

    /// A file whose size is what can be read of it.
    fn small(&mut self, file: File, meta: &Meta) -> io::Result<()> {
        let mut content = Vec::new();
        match file.take(MOST_MADE_UP + 1).read_to_end(&mut content) {
            Err(error) => self.fault("it cannot be read to its end", error)?,
            Ok(read) if read as u64 > MOST_MADE_UP => {
                content.truncate(read - 1);
                self.fault("cut short", "it grows while it is read")?;
            }
            Ok(_) => {}
        }
        let size = content.len() as u64;
        self.writer.begin(&self.path, meta, Body::File(size))?;
        self.packed.bytes += size;
        self.writer.data(&content)
    }

    /// A range of a file, all of it whatever becomes of the file.
    fn part(&mut self, mut file: &File, offset: u64, length: u64) -> io::Result<()> {
        if let Err(error) = file.seek(SeekFrom::Start(offset)) {
            self.fault("it cannot be read", error)?;
            return self.zeros(length);
        }
        let mut left = length;
        while left > 0 {
            let wanted = BUFFER.min(usize::try_from(left).unwrap_or(BUFFER));
            let read = match file.read(&mut self.buffer[..wanted]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Ok(0) => {
                    self.fault("filled up with zeros", "it became shorter meanwhile")?;
                    return self.zeros(left);
                }
                Err(error) => {
                    self.fault("filled up with zeros", error)?;
                    return self.zeros(left);
                }
                Ok(read) => read,
            };
            self.writer.data(&self.buffer[..read])?;
            self.packed.bytes += read as u64;
            left -= read as u64;
        }
        Ok(())
    }

    fn zeros(&mut self, mut left: u64) -> io::Result<()> {
        self.buffer.fill(0);
        while left > 0 {
            let step = BUFFER.min(usize::try_from(left).unwrap_or(BUFFER));
            self.writer.data(&self.buffer[..step])?;
            left -= step as u64;
        }
        Ok(())
    }

    fn symlink(&mut self, parent: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> io::Result<()> {
        let target = match readlinkat(parent, name, Vec::new()) {
            Ok(target) => target,
            Err(errno) => return self.fault("the link cannot be read", errno),
        };
        self.plain(
            stat,
            xattrs_at(parent, name),
            Body::Symlink(target.to_bytes()),
        )
    }

    /// An entry without data.
    fn plain(
        &mut self,
        stat: &Stat,
        xattrs: Vec<(OsString, Vec<u8>)>,
        body: Body<'_>,
    ) -> io::Result<()> {
        let meta = self.meta(stat, xattrs);
        self.packed.files += 1;
        self.writer.begin(&self.path, &meta, body)
    }

    fn meta(&self, stat: &Stat, xattrs: Vec<(OsString, Vec<u8>)>) -> Meta {
        let (uid, gid) = self.owner.unwrap_or((stat.st_uid, stat.st_gid));
        Meta {
            mode: stat.st_mode & 0o7777,
            uid,
            gid,
            mtime: Time {
                seconds: stat.st_mtime,
                nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
            },
            xattrs,
        }
    }

    fn fault(&mut self, what: &str, why: impl Display) -> io::Result<()> {
        self.packed.faults += 1;
        self.remark(&format!("{what}: {why}"));
        Ok(())
    }

    fn remark(&mut self, text: &str) {
        let path = String::from_utf8_lossy(&self.path).into_owned();
        (self.tell)(&format!("{path:?}: {text}"));
    }
}

/// What is in a directory, in the order of the names.
fn names(directory: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Where a file holds data, if that is worth to be said.
fn parts(file: &File, size: u64) -> Option<SparseMap> {
    use rustix::fs::{SeekFrom, seek};
    let mut parts = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) if start < size => start,
            Ok(_) | Err(Errno::NXIO) => break,
            Err(_) => return None,
        };
        let end = seek(file, SeekFrom::Hole(start)).ok()?.min(size);
        if end <= start || parts.len() == MOST_PARTS {
            return None;
        }
        parts.push((start, end - start));
        at = end;
    }
    Some(SparseMap {
        parts,
        real_size: size,
    })
}

fn xattrs_of(file: BorrowedFd<'_>) -> Vec<(OsString, Vec<u8>)> {
    collect(
        |buffer| rustix::fs::flistxattr(file, buffer),
        |name, buffer| rustix::fs::fgetxattr(file, name, buffer),
    )
}

fn xattrs_at(parent: BorrowedFd<'_>, name: &CStr) -> Vec<(OsString, Vec<u8>)> {
    let path = [
        format!("/proc/self/fd/{}/", parent.as_raw_fd()).as_bytes(),
        name.to_bytes(),
    ]
    .concat();
    let path = OsString::from_vec(path);
    collect(
        |buffer| rustix::fs::llistxattr(&path, buffer),
        |name, buffer| rustix::fs::lgetxattr(&path, name, buffer),
    )
}

/// Extended attributes; none where the file system has none.
fn collect(
    list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    get: impl Fn(&std::ffi::OsStr, &mut [u8]) -> Result<usize, Errno>,
) -> Vec<(OsString, Vec<u8>)> {
    let names = match sized(&list) {
        Some(names) if !names.is_empty() => names,
        _ => return Vec::new(),
    };
    let names = names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    names
        .filter_map(|name| {
            let name = std::ffi::OsStr::from_bytes(name);
            Some((
                name.to_owned(),
                sized(&|buffer: &mut [u8]| get(name, buffer))?,
            ))
        })
        .collect()
}

/// What a call gives that says when there is no room for its answer.
fn sized(call: &impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 256];
    loop {
        match call(&mut bytes) {
            Ok(length) => {
                bytes.truncate(length);
                return Some(bytes);
            }
            Err(Errno::RANGE) if bytes.len() < LARGEST_XATTR => bytes.resize(LARGEST_XATTR, 0),
            Err(_) => return None,
        }
    }
}
