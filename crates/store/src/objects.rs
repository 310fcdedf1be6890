//! Directories of objects: one directory for each, named by its uid, with one record in it.
//!
//! ```text
//!  .creating-<uid>  --rename-->  <uid>  --rename-->  .removing-<uid>  --> gone
//! ```
//! Only directories with a record and a uid for a name are objects.

use std::fs;
use std::marker::PhantomData;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use ignite_api::{Kind, Uid};
use ignite_host::fs::{Lock, sync_directory};
use ignite_host::step::{self, Step};

use crate::{Error, json};

const CREATING: &str = ".creating-";
const REMOVING: &str = ".removing-";

/// Held by who is at work on an object of a kind that has such a lock.
pub(crate) const LOCK: &str = "lock";

/// What there is, and what could not be read.
#[derive(Debug)]
pub struct Listing<T> {
    /// In the order of their uids.
    pub records: Vec<T>,
    /// One for each record that could not be read.
    pub faults: Vec<Error>,
}

/// One directory of objects of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Objects<R> {
    kind: Kind,
    directory: PathBuf,
    record: &'static str,
    records: PhantomData<fn() -> R>,
}

impl<R: Serialize + DeserializeOwned> Objects<R> {
    pub(crate) fn new(kind: Kind, directory: PathBuf, record: &'static str) -> Self {
        Self {
            kind,
            directory,
            record,
            records: PhantomData,
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn path(&self, uid: Uid) -> PathBuf {
        self.directory.join(uid)
    }

    fn record_path(&self, uid: Uid) -> PathBuf {
        self.path(uid).join(self.record)
    }

    /// Uids in order, without looking into any directory.
    pub(crate) fn uids(&self) -> Result<Vec<Uid>, Error> {
        let mut uids: Vec<Uid> = self
            .names()?
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect();
        uids.sort_unstable();
        Ok(uids)
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        let failed = || Error::directory("list", &self.directory);
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed()(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed())?.file_name();
            names.extend(name.into_string().ok());
        }
        Ok(names)
    }

    /// The record of one object.
    pub(crate) fn get(&self, uid: Uid) -> Result<R, Error> {
        self.find(uid)?.ok_or_else(|| Error::NotFound {
            kind: self.kind,
            text: uid.to_string(),
        })
    }

    /// The record of one object, none where there is no such object.
    pub(crate) fn find(&self, uid: Uid) -> Result<Option<R>, Error> {
        json::read(&self.record_path(uid))
    }

    pub(crate) fn list(&self) -> Result<Listing<R>, Error> {
        let mut listing = Listing {
            records: Vec::new(),
            faults: Vec::new(),
        };
        for uid in self.uids()? {
            match self.find(uid) {
                Ok(record) => listing.records.extend(record),
                Err(error) if error.is_permission_denied() => return Err(error),
                Err(error) => listing.faults.push(error),
            }
        }
        Ok(listing)
    }

    /// Anybody may list images and kernels, as with Weave Ignite.
    fn mode(&self) -> u32 {
        match self.kind {
            Kind::Vm | Kind::Configuration => 0o600,
            Kind::Image | Kind::Kernel => 0o644,
        }
    }

    /// Replaces the record of an object that exists.
    pub(crate) fn write(&self, uid: Uid, record: &R) -> Result<(), Error> {
        json::write_with_mode(&self.record_path(uid), record, self.mode())
    }

    /// Makes an object of `staged`, a directory on the same file system: its record, then its name.
    pub(crate) fn create(&self, uid: Uid, record: &R, staged: &Path) -> Result<(), Error> {
        let temporary = self.place(uid)?;
        let made = fs::rename(staged, &temporary)
            .map_err(Error::directory("take over", staged))
            .and_then(|()| self.finish(uid, record));
        if made.is_err() {
            // The first failure is the one to report; `repair` sweeps what stays.
            let _ = fs::remove_dir_all(&temporary);
        }
        made
    }

    /// An empty directory of root's own to fill, which nobody finds before it is [finished](Self::finish).
    pub(crate) fn begin(&self, uid: Uid) -> Result<PathBuf, Error> {
        let temporary = self.place(uid)?;
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&temporary)
            .map_err(Error::directory("make", &temporary))?;
        Ok(temporary)
    }

    /// Where an object grows; what an earlier attempt left there is removed.
    fn place(&self, uid: Uid) -> Result<PathBuf, Error> {
        make_directory(&self.directory)?;
        let temporary = self.directory.join(format!("{CREATING}{uid}"));
        if self.path(uid).exists() || is_at_work(&temporary)? {
            return Err(Error::UidTaken {
                kind: self.kind,
                uid,
            });
        }
        remove_tree(&temporary)?;
        Ok(temporary)
    }

    /// Gives an object that was begun its record, then its name.
    pub(crate) fn finish(&self, uid: Uid, record: &R) -> Result<(), Error> {
        let temporary = self.directory.join(format!("{CREATING}{uid}"));
        let target = self.path(uid);
        json::write_with_mode(&temporary.join(self.record), record, self.mode())?;
        step::reached(Step::CreateStaged);
        fs::rename(&temporary, &target).map_err(Error::directory("make", &target))?;
        Ok(sync_directory(&self.directory)?)
    }

    /// Removes an object; its name is free at once.
    pub(crate) fn remove(&self, uid: Uid) -> Result<(), Error> {
        let path = self.path(uid);
        let removing = self.directory.join(format!("{REMOVING}{uid}"));
        match fs::rename(&path, &removing) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NotFound {
                    kind: self.kind,
                    text: uid.to_string(),
                });
            }
            // A directory of an overlay's lower layer cannot be renamed: without its record it is no
            // object any more, and its directory goes next.
            Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                let record = self.record_path(uid);
                fs::remove_file(&record).map_err(Error::directory("remove", &record))?;
                return remove_tree(&path).map(|_| ());
            }
            Err(error) => return Err(Error::directory("remove", &path)(error)),
        }
        sync_directory(&self.directory)?;
        step::reached(Step::RemoveRenamed);
        remove_tree(&removing)?;
        step::reached(Step::RemoveDone);
        Ok(())
    }

    /// Sweeps what is left of objects half made or half removed; returns what was swept.
    ///
    /// To be called with the store's lock held, under which objects are made.
    pub(crate) fn repair(&self) -> Result<Vec<PathBuf>, Error> {
        let mut swept = Vec::new();
        for path in self.halves()? {
            if remove_tree(&path)? {
                swept.push(path);
            }
        }
        Ok(swept)
    }

    /// What is left of objects half made or half removed. Without the store's lock one that is begun or
    /// removed in this moment may be among it.
    pub(crate) fn halves(&self) -> Result<Vec<PathBuf>, Error> {
        let mut halves = Vec::new();
        for name in self.names()? {
            let path = self.directory.join(&name);
            let is_half = match name.starts_with(CREATING) {
                true => !is_at_work(&path)?,
                false => name.starts_with(REMOVING),
            };
            if is_half {
                halves.push(path);
            }
        }
        Ok(halves)
    }
}

/// The short lock under which names are compared and objects appear.
pub(crate) fn store_lock(data: &Path) -> Result<Lock, Error> {
    make_directory(data)?;
    Ok(Lock::exclusive(&data.join("lock"))?)
}

/// Makes a directory and those above it.
pub(crate) fn make_directory(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::directory("make", path))
}

/// Whether a process fills the directory of an object that has no name yet.
fn is_at_work(directory: &Path) -> Result<bool, Error> {
    let lock = directory.join(LOCK);
    Ok(lock.exists() && Lock::try_exclusive(&lock)?.is_none())
}

/// Removes a directory with all in it; false where it was not there (any more).
pub(crate) fn remove_tree(path: &Path) -> Result<bool, Error> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::directory("remove", path)(error)),
    }
}
