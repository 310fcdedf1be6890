//! The entries of a tar stream, with all that the GNU and pax formats add, in bounded memory.
//!
//! The `tar` crate reads the fields of a header; its own iterator is not used: it holds extended
//! headers of any length in memory, cuts pax records at line ends (which breaks binary extended
//! attributes) and knows no sparse pax files.

use std::ffi::OsString;
use std::io::{self, BufRead, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use ignite_host::fs::Time;
use tar::{EntryType, Header};

use crate::pax::Pax;
use crate::sparse::SparseMap;

/// Size of the units of an archive.
pub(crate) const BLOCK: usize = 512;
/// Names and extended attributes of one entry never need more.
pub(crate) const LONGEST_EXTENSION: u64 = 1 << 20;

/// What can go wrong in the format.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream could not be read.
    #[error("cannot read the archive")]
    Read(#[from] io::Error),
    /// A header's sum is wrong.
    #[error("not a tar archive, or damaged: a header's checksum is wrong")]
    Checksum,
    /// The stream ends in the middle.
    #[error("the archive is cut short")]
    Cut,
    /// A field of a header is no number.
    #[error("a header's field {0} cannot be read")]
    Field(&'static str),
    /// A name or the extended attributes of one entry are larger than any real one.
    #[error("an extended header is larger than {LONGEST_EXTENSION} bytes")]
    TooLong,
    /// The extended header breaks its format.
    #[error("a pax header is malformed")]
    Pax,
    /// The map of a sparse file contradicts itself.
    #[error("the map of a sparse file is malformed")]
    Sparse,
    /// An entry of a type nobody defined.
    #[error("an entry has the unknown type {:?}", char::from(*.0))]
    UnknownType(u8),
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file; with a map if it has holes.
    File(Option<SparseMap>),
    /// Another name of an earlier file.
    HardLink(PathBuf),
    /// A symbolic link with its target.
    Symlink(OsString),
    /// A directory.
    Directory,
    /// A character device by major and minor number.
    CharDevice(u32, u32),
    /// A block device by major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

/// One entry; its data is read from [`Entries::data`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As the archive has it, unchecked.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
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
    /// Bytes of data in the archive.
    pub size: u64,
}

/// Reads entry after entry.
#[derive(Debug)]
pub struct Entries<R> {
    reader: R,
    /// Bytes of the current entry's data not read yet.
    data: u64,
    /// Bytes of padding behind it.
    padding: u64,
    global: Pax,
}

/// What describes the entry to come.
#[derive(Default)]
struct Extensions {
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    pax: Option<Pax>,
}

impl<R: BufRead> Entries<R> {
    /// Of the plain (unpacked) stream `reader`.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            data: 0,
            padding: 0,
            global: Pax::default(),
        }
    }

    /// The stream; after [`Self::next_entry`] it is at the entry's data.
    pub fn get_ref(&self) -> &R {
        &self.reader
    }

    /// The next entry, none at the end of the archive.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_rest()?;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let size = header.entry_size().map_err(|_| TarError::Field("size"))?;
            match header.entry_type() {
                EntryType::GNULongName => extensions.long_name = Some(self.name(size)?),
                EntryType::GNULongLink => extensions.long_link = Some(self.name(size)?),
                EntryType::XHeader => {
                    let bytes = self.extension(size)?;
                    let global = &self.global;
                    extensions
                        .pax
                        .get_or_insert_with(|| global.clone())
                        .read(&bytes)?;
                }
                EntryType::XGlobalHeader => {
                    let bytes = self.extension(size)?;
                    self.global.read(&bytes)?;
                }
                // Volume labels and the like, of no use in a tree; Solaris' own extended headers.
                kind if matches!(kind.as_byte(), b'V' | b'X') => self.begin_data(size),
                _ => return self.entry(&header, size, extensions).map(Some),
            }
        }
    }

    /// The data of the entry just returned, as stored: the parts of a sparse file one after the other.
    pub fn data(&mut self) -> Data<'_, R> {
        Data(self)
    }

    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let mut header = Header::new_old();
        if !read_block(&mut self.reader, header.as_mut_bytes())? {
            return Ok(None);
        }
        let bytes = header.as_bytes();
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        // The checksum's own field counts as spaces.
        let expected = sum(&bytes[..148]) + 8 * 32 + sum(&bytes[156..]);
        if header.cksum().ok() != Some(expected) {
            return Err(TarError::Checksum);
        }
        Ok(Some(header))
    }

    fn entry(
        &mut self,
        header: &Header,
        size: u64,
        extensions: Extensions,
    ) -> Result<Entry, TarError> {
        let pax = extensions.pax.unwrap_or_else(|| self.global.clone());
        let mut size = pax.size.unwrap_or(size);
        let sparse_name = pax.sparse.name.clone();
        let name = sparse_name.or(extensions.long_name).or(pax.path.clone());
        let name = name.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = extensions.long_link.or(pax.link.clone());
        let link = link.or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        let kind = self.kind(header, &name, link, &pax, &mut size)?;
        if !matches!(kind, Kind::File(_)) {
            // Some writers repeat the file's size in a hard link; no data follows.
            size = 0;
        }
        self.begin_data(size);
        let field = |name| move |_| TarError::Field(name);
        Ok(Entry {
            path: path(name),
            kind,
            mode: header.mode().map_err(field("mode"))? & 0o7777,
            uid: id(
                pax.uid
                    .map_or_else(|| header.uid(), Ok)
                    .map_err(field("uid"))?,
                "uid",
            )?,
            gid: id(
                pax.gid
                    .map_or_else(|| header.gid(), Ok)
                    .map_err(field("gid"))?,
                "gid",
            )?,
            mtime: pax.mtime.unwrap_or_else(|| mtime(header)),
            xattrs: pax.xattrs,
            size,
        })
    }

    fn kind(
        &mut self,
        header: &Header,
        name: &[u8],
        link: Option<Vec<u8>>,
        pax: &Pax,
        size: &mut u64,
    ) -> Result<Kind, TarError> {
        let target = || {
            link.filter(|link| !link.is_empty())
                .ok_or(TarError::Field("linkname"))
        };
        Ok(match header.entry_type() {
            // Before there were directory entries, a name ending in a slash was one.
            EntryType::Regular if name.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => {
                Kind::File(SparseMap::pax(&pax.sparse, &mut self.reader, size)?)
            }
            EntryType::GNUSparse => {
                let gnu = header.as_gnu().ok_or(TarError::Sparse)?;
                Kind::File(Some(SparseMap::old_gnu(gnu, &mut self.reader, *size)?))
            }
            EntryType::Link => Kind::HardLink(path(target()?)),
            EntryType::Symlink => Kind::Symlink(OsString::from_vec(target()?)),
            EntryType::Directory => Kind::Directory,
            kind if kind.as_byte() == b'D' => Kind::Directory,
            EntryType::Char => {
                let (major, minor) = device(header)?;
                Kind::CharDevice(major, minor)
            }
            EntryType::Block => {
                let (major, minor) = device(header)?;
                Kind::BlockDevice(major, minor)
            }
            EntryType::Fifo => Kind::Fifo,
            other => return Err(TarError::UnknownType(other.as_byte())),
        })
    }

    fn begin_data(&mut self, size: u64) {
        self.data = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        if size > LONGEST_EXTENSION {
            return Err(TarError::TooLong);
        }
        self.begin_data(size);
        let mut bytes = Vec::new();
        self.data().read_to_end(&mut bytes)?;
        if bytes.len() as u64 == size {
            Ok(bytes)
        } else {
            Err(TarError::Cut)
        }
    }

    fn name(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        let mut bytes = self.extension(size)?;
        let end = bytes
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(bytes.len());
        bytes.truncate(end);
        Ok(bytes)
    }

    fn skip_rest(&mut self) -> Result<(), TarError> {
        let mut left = self
            .data
            .checked_add(self.padding)
            .ok_or(TarError::Field("size"))?;
        while left > 0 {
            let available = self.reader.fill_buf()?.len();
            if available == 0 {
                return Err(TarError::Cut);
            }
            let step = available.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.reader.consume(step);
            left -= step as u64;
        }
        (self.data, self.padding) = (0, 0);
        Ok(())
    }
}

/// The data of one entry. Its end is the entry's end or the stream's: the caller counts.
#[derive(Debug)]
pub struct Data<'a, R>(&'a mut Entries<R>);

impl<R: BufRead> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Data<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.0.data == 0 {
            return Ok(&[]);
        }
        let bytes = self.0.reader.fill_buf()?;
        let length = bytes
            .len()
            .min(usize::try_from(self.0.data).unwrap_or(usize::MAX));
        Ok(&bytes[..length])
    }

    fn consume(&mut self, count: usize) {
        self.0.reader.consume(count);
        self.0.data -= count as u64;
    }
}

/// Fills `block`; false at a clean end of the stream.
pub(crate) fn read_block(reader: &mut impl BufRead, block: &mut [u8]) -> Result<bool, TarError> {
    if reader.fill_buf()?.is_empty() {
        return Ok(false);
    }
    match reader.read_exact(block) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(TarError::Cut),
        Err(error) => Err(error.into()),
    }
}

fn path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

fn id(value: u64, field: &'static str) -> Result<u32, TarError> {
    u32::try_from(value).map_err(|_| TarError::Field(field))
}

fn device(header: &Header) -> Result<(u32, u32), TarError> {
    let field = |_| TarError::Field("device");
    let major = header.device_major().map_err(field)?;
    let minor = header.device_minor().map_err(field)?;
    Ok((major.unwrap_or(0), minor.unwrap_or(0)))
}

/// A time nobody can read is no reason to refuse a file.
fn mtime(header: &Header) -> Time {
    let seconds = header
        .mtime()
        .ok()
        .and_then(|seconds| i64::try_from(seconds).ok());
    Time {
        seconds: seconds.unwrap_or(0),
        nanoseconds: 0,
    }
}
