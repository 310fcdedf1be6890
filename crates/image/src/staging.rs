//! Directories for work in progress, which no crash leaves behind for long.
//!
//! ```text
//! <data>/staging/lock          held while a directory is made or looked at
//! <data>/staging/<random>/lock held by the process that works in it, as long as it lives
//! <data>/staging/<random>/...  its work
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use ignite_host::fs::{Error, Lock};

/// A private directory, removed with all in it when dropped.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
    _lock: Lock,
}

impl Staging {
    /// Makes one below `base`, which is made if missing; removes what dead processes left there.
    pub fn create(base: &Path) -> Result<Self, Error> {
        private_directory(base)?;
        let _base = Lock::exclusive(&base.join("lock"))?;
        sweep(base);
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| {
            io_error("find a name in", base, io::Error::other(error.to_string()))
        })?;
        let path = base.join(hex::encode(random));
        private_directory(&path)?;
        let lock = Lock::exclusive(&path.join("lock"))?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "work in progress was not removed");
        }
    }
}

/// Makes a directory only its owner may enter, and those above it; fine if it is there.
pub(crate) fn private_directory(path: &Path) -> Result<(), Error> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(|error| io_error("make the directory", path, error))
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Removes the directories whose owner is gone. The base's lock is held.
fn sweep(base: &Path) {
    let entries = fs::read_dir(base)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    for path in directories.map(|entry| entry.path()) {
        if let Ok(Some(_lock)) = Lock::try_exclusive(&path.join("lock")) {
            let result = fs::remove_dir_all(&path);
            tracing::debug!(path = %path.display(), ?result, "removed what a dead import left");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_stay_and_the_dead_go() {
        let base = tempfile::tempdir().expect("tempdir");
        let living = Staging::create(base.path()).expect("staging");
        let dead = base.path().join("dead");
        fs::create_dir_all(dead.join("tree/etc")).expect("mkdir");
        let other = Staging::create(base.path()).expect("staging");
        assert!(living.path().is_dir() && other.path().is_dir());
        assert!(!dead.exists());
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists());
    }
}
