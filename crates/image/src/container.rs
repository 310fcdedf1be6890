//! Local files that hold an image's blobs: a directory, or a tar archive read in place.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::decompress::{self, Compression};
use crate::layer::{Entries, Kind, TarError};

/// More members than any image archive has.
const MOST_MEMBERS: usize = 100_000;
/// Links between members that are followed.
const MOST_LINKS: usize = 8;

/// Errors of reading local images.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// It is no archive.
    #[error("{} cannot be read as a tar archive", path.display())]
    Tar {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: TarError,
    },
    /// An archive with too many members.
    #[error("{} holds more than {MOST_MEMBERS} files", path.display())]
    Members {
        /// The file.
        path: PathBuf,
    },
    /// Something an image of this kind always has.
    #[error("{} holds no {}", path.display(), member.display())]
    Missing {
        /// The directory or archive.
        path: PathBuf,
        /// What is not in it.
        member: PathBuf,
    },
    /// A document larger than any real one.
    #[error("{} in {} is larger than {max} bytes", member.display(), path.display())]
    TooLarge {
        /// The directory or archive.
        path: PathBuf,
        /// The document.
        member: PathBuf,
        /// The bound.
        max: u64,
    },
}

/// Where files are found by relative path.
#[derive(Debug, Clone)]
pub(crate) enum Container {
    Directory(PathBuf),
    Archive(Archive),
}

/// A tar archive and where its members are in it.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    path: PathBuf,
    file: Arc<File>,
    members: Arc<HashMap<PathBuf, Member>>,
}

#[derive(Debug)]
enum Member {
    File { offset: u64, length: u64 },
    Link(PathBuf),
}

impl Container {
    /// A reader of one file and its size.
    pub fn open(&self, member: &Path) -> Result<(Box<dyn Read + Send>, u64), ContainerError> {
        match self {
            Self::Directory(directory) => {
                let path = directory.join(member);
                match std::fs::metadata(&path) {
                    Ok(metadata) if metadata.is_file() => {
                        Ok((Box::new(Lazy { path, file: None }), metadata.len()))
                    }
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        Err(ContainerError::Read {
                            path,
                            source: error,
                        })
                    }
                    _ => Err(self.missing(member)),
                }
            }
            Self::Archive(archive) => archive.open(member).ok_or_else(|| self.missing(member)),
        }
    }

    /// The whole of a small file.
    pub fn read(&self, member: &Path, max: u64) -> Result<Vec<u8>, ContainerError> {
        let (reader, _) = self.open(member)?;
        let mut bytes = Vec::new();
        let result = reader.take(max + 1).read_to_end(&mut bytes);
        result.map_err(|source| ContainerError::Read {
            path: self.path().join(member),
            source,
        })?;
        if bytes.len() as u64 > max {
            let path = self.path().to_owned();
            return Err(ContainerError::TooLarge {
                path,
                member: member.to_owned(),
                max,
            });
        }
        Ok(bytes)
    }

    pub fn path(&self) -> &Path {
        match self {
            Self::Directory(path) => path,
            Self::Archive(archive) => &archive.path,
        }
    }

    fn missing(&self, member: &Path) -> ContainerError {
        ContainerError::Missing {
            path: self.path().to_owned(),
            member: member.to_owned(),
        }
    }
}

impl Archive {
    /// Finds the members of the archive `path`. A packed one is unpacked to `scratch()` first, because
    /// its members are read in another order than they lie.
    pub fn open_file(
        path: &Path,
        scratch: impl FnOnce() -> io::Result<File>,
    ) -> Result<Self, ContainerError> {
        let read = |source| ContainerError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(read)?;
        let mut start = [0; 8];
        let length = file.read_at(&mut start, 0).map_err(read)?;
        let file = match Compression::of(&start[..length]) {
            Compression::Plain => file,
            _ => unpacked(file, scratch).map_err(read)?,
        };
        let members = members(path, &file)?;
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(file),
            members: Arc::new(members),
        })
    }

    fn open(&self, member: &Path) -> Option<(Box<dyn Read + Send>, u64)> {
        let mut path = normal(member)?;
        for _ in 0..MOST_LINKS {
            match self.members.get(&path)? {
                Member::Link(target) => path = target.clone(),
                Member::File { offset, length } => {
                    let file = Arc::clone(&self.file);
                    let section = Section {
                        file,
                        position: *offset,
                        end: offset + length,
                    };
                    return Some((Box::new(section), *length));
                }
            }
        }
        None
    }
}

fn unpacked(packed: File, scratch: impl FnOnce() -> io::Result<File>) -> io::Result<File> {
    let mut file = scratch()?;
    io::copy(&mut decompress::reader(BufReader::new(packed))?, &mut file)?;
    Ok(file)
}

fn members(path: &Path, file: &File) -> Result<HashMap<PathBuf, Member>, ContainerError> {
    let tar = |source| ContainerError::Tar {
        path: path.to_owned(),
        source,
    };
    let section = Section {
        file: Arc::new(file.try_clone().map_err(|e| tar(e.into()))?),
        position: 0,
        end: u64::MAX,
    };
    let mut entries = Entries::new(Positioned::new(section));
    let mut members = HashMap::new();
    while let Some(entry) = entries.next_entry().map_err(tar)? {
        let Some(name) = normal(&entry.path) else {
            continue;
        };
        let member = match entry.kind {
            Kind::File(None) => Member::File {
                offset: entries.get_ref().position,
                length: entry.size,
            },
            Kind::HardLink(target) => Member::Link(normal(&target).unwrap_or_default()),
            // Older versions of Docker write a layer once and link to it.
            Kind::Symlink(target) => {
                let target = name.parent().unwrap_or(Path::new("")).join(target);
                Member::Link(normal(&target).unwrap_or_default())
            }
            _ => continue,
        };
        members.insert(name, member);
        if members.len() > MOST_MEMBERS {
            return Err(ContainerError::Members {
                path: path.to_owned(),
            });
        }
    }
    Ok(members)
}

/// Without `.` and `..`, by the text alone; nothing is opened by it.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir if !normal.pop() => return None,
            _ => {}
        }
    }
    Some(normal)
}

/// Opened when it is first read: an image may have more layers than a process may open files.
struct Lazy {
    path: PathBuf,
    file: Option<File>,
}

impl Read for Lazy {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.read(buffer),
            None => self.file.insert(File::open(&self.path)?).read(buffer),
        }
    }
}

/// A part of a file, read without moving the file's own position.
struct Section {
    file: Arc<File>,
    position: u64,
    end: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let count = self.file.read_at(&mut buffer[..length], self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

/// Knows how far it was read.
struct Positioned<R> {
    inner: BufReader<R>,
    position: u64,
}

impl<R: Read> Positioned<R> {
    fn new(inner: R) -> Self {
        Self {
            inner: BufReader::with_capacity(256 << 10, inner),
            position: 0,
        }
    }
}

impl<R: Read> Read for Positioned<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl<R: Read> BufRead for Positioned<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
        self.position += count as u64;
    }
}
