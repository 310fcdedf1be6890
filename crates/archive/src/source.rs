//! What is to be packed: opened, and named.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};

/// A file or tree.
#[derive(Debug)]
pub struct Source {
    /// The directory it is in, or is.
    pub(crate) parent: OwnedFd,
    /// Its name there.
    pub(crate) lookup: CString,
    name: Vec<u8>,
    kind: FileType,
    size: u64,
}

/// Why there is nothing to be packed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is not there, or cannot be looked at.
    #[error("cannot read {}", path.display())]
    Io {
        /// As it was given.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl SourceError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let Self::Io { source, .. } = self;
        match source.kind() {
            io::ErrorKind::NotFound => Some("check the path; nothing was copied".into()),
            _ => ignite_host::error::hint(source),
        }
    }
}

impl Source {
    /// What `path` names. A symbolic link is meant itself, unless it is to be followed or the path ends
    /// in a slash. A path that ends in `/.` means what is in the directory, and not the directory.
    pub fn open(path: &Path, follow: bool) -> Result<Self, SourceError> {
        let failed = |source: io::Error| SourceError::Io {
            path: path.to_owned(),
            source,
        };
        let place = Place::of(path, follow).map_err(failed)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = openat(CWD, &place.parent, flags, Mode::empty());
        let parent = parent.map_err(|errno| failed(errno.into()))?;
        let lookup =
            CString::new(place.lookup).map_err(|_| failed(io::ErrorKind::InvalidInput.into()))?;
        let stat = statat(&parent, &lookup, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| failed(errno.into()))?;
        Ok(Self {
            parent,
            lookup,
            name: place.name,
            kind: FileType::from_raw_mode(stat.st_mode),
            size: u64::try_from(stat.st_size).unwrap_or(0),
        })
    }

    /// What it is called in the archive; `.` where only the content of a directory is meant.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether it is a symbolic link.
    pub fn is_link(&self) -> bool {
        self.kind == FileType::Symlink
    }

    /// Its bytes, where it is a file.
    pub fn size(&self) -> Option<u64> {
        (self.kind == FileType::RegularFile).then_some(self.size)
    }
}

struct Place {
    parent: PathBuf,
    lookup: Vec<u8>,
    name: Vec<u8>,
}

impl Place {
    fn of(path: &Path, follow: bool) -> io::Result<Self> {
        let bytes = path.as_os_str().as_bytes();
        if bytes.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let content = bytes == b"." || bytes.ends_with(b"/.");
        let directory = content || bytes.ends_with(b"/") || path.file_name().is_none();
        if directory {
            let name = match path.file_name() {
                _ if content => b".".to_vec(),
                Some(name) => name.as_bytes().to_vec(),
                None => {
                    let whole = std::fs::canonicalize(path)?;
                    whole
                        .file_name()
                        .map_or(b".".to_vec(), |name| name.as_bytes().to_vec())
                }
            };
            return Ok(Self {
                parent: path.to_owned(),
                lookup: b".".to_vec(),
                name,
            });
        }
        let name = path.file_name().unwrap_or_default().as_bytes().to_vec();
        let real = if follow {
            std::fs::canonicalize(path)?
        } else {
            path.to_owned()
        };
        let parent = real.parent().unwrap_or(Path::new("/"));
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        Ok(Self {
            parent: parent.to_owned(),
            lookup: real
                .file_name()
                .unwrap_or(OsStr::new("."))
                .as_bytes()
                .to_vec(),
            name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_path_as_it_was_given() {
        let directory = tempfile::tempdir().expect("tempdir");
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("tree")).expect("mkdir");
        std::fs::write(at("tree/file"), "12345").expect("write");
        std::os::unix::fs::symlink("tree/file", at("link")).expect("symlink");
        let open = |name: &str, follow| Source::open(&at(name), follow);
        let name = |name: &str| open(name, false).expect(name).name().to_vec();
        assert_eq!(name("tree"), b"tree");
        assert_eq!(name("tree/"), b"tree");
        assert_eq!(name("tree/."), b".");
        assert_eq!(
            name("tree/../tree/.."),
            directory.path().file_name().expect("one").as_bytes()
        );
        assert!(open("link", false).expect("link").is_link());
        let followed = open("link", true).expect("link");
        assert_eq!((followed.name(), followed.size()), (&b"link"[..], Some(5)));
        assert!(open("nothing", false).is_err());
        assert!(open("tree/file/", false).is_err(), "no directory");
        assert_eq!(
            Source::open(Path::new("/"), false)
                .expect("the root")
                .name(),
            b"."
        );
    }
}
