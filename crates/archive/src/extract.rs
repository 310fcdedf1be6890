//! Entries made files below a root.
//!
//! Every path is resolved here to one without symbolic links before anything is made, so that a link
//! that leads out can be named; the root directory ([`RootDir`]) makes sure once more in the kernel.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::BufRead;
use std::path::{Component, Path, PathBuf};

use ignite_host::fs::{self, RootDir, Time};
use rustix::fs::{Gid, Mode, Timespec, Timestamps, Uid};

use crate::data::{self, Account};
use crate::error::EntryError;
use crate::path::clean;
use crate::policy::{Existing, Policy, Special};
use crate::read::{Data, Entry, Kind};

/// As many symbolic links as the kernel follows in one path.
const MOST_LINKS: usize = 40;

/// Bytes of paths of directories that are remembered, at most: an archive may hold any number.
const MOST_REMEMBERED: usize = 8 << 20;

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is there.
    Made,
    /// It is not made, for this reason.
    Left(&'static str),
}

/// Applies entries to a tree.
#[derive(Debug)]
pub struct Extractor {
    root: RootDir,
    /// Where in the root the archive belongs.
    base: PathBuf,
    policy: Policy,
    /// Parents by the path archives use, to their path without links.
    parents: HashMap<PathBuf, PathBuf>,
    /// Set at the very end, because making a file changes its directory's.
    directory_times: HashMap<PathBuf, Time>,
    /// Bytes of the paths of both.
    remembered: [usize; 2],
}

impl Extractor {
    /// Of an archive that belongs into the directory `base` of `root`, which is empty for the root
    /// itself.
    pub fn new(root: RootDir, base: &Path, policy: Policy) -> Self {
        Self {
            root,
            base: base.to_owned(),
            policy,
            parents: HashMap::new(),
            directory_times: HashMap::new(),
            remembered: [0; 2],
        }
    }

    /// The root itself.
    pub fn root(&self) -> &RootDir {
        &self.root
    }

    /// All entries are applied.
    pub fn finish(mut self) -> Result<(), fs::Error> {
        self.settle()
    }

    /// Gives the directories their times.
    fn settle(&mut self) -> Result<(), fs::Error> {
        self.remembered[1] = 0;
        for (path, time) in self.directory_times.drain() {
            if self.root.kind(&path)? == Some(fs::Kind::Directory) {
                self.root.set_times(&path, time)?;
            }
        }
        Ok(())
    }

    /// Makes an entry, with the directories above it.
    pub fn apply(
        &mut self,
        entry: &Entry,
        data: Data<'_, impl BufRead>,
        account: Account<'_>,
    ) -> Result<Applied, EntryError> {
        let given = clean(&entry.path)?;
        let (Some(parent), Some(name)) = (given.parent(), given.file_name()) else {
            return self.apply_root(entry).map(|()| Applied::Made);
        };
        let path = self.parent(parent)?.join(name);
        self.make(&path, entry, data, account)
    }

    /// An entry that is the root, or the base, itself.
    pub fn apply_root(&mut self, entry: &Entry) -> Result<(), EntryError> {
        if entry.kind == Kind::Directory && self.policy.existing == Existing::Replaced {
            self.dress_base(entry)?;
        }
        Ok(())
    }

    /// Gives the base the metadata of an entry.
    pub fn dress_base(&mut self, entry: &Entry) -> Result<(), EntryError> {
        self.directory_metadata(&self.base.clone(), entry)
    }

    /// Makes an entry at `path`, which is one of [`Extractor::parent`] and a name.
    pub fn make(
        &mut self,
        path: &Path,
        entry: &Entry,
        data: Data<'_, impl BufRead>,
        account: Account<'_>,
    ) -> Result<Applied, EntryError> {
        match &entry.kind {
            Kind::Directory => self.directory(path, entry)?,
            Kind::File(_) => self.file(path, entry, data, account)?,
            Kind::HardLink(target) => self.hard_link(path, target)?,
            Kind::Symlink(target) => {
                self.replacing(path, |root| root.symlink(target, path))?;
                self.link_metadata(path, entry)?;
            }
            Kind::CharDevice(major, minor) => {
                return self.special(path, entry, fs::Kind::CharDevice, (*major, *minor));
            }
            Kind::BlockDevice(major, minor) => {
                return self.special(path, entry, fs::Kind::BlockDevice, (*major, *minor));
            }
            Kind::Fifo => return self.special(path, entry, fs::Kind::Fifo, (0, 0)),
        }
        Ok(Applied::Made)
    }

    /// A file: under its name at once in a tree nobody looks at yet, else when it is whole.
    fn file(
        &mut self,
        path: &Path,
        entry: &Entry,
        data: Data<'_, impl BufRead>,
        account: Account<'_>,
    ) -> Result<(), EntryError> {
        let Kind::File(map) = &entry.kind else {
            return Ok(());
        };
        let first = self.policy.length_first;
        if self.policy.existing == Existing::Replaced {
            let file = self.replacing(path, |root| root.create_file(path, entry.mode))?;
            data::write(&file, data, entry.size, map.as_ref(), first, account)?;
            return self.file_metadata(&file, entry).map_err(EntryError::Write);
        }
        self.may_replace(path)?;
        let new = self.root.new_file(path)?;
        data::write(new.file(), data, entry.size, map.as_ref(), first, account)?;
        self.file_metadata(new.file(), entry)
            .map_err(EntryError::Write)?;
        Ok(new.finish()?)
    }

    /// A device or a pipe.
    fn special(
        &mut self,
        path: &Path,
        entry: &Entry,
        kind: fs::Kind,
        device: (u32, u32),
    ) -> Result<Applied, EntryError> {
        if self.policy.special == Special::Left {
            return Ok(Applied::Left(match kind {
                fs::Kind::Fifo => "a named pipe is of no use outside of its VM",
                _ => "a device is of no use outside of its VM",
            }));
        }
        if self.root.kind(path)? == Some(kind) {
            self.remove(path)?;
        }
        self.replacing(path, |root| root.mknod(path, kind, entry.mode, device))?;
        self.own(path, entry)?;
        self.root.set_mode(path, self.policy.mode(entry.mode))?;
        self.xattrs(path, entry)?;
        self.root.set_times(path, entry.mtime)?;
        Ok(Applied::Made)
    }

    /// Makes an entry, in the place of whatever has its name.
    fn replacing<T>(
        &mut self,
        path: &Path,
        make: impl Fn(&RootDir) -> Result<T, fs::Error>,
    ) -> Result<T, EntryError> {
        match make(&self.root) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                if self.policy.existing == Existing::Merged {
                    self.may_replace(path)?;
                }
                self.remove(path)?;
                Ok(make(&self.root)?)
            }
            result => Ok(result?),
        }
    }

    /// Of what is there only files and links give way.
    fn may_replace(&self, path: &Path) -> Result<(), EntryError> {
        match self.root.kind(path)? {
            None | Some(fs::Kind::File | fs::Kind::Symlink) => Ok(()),
            Some(fs::Kind::Directory) => Err(EntryError::IsDirectory(path.to_owned())),
            Some(_) => Err(EntryError::IsSpecial(path.to_owned())),
        }
    }

    /// Removes what is at `path`.
    pub fn remove(&mut self, path: &Path) -> Result<(), fs::Error> {
        // A directory or link may be part of a resolved parent.
        if !matches!(self.root.kind(path)?, None | Some(fs::Kind::File)) {
            self.parents.clear();
        }
        self.root.remove(path)
    }

    fn directory(&mut self, path: &Path, entry: &Entry) -> Result<(), EntryError> {
        match self.root.kind(path)? {
            None => self.root.create_dir_all(path, 0o700)?,
            // A link to a directory counts as one.
            Some(fs::Kind::Directory | fs::Kind::Symlink)
                if self.policy.existing == Existing::Merged =>
            {
                return Ok(self.root.create_dir_all(path, 0o700)?);
            }
            Some(fs::Kind::Directory) => {}
            Some(_) if self.policy.existing == Existing::Merged => {
                return Err(EntryError::NotDirectory(path.to_owned()));
            }
            Some(_) => {
                self.remove(path)?;
                self.root.create_dir_all(path, 0o700)?;
            }
        }
        self.directory_metadata(path, entry)
    }

    fn directory_metadata(&mut self, path: &Path, entry: &Entry) -> Result<(), EntryError> {
        self.own(path, entry)?;
        self.root.set_mode(path, self.policy.mode(entry.mode))?;
        self.xattrs(path, entry)?;
        if self.remembered[1] >= MOST_REMEMBERED {
            self.settle()?;
        }
        self.remembered[1] += path.as_os_str().len();
        self.directory_times.insert(path.to_owned(), entry.mtime);
        Ok(())
    }

    fn link_metadata(&self, path: &Path, entry: &Entry) -> Result<(), EntryError> {
        self.own(path, entry)?;
        self.xattrs(path, entry)?;
        self.root.set_times(path, entry.mtime)?;
        Ok(())
    }

    /// Owner first: changing it clears set-user-id bits and capabilities.
    fn own(&self, path: &Path, entry: &Entry) -> Result<(), fs::Error> {
        match self.policy.owner(entry) {
            Some((uid, gid)) => self.root.set_owner(path, uid, gid),
            None => Ok(()),
        }
    }

    fn xattrs(&self, path: &Path, entry: &Entry) -> Result<(), EntryError> {
        for (name, value) in self.policy.xattrs(entry) {
            match self.root.set_xattr(path, name, value) {
                Err(error) if !self.policy.may_lack(error.os_error()) => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// As above, of an open file.
    fn file_metadata(&self, file: &File, entry: &Entry) -> std::io::Result<()> {
        if let Some((uid, gid)) = self.policy.owner(entry) {
            rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        let mode = self.policy.mode(entry.mode);
        // A file that had its name at once has its mode too, but for what a change of owner clears.
        if self.policy.existing == Existing::Merged || mode & 0o6000 != 0 {
            rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?;
        }
        for (name, value) in self.policy.xattrs(entry) {
            let flags = rustix::fs::XattrFlags::empty();
            match rustix::fs::fsetxattr(file, name, value, flags) {
                Err(errno) if !self.policy.may_lack(Some(errno.raw_os_error())) => {
                    return Err(errno.into());
                }
                _ => {}
            }
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
            Some(_) => self.replacing(path, |root| root.hardlink(&existing, path)),
        }
    }

    /// The directory an entry's parent stands for; made if it is missing.
    pub fn parent(&mut self, given: &Path) -> Result<PathBuf, EntryError> {
        if let Some(path) = self.parents.get(given) {
            return Ok(path.clone());
        }
        let path = self
            .resolve(given, Missing::Make)?
            .expect("what is missing was made");
        if self.remembered[0] >= MOST_REMEMBERED {
            self.remembered[0] = 0;
            self.parents.clear();
        }
        self.remembered[0] += given.as_os_str().len() + path.as_os_str().len();
        self.parents.insert(given.to_owned(), path.clone());
        Ok(path)
    }

    /// The same, where it is there already.
    pub fn existing_parent(&mut self, given: &Path) -> Result<Option<PathBuf>, EntryError> {
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
        let whole = self.base.join(given);
        let mut pending: Vec<Step> = whole
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
