//! The files below the root as they were last seen, and what has become of them since.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::Errno;

use super::changes::Changes;
use super::entry::{self, Found};
use super::watch::Watch;
use super::{FRESH, names};
use crate::source::{File, MAX_FILES, Snapshot};

/// Why the directory could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none, and there may be VMs of what was in it: nobody makes it anew by himself.
    #[error("{} is not there", path.display())]
    Away {
        /// The root.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("{}: {source}", path.display())]
    Refused {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// More than would be kept in mind.
    #[error("there are more than {what} below {}", path.display())]
    TooMany {
        /// The root.
        path: PathBuf,
        /// How many, of what.
        what: String,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Away { path } => Some(format!(
                "bring it back, or make it: mkdir {0}; VMs that no manifest in it speaks of are removed then",
                path.display()
            )),
            Self::TooMany { .. } => Some("keep the manifests in a directory of their own".into()),
            Self::Refused { .. } => None,
        }
    }
}

/// The root with all that is known below it.
#[derive(Debug)]
pub struct Tree {
    pub(super) path: PathBuf,
    pub(super) root: Option<Root>,
    pub(super) known: BTreeMap<String, Found>,
    /// Those of them that are to be read again, though they may be as they were.
    stale: BTreeSet<String>,
    /// Files that may not be complete yet, and when they are looked at again.
    later: BTreeMap<String, Instant>,
    /// Those of them of which that is told, unless an earlier state of theirs is known.
    pending: BTreeSet<String>,
    pub(super) warnings: BTreeSet<String>,
}

/// The open root with its watches.
#[derive(Debug)]
pub struct Root {
    pub(super) directory: OwnedFd,
    identity: (u64, u64),
    pub(super) watch: Option<Watch>,
}

/// What a look has found: files that are not as they were.
pub type Files = BTreeMap<String, File>;

impl Tree {
    /// Nothing is known of it yet.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            root: None,
            known: BTreeMap::new(),
            stale: BTreeSet::new(),
            later: BTreeMap::new(),
            pending: BTreeSet::new(),
            warnings: BTreeSet::new(),
        }
    }

    /// Readable when something changed; none while nothing is watched.
    pub fn events(&self) -> Option<BorrowedFd<'_>> {
        let watch = self.root.as_ref()?.watch.as_ref()?;
        Some(watch.events())
    }

    /// What changed, as far as the kernel tells.
    pub fn read_events(&mut self) -> Changes {
        let watch = self.root.as_mut().and_then(|root| root.watch.as_mut());
        watch.map(Watch::read).unwrap_or_default()
    }

    /// When a file is looked at again that may not be complete yet.
    pub fn later(&self) -> Option<Instant> {
        self.later.values().min().copied()
    }

    /// The files whose time has come.
    pub fn take_later(&mut self, now: Instant) -> Changes {
        let mut changes = Changes::default();
        self.later.retain(|path, at| {
            let due = *at <= now;
            if due {
                changes.file(path.clone(), false);
                self.pending.insert(path.clone());
            }
            !due
        });
        changes
    }

    /// Nothing counts as known any more.
    pub fn forget(&mut self) {
        self.known.clear();
        self.stale.clear();
    }

    /// All files are read again at the next look, but go on being known until then.
    pub fn read_again(&mut self) {
        self.stale = self.known.keys().cloned().collect();
    }

    /// Looks at everything.
    pub fn scan(&mut self) -> Result<Snapshot, Error> {
        let scanned = self.scan_all();
        self.forget_unless(scanned)
    }

    /// Looks at what changed; none if all is as it was.
    pub fn look(&mut self, changes: Changes, now: Instant) -> Result<Option<Snapshot>, Error> {
        let looked = self.look_at(changes, now);
        self.forget_unless(looked)
    }

    /// What was read before a failure is told to nobody, so it counts as not read.
    fn forget_unless<T>(&mut self, looked: Result<T, Error>) -> Result<T, Error> {
        if looked.is_err() {
            self.forget();
        }
        looked
    }

    fn scan_all(&mut self) -> Result<Snapshot, Error> {
        self.open()?;
        self.warnings.clear();
        let mut found = Files::new();
        self.walk("", &mut found)?;
        // Of a file that is there something is said, lest its VM be taken for one without a manifest.
        self.pending.extend(self.later.keys().cloned());
        Ok(self.snapshot(found))
    }

    fn look_at(&mut self, changes: Changes, now: Instant) -> Result<Option<Snapshot>, Error> {
        if self.root.is_none() {
            return Err(self.away());
        }
        let before = self.known.len();
        let mut found = Files::new();
        let mut gone = false;
        for directory in &changes.directories {
            gone |= self.walk(directory, &mut found)?;
        }
        let mut files = changes.files;
        if changes.links {
            let links = self.known.iter().filter(|(_, found)| is_link(found));
            let links: Vec<String> = links.map(|(path, _)| path.clone()).collect();
            files.extend(links.into_iter().map(|path| (path, false)));
        }
        for (path, complete) in files {
            gone |= if names::is_manifest(OsStr::new(&path)) {
                self.consider(&path, complete, now, &mut found)
            } else {
                self.consider_link(&path, &mut found)
            };
        }
        if self.known.len() > MAX_FILES {
            return Err(self.too_many(format!("{MAX_FILES} files")));
        }
        let changed = gone || before != self.known.len() || !found.is_empty();
        Ok(changed.then(|| self.snapshot(found)))
    }

    /// Looks at one file; whether it is gone.
    pub(super) fn consider(
        &mut self,
        path: &str,
        complete: bool,
        now: Instant,
        found: &mut Files,
    ) -> bool {
        let Some(root) = &self.root else { return false };
        let Some(entry) = entry::look(&root.directory, path) else {
            self.later.remove(path);
            let was_pending = self.pending.remove(path);
            return self.known.remove(path).is_some() || was_pending;
        };
        let known = self.known.get(path);
        let is_same = known == Some(&entry);
        if !complete && is_same && !self.stale.contains(path) {
            return false;
        }
        let file = match &entry {
            Err(refused) => File::Fault(refused.why.clone()),
            Ok(it) if !complete && !is_same && is_fresh(it.written) => {
                self.later.insert(path.to_owned(), now + FRESH);
                if known.is_none() && self.pending.contains(path) {
                    found.insert(path.to_owned(), unfinished());
                }
                return false;
            }
            Ok(it) => entry::read(&root.directory, path, it.is_link),
        };
        self.later.remove(path);
        self.pending.remove(path);
        self.stale.remove(path);
        self.known.insert(path.to_owned(), entry);
        found.insert(path.to_owned(), file);
        false
    }

    /// Looks at what has not the name of a manifest: a link that may lead to a directory is a fault.
    /// Whether one is gone.
    pub(super) fn consider_link(&mut self, path: &str, found: &mut Files) -> bool {
        let Some(root) = &self.root else { return false };
        let Some(refused) = entry::link_to_directory(&root.directory, path) else {
            return self.known.remove(path).is_some();
        };
        let file = File::Fault(refused.why.clone());
        let refused = Err(refused);
        if self.known.get(path) != Some(&refused) || self.stale.remove(path) {
            found.insert(path.to_owned(), file);
            self.known.insert(path.to_owned(), refused);
        }
        false
    }

    fn snapshot(&self, mut found: Files) -> Snapshot {
        for path in self.known.keys() {
            if !found.contains_key(path) {
                found.insert(path.clone(), File::Unchanged);
            }
        }
        for path in &self.pending {
            found.entry(path.clone()).or_insert_with(unfinished);
        }
        Snapshot {
            files: found,
            warnings: self.warnings.iter().cloned().collect(),
            revision: None,
        }
    }

    /// Opens the root; another one at its path begins with nothing watched.
    fn open(&mut self) -> Result<(), Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = open(&self.path, flags, Mode::empty())
            .and_then(|directory| Ok((fstat(&directory)?, directory)));
        let (stat, directory) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.root = None;
                return Err(match error {
                    Errno::NOENT => self.away(),
                    error => self.refused("", error),
                });
            }
        };
        let identity = (stat.st_dev, stat.st_ino);
        if self.root.as_ref().is_some_and(|it| it.identity == identity) {
            return Ok(());
        }
        let watch = Watch::new();
        if let Err(error) = &watch {
            tracing::warn!("changes are noticed by looking again only: {error}");
        }
        self.root = Some(Root {
            directory,
            identity,
            watch: watch.ok(),
        });
        Ok(())
    }

    fn away(&self) -> Error {
        let path = self.path.clone();
        Error::Away { path }
    }

    pub(super) fn refused(&self, path: &str, error: Errno) -> Error {
        Error::Refused {
            path: self.path.join(path),
            source: error.into(),
        }
    }

    pub(super) fn too_many(&self, what: String) -> Error {
        let path = self.path.clone();
        Error::TooMany { path, what }
    }

    /// Forgets what was below a directory and is not any more; whether there was anything.
    pub(super) fn prune(&mut self, directory: &str, seen: &BTreeSet<String>) -> bool {
        let before = self.known.len() + self.pending.len();
        let below = |path: &str| directory.is_empty() || names::is_below(path, directory);
        self.known
            .retain(|path, _| !below(path) || seen.contains(path));
        self.later
            .retain(|path, _| !below(path) || seen.contains(path));
        self.pending
            .retain(|path| !below(path) || seen.contains(path));
        before != self.known.len() + self.pending.len()
    }
}

fn unfinished() -> File {
    File::Fault("it is being written to, and may not be complete yet".into())
}

fn is_link(found: &Found) -> bool {
    match found {
        Ok(entry) => entry.is_link,
        Err(refused) => refused.is_link,
    }
}

fn is_fresh(written: SystemTime) -> bool {
    // A moment that is still to come says nothing.
    SystemTime::now()
        .duration_since(written)
        .is_ok_and(|ago| ago < FRESH)
}
