//! All that is below a directory, seen once and watched from before it is seen.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Instant;

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use super::entry::Refused;
use super::names;
use super::tree::{Error, Files, Tree};
use crate::source::{File, MAX_FILES};

/// Directories inside each other.
const MAX_DEPTH: usize = 32;

/// Bytes of a directory's path: with a name in it, it is still one that the kernel takes (PATH_MAX).
const MAX_PATH: usize = 3800;

/// Whatever is in the directories, manifests or not.
const MAX_ENTRIES: usize = 200_000;

/// What one walk has seen.
#[derive(Debug, Default)]
struct Seen {
    paths: BTreeSet<String>,
    entries: usize,
}

impl Tree {
    /// Looks at all below a directory, which may be gone; whether something known is.
    pub(super) fn walk(&mut self, directory: &str, found: &mut Files) -> Result<bool, Error> {
        let mut seen = Seen::default();
        let hidden = directory
            .split('/')
            .any(|part| names::is_hidden(OsStr::new(part)));
        if names::is_manifest(OsStr::new(directory)) {
            // A fault, or a file in its place by now.
            self.see(directory, &mut seen, found);
        } else if !hidden {
            let mut open = vec![directory.to_owned()];
            while let Some(directory) = open.pop() {
                match self.walk_one(&directory, &mut seen, found) {
                    Ok(below) => open.extend(below),
                    // Without the root there is nothing; any other is in nobody's way.
                    Err(Error::Refused { source, .. }) if !directory.is_empty() => {
                        let why = format!("it is a directory that cannot be read: {source}");
                        self.refuse(directory, &why, &mut seen, found);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        let gone = self.prune(directory, &seen.paths);
        if self.known.len() > MAX_FILES {
            return Err(self.too_many(format!("{MAX_FILES} files")));
        }
        Ok(gone)
    }

    /// Looks at one directory; those in it.
    fn walk_one(
        &mut self,
        directory: &str,
        seen: &mut Seen,
        found: &mut Files,
    ) -> Result<Vec<String>, Error> {
        let fd = match self.open_directory(directory) {
            Ok(fd) => fd,
            // Gone again, or something else by now: its parent tells.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if !directory.is_empty() => {
                self.see_link(directory, seen, found);
                return Ok(Vec::new());
            }
            Err(error) => return Err(self.refused(directory, error)),
        };
        self.watch(&fd, directory);
        let mut below = Vec::new();
        for (name, kind) in self.list(&fd, directory, seen)? {
            if names::is_hidden(&name) {
                continue;
            }
            let Some(text) = name.to_str() else {
                if kind == FileType::Directory || names::is_manifest(&name) {
                    let path = names::join(directory, &name.to_string_lossy());
                    self.refuse(path, "its name is not UTF-8", seen, found);
                }
                continue;
            };
            let path = names::join(directory, text);
            if names::is_manifest(&name) {
                self.see(&path, seen, found);
            } else if kind == FileType::Directory {
                if path.split('/').count() > MAX_DEPTH || path.len() > MAX_PATH {
                    let why = "it is a directory too deep inside others to be looked at";
                    self.refuse(path, why, seen, found);
                } else {
                    below.push(path);
                }
            } else if kind == FileType::Symlink {
                self.see_link(&path, seen, found);
            }
        }
        Ok(below)
    }

    fn open_directory(&self, path: &str) -> Result<OwnedFd, Errno> {
        let root = self.root.as_ref().ok_or(Errno::NOENT)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let path = if path.is_empty() { "." } else { path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        openat2(root.directory.as_fd(), path, flags, Mode::empty(), resolve)
    }

    /// Watches it before it is listed, so that nothing appears in between unseen.
    fn watch(&mut self, fd: &OwnedFd, directory: &str) {
        let watch = self.root.as_mut().and_then(|root| root.watch.as_mut());
        let Some(Err(error)) = watch.map(|watch| watch.add(fd, directory)) else {
            return;
        };
        let remedy = match error {
            Errno::NOSPC => ": raise fs.inotify.max_user_watches (sysctl)",
            _ => "",
        };
        self.warnings.insert(format!(
            "{}: changes are noticed late, because the directory cannot be watched ({error}){remedy}",
            self.path.join(directory).display()
        ));
    }

    fn list(
        &self,
        fd: &OwnedFd,
        directory: &str,
        seen: &mut Seen,
    ) -> Result<Vec<(OsString, FileType)>, Error> {
        let refused = |error| self.refused(directory, error);
        let mut entries = Vec::new();
        for entry in Dir::read_from(fd).map_err(refused)? {
            let entry = entry.map_err(refused)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            seen.entries += 1;
            if seen.entries > MAX_ENTRIES {
                return Err(self.too_many(format!("{MAX_ENTRIES} files and directories")));
            }
            entries.push((name.to_owned(), self.kind(fd, &entry)));
        }
        Ok(entries)
    }

    /// Some file systems do not tell what an entry is.
    fn kind(&self, fd: &OwnedFd, entry: &rustix::fs::DirEntry) -> FileType {
        use rustix::fs::{AtFlags, statat};
        match entry.file_type() {
            FileType::Unknown => statat(fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
                .map_or(FileType::Unknown, |stat| {
                    FileType::from_raw_mode(stat.st_mode)
                }),
            kind => kind,
        }
    }

    fn see(&mut self, path: &str, seen: &mut Seen, found: &mut Files) {
        self.consider(path, false, Instant::now(), found);
        seen.paths.insert(path.to_owned());
    }

    /// Links to directories are not entered, which is said: manifests may have been there before.
    fn see_link(&mut self, path: &str, seen: &mut Seen, found: &mut Files) {
        self.consider_link(path, found);
        if self.known.contains_key(path) {
            seen.paths.insert(path.to_owned());
        }
    }

    fn refuse(&mut self, path: String, why: &str, seen: &mut Seen, found: &mut Files) {
        let refused = Refused {
            why: why.to_owned(),
            is_link: false,
        };
        if self.known.get(&path) != Some(&Err(refused.clone())) {
            found.insert(path.clone(), File::Fault(why.to_owned()));
            self.known.insert(path.clone(), Err(refused));
        }
        seen.paths.insert(path);
    }
}
