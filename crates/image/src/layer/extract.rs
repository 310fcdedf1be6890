//! Entries made files below a root.
//!
//! Every path is resolved here to one without symbolic links before anything is made, so that a link
//! that leads out can be named; the root directory ([`RootDir`]) makes sure once more in the kernel.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use ignite_host::fs::{self, RootDir, Time};
use rustix::fs::{Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

use super::error::EntryError;
use super::path::{Whiteout, clean, whiteout};
use super::sparse::SparseMap;
use super::tar::{Data, Entry, Kind};

/// As many symbolic links as the kernel follows in one path.
const MOST_LINKS: usize = 40;

/// Receives the number of bytes about to be written; an error ends the entry.
pub(super) type Account<'a> = &'a mut dyn FnMut(u64) -> Result<(), EntryError>;

/// Applies entries to a tree.
pub(super) struct Extractor {
    root: RootDir,
    /// Parents by the path archives use, to their path without links.
    parents: HashMap<PathBuf, PathBuf>,
    /// What the current layer made, with the directories above it; unused in the lowest layer.
    written: HashSet<PathBuf>,
    lowest: bool,
    /// Set at the very end, because making a file changes its directory's.
    directory_times: HashMap<PathBuf, Time>,
}

impl Extractor {
    pub(super) fn new(root: &Path) -> Result<Self, fs::Error> {
        Ok(Self {
            root: RootDir::open(root)?,
            parents: HashMap::new(),
            written: HashSet::new(),
            lowest: true,
            directory_times: HashMap::new(),
        })
    }

    /// Another layer on top of what is there.
    pub(super) fn next_layer(&mut self) {
        self.lowest = false;
        self.written.clear();
    }

    /// All layers are applied.
    pub(super) fn finish(self) -> Result<(), fs::Error> {
        for (path, time) in &self.directory_times {
            if self.root.kind(path)? == Some(fs::Kind::Directory) {
                self.root.set_times(path, *time)?;
            }
        }
        Ok(())
    }

    pub(super) fn apply(
        &mut self,
        entry: &Entry,
        data: Data<'_, impl BufRead>,
        account: Account<'_>,
    ) -> Result<(), EntryError> {
        let given = clean(&entry.path)?;
        let (Some(parent), Some(name)) = (given.parent(), given.file_name()) else {
            return self.apply_root(entry);
        };
        if let Some(whiteout) = whiteout(name)? {
            return self.hide(parent, whiteout);
        }
        let parent = self.parent(parent)?;
        let path = parent.join(name);
        self.make(&path, entry, data, account)?;
        self.remember(path);
        Ok(())
    }

    /// Removes what lower layers have; nothing is made for it.
    fn hide(&mut self, parent: &Path, whiteout: Whiteout<'_>) -> Result<(), EntryError> {
        let Some(parent) = self.existing_parent(parent)? else {
            return Ok(());
        };
        match whiteout {
            Whiteout::Ignored => Ok(()),
            Whiteout::Opaque => self.remove_lower_below(&parent),
            Whiteout::Of(name) => self.remove_lower(&parent.join(name)),
        }
    }

    fn apply_root(&mut self, entry: &Entry) -> Result<(), EntryError> {
        if entry.kind == Kind::Directory {
            self.directory_metadata(Path::new(""), entry)?;
        }
        Ok(())
    }

    fn make(
        &mut self,
        path: &Path,
        entry: &Entry,
        data: Data<'_, impl BufRead>,
        account: Account<'_>,
    ) -> Result<(), EntryError> {
        match &entry.kind {
            Kind::Directory => return self.directory(path, entry),
            Kind::File(map) => {
                let file = self.replacing(path, |root| root.create_file(path, entry.mode))?;
                write_data(&file, data, entry.size, map.as_ref(), account)?;
                return file_metadata(&file, entry).map_err(EntryError::Write);
            }
            Kind::HardLink(target) => return self.hard_link(path, target),
            Kind::Symlink(target) => {
                self.replacing(path, |root| root.symlink(target, path))?;
                return self.link_metadata(path, entry);
            }
            Kind::CharDevice(major, minor) => {
                let device = (*major, *minor);
                let kind = fs::Kind::CharDevice;
                self.replacing(path, |root| root.mknod(path, kind, entry.mode, device))?;
            }
            Kind::BlockDevice(major, minor) => {
                let device = (*major, *minor);
                let kind = fs::Kind::BlockDevice;
                self.replacing(path, |root| root.mknod(path, kind, entry.mode, device))?;
            }
            Kind::Fifo => {
                let kind = fs::Kind::Fifo;
                self.replacing(path, |root| root.mknod(path, kind, entry.mode, (0, 0)))?;
            }
        }
        root_metadata(&self.root, path, entry)?;
        Ok(())
    }

    /// Makes an entry, in the place of whatever has its name.
    fn replacing<T>(
        &mut self,
        path: &Path,
        make: impl Fn(&RootDir) -> Result<T, fs::Error>,
    ) -> Result<T, fs::Error> {
        match make(&self.root) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                self.remove(path)?;
                make(&self.root)
            }
            result => result,
        }
    }

    fn remove(&mut self, path: &Path) -> Result<(), fs::Error> {
        // A directory or link may be part of a resolved parent.
        if !matches!(self.root.kind(path)?, None | Some(fs::Kind::File)) {
            self.parents.clear();
        }
        self.root.remove(path)
    }

    fn directory(&mut self, path: &Path, entry: &Entry) -> Result<(), EntryError> {
        match self.root.kind(path)? {
            Some(fs::Kind::Directory) => {}
            None => self.root.create_dir_all(path, 0o700)?,
            Some(_) => {
                self.remove(path)?;
                self.root.create_dir_all(path, 0o700)?;
            }
        }
        self.directory_metadata(path, entry)
    }

    fn directory_metadata(&mut self, path: &Path, entry: &Entry) -> Result<(), EntryError> {
        self.root.set_owner(path, entry.uid, entry.gid)?;
        self.root.set_mode(path, entry.mode)?;
        self.xattrs(path, entry)?;
        self.directory_times.insert(path.to_owned(), entry.mtime);
        Ok(())
    }

    fn link_metadata(&self, path: &Path, entry: &Entry) -> Result<(), EntryError> {
        self.root.set_owner(path, entry.uid, entry.gid)?;
        self.xattrs(path, entry)?;
        self.root.set_times(path, entry.mtime)?;
        Ok(())
    }

    fn xattrs(&self, path: &Path, entry: &Entry) -> Result<(), EntryError> {
        for (name, value) in wanted_xattrs(entry) {
            self.root.set_xattr(path, name, value)?;
        }
        Ok(())
    }

    fn hard_link(&mut self, path: &Path, target: &Path) -> Result<(), EntryError> {
        let outside = |_| EntryError::HardLinkOutside {
            target: target.to_owned(),
        };
        let missing = || EntryError::HardLinkMissing {
            target: target.to_owned(),
        };
        let clean = clean(target).map_err(outside)?;
        let (Some(parent), Some(name)) = (clean.parent(), clean.file_name()) else {
            return Err(missing());
        };
        let existing = self
            .existing_parent(parent)?
            .ok_or_else(missing)?
            .join(name);
        if existing == path {
            return Ok(());
        }
        match self.root.kind(&existing)? {
            None | Some(fs::Kind::Directory) => Err(missing()),
            Some(_) => Ok(self.replacing(path, |root| root.hardlink(&existing, path))?),
        }
    }

    /// The directory an entry's parent stands for; made if it is missing.
    fn parent(&mut self, given: &Path) -> Result<PathBuf, EntryError> {
        if let Some(path) = self.parents.get(given) {
            return Ok(path.clone());
        }
        let path = self
            .resolve(given, Missing::Make)?
            .expect("what is missing was made");
        self.parents.insert(given.to_owned(), path.clone());
        Ok(path)
    }

    fn existing_parent(&mut self, given: &Path) -> Result<Option<PathBuf>, EntryError> {
        match self.parents.get(given) {
            Some(path) => Ok(Some(path.clone())),
            None => self.resolve(given, Missing::None),
        }
    }

    /// Follows `given` from the root, component by component, as a process with this root would;
    /// stepping above the root, which such a process could not notice, is an error.
    fn resolve(&self, given: &Path, missing: Missing) -> Result<Option<PathBuf>, EntryError> {
        let mut resolved = PathBuf::new();
        let mut links = 0;
        let mut pending: Vec<Step> = given
            .iter()
            .rev()
            .map(|name| Step::new(name, None))
            .collect();
        while let Some(Step { name, link }) = pending.pop() {
            if name == ".." {
                // Only the target of a link can have it.
                if !resolved.pop() {
                    return Err(self.leaves(link));
                }
                continue;
            }
            let candidate = resolved.join(&name);
            match self.root.kind(&candidate)? {
                Some(fs::Kind::Directory) => resolved = candidate,
                Some(fs::Kind::Symlink) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(EntryError::LinkLoop);
                    }
                    let target = PathBuf::from(self.root.read_link(&candidate)?);
                    if target.is_absolute() {
                        resolved.clear();
                    }
                    // The link an archive's path goes through is the one to name.
                    let link = link.unwrap_or(candidate);
                    pending.extend(steps(&target, &link).rev());
                }
                Some(_) => return Err(EntryError::NotDirectory(candidate)),
                None if matches!(missing, Missing::None) => return Ok(None),
                None if link.is_some() => return Err(self.leaves(link)),
                None => {
                    self.root.create_dir_all(&candidate, 0o755)?;
                    resolved = candidate;
                }
            }
        }
        Ok(Some(resolved))
    }

    fn leaves(&self, link: Option<PathBuf>) -> EntryError {
        let link = link.unwrap_or_default();
        let target = self.root.read_link(&link).unwrap_or_default().into();
        EntryError::LinkLeaves { link, target }
    }

    /// Marks an entry of this layer, with the directories above it.
    fn remember(&mut self, path: PathBuf) {
        if self.lowest {
            return;
        }
        let mut next = Some(path);
        while let Some(path) = next {
            next = path.parent().map(Path::to_owned);
            if path.as_os_str().is_empty() || !self.written.insert(path) {
                return;
            }
        }
    }

    /// Removes what lower layers have at `path`; what this layer made stays.
    fn remove_lower(&mut self, path: &Path) -> Result<(), EntryError> {
        if self.lowest {
            Ok(())
        } else if !self.written.contains(path) {
            Ok(self.remove(path)?)
        } else if self.root.kind(path)? == Some(fs::Kind::Directory) {
            self.remove_lower_below(path)
        } else {
            Ok(())
        }
    }

    fn remove_lower_below(&mut self, directory: &Path) -> Result<(), EntryError> {
        if !self.lowest {
            for entry in self.root.list(directory)? {
                self.remove_lower(&directory.join(entry.name))?;
            }
        }
        Ok(())
    }
}

/// What to do about a directory that is not there.
#[derive(Clone, Copy)]
enum Missing {
    Make,
    None,
}

/// One component still to follow, and the link it comes from.
struct Step {
    name: OsString,
    link: Option<PathBuf>,
}

impl Step {
    fn new(name: impl Into<OsString>, link: Option<PathBuf>) -> Self {
        Self {
            name: name.into(),
            link,
        }
    }
}

fn steps<'a>(target: &'a Path, link: &'a Path) -> impl DoubleEndedIterator<Item = Step> + 'a {
    target.components().filter_map(|component| match component {
        Component::Normal(name) => Some(Step::new(name, Some(link.to_owned()))),
        Component::ParentDir => Some(Step::new("..", Some(link.to_owned()))),
        _ => None,
    })
}

fn write_data(
    mut file: &File,
    mut data: Data<'_, impl BufRead>,
    size: u64,
    map: Option<&SparseMap>,
    account: Account<'_>,
) -> Result<(), EntryError> {
    let whole = [(0, size)];
    let parts = map.map_or(&whole[..], |map| &map.parts);
    for (offset, length) in parts {
        if *offset > 0 {
            file.seek(SeekFrom::Start(*offset))
                .map_err(EntryError::Write)?;
        }
        copy(file, &mut data, *length, account)?;
    }
    match map {
        Some(map) => file.set_len(map.real_size).map_err(EntryError::Write),
        None => Ok(()),
    }
}

fn copy(
    mut file: &File,
    data: &mut Data<'_, impl BufRead>,
    mut left: u64,
    account: Account<'_>,
) -> Result<(), EntryError> {
    while left > 0 {
        let bytes = data.fill_buf().map_err(EntryError::Read)?;
        if bytes.is_empty() {
            return Err(EntryError::Cut);
        }
        let length = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        account(length as u64)?;
        file.write_all(&bytes[..length])
            .map_err(EntryError::Write)?;
        data.consume(length);
        left -= length as u64;
    }
    Ok(())
}

/// The file has its mode. Owner first: changing it clears set-user-id bits and capabilities.
fn file_metadata(file: &File, entry: &Entry) -> std::io::Result<()> {
    let owner = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    rustix::fs::fchown(file, Some(owner.0), Some(owner.1))?;
    if entry.mode & 0o6000 != 0 {
        rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode))?;
    }
    for (name, value) in wanted_xattrs(entry) {
        rustix::fs::fsetxattr(file, name, value, XattrFlags::empty())?;
    }
    let time = Timespec {
        tv_sec: entry.mtime.seconds,
        tv_nsec: entry.mtime.nanoseconds.into(),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(rustix::fs::futimens(file, &times)?)
}

/// Of devices and pipes.
fn root_metadata(root: &RootDir, path: &Path, entry: &Entry) -> Result<(), fs::Error> {
    root.set_owner(path, entry.uid, entry.gid)?;
    root.set_mode(path, entry.mode)?;
    for (name, value) in wanted_xattrs(entry) {
        root.set_xattr(path, name, value)?;
    }
    root.set_times(path, entry.mtime)
}

/// Labels of SELinux belong to the host that made the archive, not to the file.
fn wanted_xattrs(entry: &Entry) -> impl Iterator<Item = (&OsString, &Vec<u8>)> {
    let host_label = |name: &OsString| name.as_bytes() == b"security.selinux";
    entry
        .xattrs
        .iter()
        .filter(move |(name, _)| !host_label(name))
        .map(|(name, value)| (name, value))
}
