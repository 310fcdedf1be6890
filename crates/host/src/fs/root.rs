//! Work below a root directory, whatever the paths say.
//!
//! ```text
//!  "usr/lib/x"  = parent "usr/lib" (openat2, RESOLVE_IN_ROOT: links are followed, never out of the root)
//!               + name "x"         (*at() calls that do not follow a link)
//! ```
//!
//! Paths are relative to the root; a leading `/` or `./` means the root too. The parent last opened
//! is kept, because archives list a directory's files one after the other.

use std::cell::RefCell;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid,
    XattrFlags,
};
use rustix::io::Errno;

use super::{Error, NewFile, mode};

/// A directory that nothing done through this value can leave.
#[derive(Debug)]
pub struct RootDir {
    root: Rc<OwnedFd>,
    path: PathBuf,
    /// The parent used last, under its path as given.
    parent: RefCell<Option<(PathBuf, Rc<OwnedFd>)>>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A socket.
    Socket,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// What it is.
    pub kind: Kind,
}

/// A point in time, as files keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Seconds since the epoch.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanoseconds: u32,
}

/// An entry by its opened parent and its name there.
struct Place {
    parent: Rc<OwnedFd>,
    name: CString,
}

impl RootDir {
    /// The directory at `path`, which must exist.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with(path, OFlags::empty())
    }

    /// The same; a link as the last component is refused, unless a slash is behind it.
    pub fn open_no_link(path: &Path) -> Result<Self, Error> {
        Self::open_with(path, OFlags::NOFOLLOW)
    }

    fn open_with(path: &Path, more: OFlags) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | more;
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .map_err(Error::at("open the directory", path))?;
        Ok(Self {
            root: Rc::new(root),
            path: path.to_owned(),
            parent: RefCell::new(None),
        })
    }

    /// Makes a directory and the missing ones above it. One that is there, also through a link that
    /// stays in the root, is left as it is.
    pub fn create_dir_all(&self, path: &Path, mode: u32) -> Result<(), Error> {
        match self.create_dir(path, mode) {
            Err(error) if error.is_not_found() => {
                if let Some(parent) = path.parent().filter(|parent| *parent != path) {
                    self.create_dir_all(parent, 0o755)?;
                }
                self.create_dir(path, mode)
            }
            result => result,
        }
    }

    /// Makes a file for writing; an entry of that name must not exist. The mode is exact, whatever
    /// the umask.
    pub fn create_file(&self, path: &Path, mode: u32) -> Result<File, Error> {
        let place = self.place(path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(
            &place.parent,
            &place.name,
            flags,
            Mode::from_raw_mode(0o600),
        )
        .map_err(self.at("create", path))?;
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode))
            .map_err(self.at("set the mode of", path))?;
        Ok(fd.into())
    }

    /// Begins a file that gets its name when it is whole, and then takes the place of a file or link of
    /// that name.
    pub fn new_file(&self, path: &Path) -> Result<NewFile, Error> {
        let place = self.place(path)?;
        let shown = self.path.join(path.strip_prefix("/").unwrap_or(path));
        NewFile::begin(place.parent, place.name, shown)
    }

    /// Opens a regular file for reading; a link as the last component is refused.
    pub fn open_file(&self, path: &Path) -> Result<File, Error> {
        let place = self.place(path)?;
        // NONBLOCK: opening a pipe nobody writes to must not wait for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&place.parent, &place.name, flags, Mode::empty())
            .map_err(self.at("open", path))?;
        Ok(fd.into())
    }

    /// Makes a symbolic link; its target is stored as given, and never followed by this type out of
    /// the root.
    pub fn symlink(&self, target: &OsStr, path: &Path) -> Result<(), Error> {
        let place = self.place(path)?;
        rustix::fs::symlinkat(target, &place.parent, &place.name)
            .map_err(self.at("create the link", path))
    }

    /// The target of a symbolic link, as stored.
    pub fn read_link(&self, path: &Path) -> Result<OsString, Error> {
        let place = self.place(path)?;
        let target = rustix::fs::readlinkat(&place.parent, &place.name, Vec::new())
            .map_err(self.at("read the link", path))?;
        Ok(OsString::from_vec(target.into_bytes()))
    }

    /// Gives `existing` a second name. Both are below the root; if `existing` is a symbolic link, the
    /// link itself gets the second name.
    pub fn hardlink(&self, existing: &Path, path: &Path) -> Result<(), Error> {
        let from = self.place(existing)?;
        let to = self.place(path)?;
        rustix::fs::linkat(
            &from.parent,
            &from.name,
            &to.parent,
            &to.name,
            AtFlags::empty(),
        )
        .map_err(self.at("link", path))
    }

    /// Makes a device or named pipe. `device` is (major, minor), not used for a pipe.
    pub fn mknod(
        &self,
        path: &Path,
        kind: Kind,
        mode: u32,
        device: (u32, u32),
    ) -> Result<(), Error> {
        let place = self.place(path)?;
        let device = rustix::fs::makedev(device.0, device.1);
        let bits = Mode::from_raw_mode(mode);
        rustix::fs::mknodat(&place.parent, &place.name, kind.into(), bits, device)
            .map_err(self.at("create the special file", path))?;
        self.chmod_place(&place, path, mode)
    }

    /// Sets the owner of an entry, of a link itself too. This clears set-user-id bits and file
    /// capabilities, so it comes before [`Self::set_mode`] and [`Self::set_xattr`].
    pub fn set_owner(&self, path: &Path, uid: u32, gid: u32) -> Result<(), Error> {
        let place = self.place(path)?;
        let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(&place.parent, &place.name, owner.0, owner.1, flags)
            .map_err(self.at("set the owner of", path))
    }

    /// Sets the permission bits (`07777`) of an entry that is not a symbolic link; a link has none,
    /// and is left alone.
    pub fn set_mode(&self, path: &Path, mode: u32) -> Result<(), Error> {
        let place = self.place(path)?;
        if self.kind_of(&place, path)? == Some(Kind::Symlink) {
            return Ok(());
        }
        self.chmod_place(&place, path, mode)
    }

    /// Sets an extended attribute of an entry, of a link itself too.
    pub fn set_xattr(&self, path: &Path, name: &OsStr, value: &[u8]) -> Result<(), Error> {
        let place = self.place(path)?;
        rustix::fs::lsetxattr(place.through_proc(), name, value, XattrFlags::empty())
            .map_err(self.at("set an extended attribute of", path))
    }

    /// Sets the time of last change (and last access) of an entry, of a link itself too.
    pub fn set_times(&self, path: &Path, modified: Time) -> Result<(), Error> {
        let place = self.place(path)?;
        let time = Timespec {
            tv_sec: modified.seconds,
            tv_nsec: modified.nanoseconds.into(),
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(
            &place.parent,
            &place.name,
            &times,
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(self.at("set the times of", path))
    }

    /// What an entry is, without following a link; none if there is none (or no directory for it).
    pub fn kind(&self, path: &Path) -> Result<Option<Kind>, Error> {
        match self.place(path) {
            Ok(place) => self.kind_of(&place, path),
            Err(Error::Io { source, .. }) if is_absence(&source) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes an entry and, if it is a directory, everything in it; links are removed, never
    /// followed. Nothing there is fine.
    pub fn remove(&self, path: &Path) -> Result<(), Error> {
        let Some(kind) = self.kind(path)? else {
            return Ok(());
        };
        let place = self.place(path)?;
        // A kept descriptor could point into what goes away now.
        self.parent.replace(None);
        remove_entry(place.parent.as_fd(), &place.name, kind).map_err(self.at("remove", path))
    }

    /// The entries of a directory, in no order, without `.` and `..`.
    pub fn list(&self, path: &Path) -> Result<Vec<Entry>, Error> {
        let fd = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        entries(&fd).map_err(self.at("list", path))
    }

    fn create_dir(&self, path: &Path, mode: u32) -> Result<(), Error> {
        let place = self.place(path)?;
        match rustix::fs::mkdirat(&place.parent, &place.name, Mode::from_raw_mode(0o700)) {
            Ok(()) => self.chmod_place(&place, path, mode),
            // A directory, or a link to one: opening it says so.
            Err(Errno::EXIST) => self
                .resolve(path, OFlags::PATH | OFlags::DIRECTORY)
                .map(drop),
            Err(errno) => Err(self.at("create the directory", path)(errno)),
        }
    }

    /// Sets the mode of what was just made or looked at, and is no link; one that somebody has put in
    /// its place since is refused.
    fn chmod_place(&self, place: &Place, path: &Path, mode: u32) -> Result<(), Error> {
        mode::set(place.parent.as_fd(), &place.name, Mode::from_raw_mode(mode))
            .map_err(self.at("set the mode of", path))
    }

    fn kind_of(&self, place: &Place, path: &Path) -> Result<Option<Kind>, Error> {
        match rustix::fs::statat(&place.parent, &place.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode).into())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.at("look at", path)(errno)),
        }
    }

    /// Opens the parent of `path` and names the last component in it.
    fn place(&self, path: &Path) -> Result<Place, Error> {
        let (parent, name) = split(path).ok_or_else(|| Error::NoName {
            path: self.path.join(path),
        })?;
        let name = CString::new(name.as_bytes()).map_err(|_| Error::NoName {
            path: self.path.join(path),
        })?;
        Ok(Place {
            parent: self.open_parent(&parent)?,
            name,
        })
    }

    fn open_parent(&self, parent: &Path) -> Result<Rc<OwnedFd>, Error> {
        if parent.as_os_str().is_empty() {
            return Ok(Rc::clone(&self.root));
        }
        if let Some((path, fd)) = &*self.parent.borrow()
            && path == parent
        {
            return Ok(Rc::clone(fd));
        }
        let fd = Rc::new(self.resolve(parent, OFlags::PATH | OFlags::DIRECTORY)?);
        self.parent
            .replace(Some((parent.to_owned(), Rc::clone(&fd))));
        Ok(fd)
    }

    /// Opens `path` with every link on the way resolved inside the root.
    fn resolve(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Error> {
        let inside = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC;
        loop {
            match rustix::fs::openat2(&self.root, inside, flags, Mode::empty(), resolve) {
                // A rename elsewhere made the kernel unsure; it asks to try again.
                Err(Errno::AGAIN) => {}
                result => return result.map_err(self.at("open the directory", path)),
            }
        }
    }

    fn at(&self, action: &'static str, path: &Path) -> impl FnOnce(Errno) -> Error {
        let path = self.path.join(path.strip_prefix("/").unwrap_or(path));
        move |errno| Error::at(action, &path)(errno)
    }
}

impl Place {
    /// A path to the entry for the calls that have no `*at` form; the last component is not followed
    /// by their `l` forms.
    fn through_proc(&self) -> PathBuf {
        let mut path = PathBuf::from(format!("/proc/self/fd/{}", self.parent.as_raw_fd()));
        path.push(OsStr::from_bytes(self.name.as_bytes()));
        path
    }
}

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::Fifo => Self::Fifo,
            FileType::CharacterDevice => Self::CharDevice,
            FileType::BlockDevice => Self::BlockDevice,
            FileType::Socket => Self::Socket,
            FileType::RegularFile | FileType::Unknown => Self::File,
        }
    }
}

impl From<Kind> for FileType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::File => Self::RegularFile,
            Kind::Directory => Self::Directory,
            Kind::Symlink => Self::Symlink,
            Kind::Fifo => Self::Fifo,
            Kind::CharDevice => Self::CharacterDevice,
            Kind::BlockDevice => Self::BlockDevice,
            Kind::Socket => Self::Socket,
        }
    }
}

/// The parent and the last name of `path`, relative to the root. The root itself is (`""`, `.`); a
/// path that ends in `..` has no name.
fn split(path: &Path) -> Option<(PathBuf, OsString)> {
    let mut names: Vec<Component<'_>> = path
        .components()
        .filter(|component| matches!(component, Component::Normal(_) | Component::ParentDir))
        .collect();
    match names.pop() {
        None => Some((PathBuf::new(), OsString::from("."))),
        Some(Component::Normal(name)) => Some((names.iter().collect(), name.to_owned())),
        Some(_) => None,
    }
}

fn is_absence(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}

fn entries(directory: &OwnedFd) -> Result<Vec<Entry>, Errno> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode)
            }
            known => known,
        };
        entries.push(Entry {
            name: OsStr::from_bytes(name.to_bytes()).to_owned(),
            kind: kind.into(),
        });
    }
    Ok(entries)
}

/// Removes one entry of `parent`. Directories are opened one below the other without following
/// links; their depth is bounded by a path's length, since every level was made through a path.
fn remove_entry(parent: BorrowedFd<'_>, name: &std::ffi::CStr, kind: Kind) -> Result<(), Errno> {
    if kind != Kind::Directory {
        return rustix::fs::unlinkat(parent, name, AtFlags::empty());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    for entry in entries(&directory)? {
        let name = CString::new(entry.name.as_bytes()).expect("the kernel's names hold no NUL");
        remove_entry(directory.as_fd(), &name, entry.kind)?;
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

#[cfg(test)]
#[path = "root_tests.rs"]
mod tests;
