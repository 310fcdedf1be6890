//! The VM's root file system, seen from a process that is not (or not yet) in it.
//!
//! Whatever links an image holds, nothing here leaves the root: paths are resolved by the kernel
//! with `RESOLVE_IN_ROOT` (openat2(2)), as if the root were `/` already.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ignite_host::fs::{Kind, RootDir};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::mount::MountFlags;
use thiserror::Error;

/// Longest file of `/etc` that is read.
const MAX_FILE: u64 = 1 << 20;

/// What failed in the root file system.
#[derive(Debug, Error)]
pub enum Error {
    /// A system call.
    #[error("cannot {action} {} of the root file system", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// Path inside the root.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Work below the root.
    #[error(transparent)]
    Below(#[from] ignite_host::fs::Error),
}

/// A file system to mount in the root.
pub struct Mount<'a> {
    /// Device, or the type once more where there is none.
    pub source: &'a str,
    /// Type of file system.
    pub filesystem: &'a str,
    /// Mount point, in the root; made if it is missing.
    pub target: &'a str,
    /// Flags of mount(2).
    pub flags: MountFlags,
    /// The file system's own options.
    pub options: &'a CStr,
}

/// The root file system by its top directory.
#[derive(Debug)]
pub struct Root {
    top: OwnedFd,
    below: RootDir,
}

impl Root {
    /// The root file system mounted at `path`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| Error::Io {
            action: "open the top directory",
            path: path.to_owned(),
            source: errno.into(),
        })?;
        Ok(Self {
            top,
            below: RootDir::open(path)?,
        })
    }

    /// Opens the top directory, for what is asked of the file system itself.
    pub fn top(&self) -> io::Result<OwnedFd> {
        self.resolve("", OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Opens a directory, for mounts and changes of directory.
    pub fn directory(&self, path: &str) -> io::Result<OwnedFd> {
        self.resolve(path, OFlags::PATH | OFlags::DIRECTORY)
    }

    /// Whether a program at `path` could be executed.
    pub fn is_executable(&self, path: &str) -> io::Result<bool> {
        let file = self.resolve(path, OFlags::PATH)?;
        let stat = rustix::fs::fstat(&file)?;
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        Ok(regular && stat.st_mode & 0o111 != 0)
    }

    /// Opens a file for reading.
    pub fn open_file(&self, path: &str) -> io::Result<File> {
        Ok(self
            .resolve(path, OFlags::RDONLY | OFlags::NONBLOCK)?
            .into())
    }

    /// The first bytes of a regular file, `length` at most.
    pub fn read_head(&self, path: &str, length: u64) -> io::Result<Vec<u8>> {
        let file = File::from(self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK)?);
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The text of a regular file, links followed inside the root; empty if there is none, what is
    /// no UTF-8 replaced.
    pub fn read_text(&self, path: &str) -> io::Result<String> {
        let file = match self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            file => File::from(file?),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Makes `path` a regular file with this text: what is there, a link too, is replaced; the same
    /// text is left alone, which spares a write at every boot. A file that is there is whole at every
    /// moment, also after a kill: the new one gets its name when it is written (and ext4 writes it to the
    /// disk before that name).
    pub fn write_text(&self, path: &str, mode: u32, text: &str) -> Result<(), Error> {
        let place = Path::new(path);
        let is_file = self.below.kind(place)? == Some(Kind::File);
        if is_file && self.read_text(path).is_ok_and(|present| present == text) {
            return Ok(());
        }
        if !is_file {
            self.below.remove(place)?;
        }
        let new = self.below.new_file(place)?;
        let written = io::Write::write_all(&mut new.file(), text.as_bytes()).and_then(|()| {
            let mode = std::fs::Permissions::from_mode(mode);
            new.file().set_permissions(mode)
        });
        written.map_err(|source| Error::Io {
            action: "write",
            path: place.to_owned(),
            source,
        })?;
        Ok(new.finish()?)
    }

    /// Makes a directory and those above it.
    pub fn create_directory(&self, path: &str, mode: u32) -> Result<(), Error> {
        Ok(self.below.create_dir_all(Path::new(path), mode)?)
    }

    /// Makes a symbolic link, unless something is there.
    pub fn link(&self, target: &str, path: &str) -> Result<(), Error> {
        if self.below.kind(Path::new(path))?.is_none() {
            self.below.symlink(target.as_ref(), Path::new(path))?;
        }
        Ok(())
    }

    /// Mounts a file system in the root. Needs `/proc` in this process's own root.
    pub fn mount(&self, mount: &Mount<'_>) -> Result<(), Error> {
        let Mount {
            source,
            filesystem,
            flags,
            options,
            ..
        } = *mount;
        self.at_directory(mount.target, |target| {
            rustix::mount::mount(source, target, filesystem, flags, options)
        })
    }

    /// Moves what is mounted on `from`, a path outside, into the root. Needs `/proc` as well.
    pub fn move_mount(&self, from: &str, target: &str) -> Result<(), Error> {
        self.at_directory(target, |target| rustix::mount::mount_move(from, target))
    }

    /// Makes a directory in the root and does something to it, by a path that leads nowhere else.
    fn at_directory(
        &self,
        path: &str,
        work: impl FnOnce(&str) -> rustix::io::Result<()>,
    ) -> Result<(), Error> {
        let failed = |source| Error::Io {
            action: "mount on",
            path: path.into(),
            source,
        };
        self.create_directory(path, 0o755)?;
        let directory = self.directory(path).map_err(failed)?;
        work(&format!("/proc/self/fd/{}", directory.as_raw_fd()))
            .map_err(|errno| failed(errno.into()))
    }

    fn resolve(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let path = if path.is_empty() { "." } else { path };
        Ok(rustix::fs::openat2(
            &self.top,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )?)
    }
}
