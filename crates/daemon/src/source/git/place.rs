//! The directory of this host where a repository is kept.
//!
//! ```text
//!   <data directory>/ignited/gitops/<hash of address and branch>/
//!     repository/       bare, never checked out
//!     fresh/            one that is made in its place, until it is whole
//!     home/             an empty home for git and what it starts
//!     reading.config, writing.config
//!     index             while a status is committed
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use ignite_host::fs::write_atomic;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::Error;
use super::config::{self, Access};
use super::options::Options;

/// The directory of one repository.
#[derive(Debug, Clone)]
pub(super) struct Place(PathBuf);

impl Place {
    /// Makes what is missing, removes what was interrupted, and what other repositories left.
    pub(super) fn prepare(options: &Options, name: &str) -> Result<Self, Error> {
        let hash = hex::encode(&Sha256::digest(name)[..8]);
        let place = Self(options.directory.join(&hash));
        let failed = |source| Error::Place {
            path: place.0.clone(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(place.home())
            .map_err(failed)?;
        remove_others(&options.directory, &hash);
        remove(&place.fresh())?;
        sweep(&place.repository())?;
        for access in [Access::Read, Access::Write] {
            let text = config::text(options, access);
            write_atomic(&place.config(access), text.as_bytes(), 0o600)?;
        }
        Ok(place)
    }

    pub(super) fn repository(&self) -> PathBuf {
        self.0.join("repository")
    }

    pub(super) fn fresh(&self) -> PathBuf {
        self.0.join("fresh")
    }

    pub(super) fn home(&self) -> PathBuf {
        self.0.join("home")
    }

    pub(super) fn index(&self) -> PathBuf {
        self.0.join("index")
    }

    pub(super) fn config(&self, access: Access) -> PathBuf {
        self.0.join(match access {
            Access::Read => "reading.config",
            Access::Write => "writing.config",
        })
    }
}

/// Removes a directory or file; one that is not there is fine.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::Place {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// Copies of repositories that are not followed any more. They could be fetched again; one that cannot
/// be removed does no harm.
fn remove_others(directory: &Path, ours: &str) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_hash = name.len() == 16
            && name
                .to_str()
                .is_some_and(|name| name.bytes().all(|b| b.is_ascii_hexdigit()));
        if is_hash && name != ours {
            let _ = remove(&entry.path());
        }
    }
}

/// Puts one directory in the place of another, which is there, or whole in the new one's stead, at each
/// moment; then removes it.
pub(super) fn replace(fresh: &Path, kept: &Path) -> Result<(), Error> {
    let exchanged = match renameat_with(CWD, fresh, CWD, kept, RenameFlags::EXCHANGE) {
        // There is none yet, or the file system cannot exchange.
        Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS) => {
            remove(kept)?;
            fs::rename(fresh, kept)
        }
        exchanged => exchanged.map_err(io::Error::from),
    };
    exchanged.map_err(|source| Error::Place {
        path: kept.to_owned(),
        source,
    })?;
    remove(fresh)
}

/// Takes away what a git that was killed leaves: locks nobody holds any more (a daemon's git ends with
/// it, and there is one daemon), and files it had not finished.
pub(super) fn sweep(directory: &Path) -> Result<(), Error> {
    sweep_below(directory).map_err(|source| Error::Place {
        path: directory.to_owned(),
        source,
    })
}

fn sweep_below(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_directory = entry.file_type()?.is_dir();
        let unfinished =
            name.ends_with(".lock") || name.starts_with("tmp_") || name.starts_with(".tmp-");
        match (unfinished, is_directory) {
            (true, true) => fs::remove_dir_all(entry.path())?,
            (true, false) => fs::remove_file(entry.path())?,
            (false, true) => sweep_below(&entry.path())?,
            (false, false) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_git_leaves_is_swept() {
        let directory = tempfile::tempdir().expect("tempdir");
        let pack = directory.path().join("objects/pack");
        fs::create_dir_all(&pack).expect("mkdir");
        fs::create_dir_all(directory.path().join("objects/tmp_objdir-incoming-x")).expect("mkdir");
        let keep = pack.join("pack-1.pack");
        for path in [
            &keep,
            &pack.join("tmp_pack_x"),
            &directory.path().join("shallow.lock"),
        ] {
            fs::write(path, "x").expect("write");
        }
        sweep(directory.path()).expect("sweep");
        sweep(&directory.path().join("absent")).expect("nothing there");
        let left = fs::read_dir(&pack).expect("list").count();
        assert_eq!((left, keep.exists()), (1, true));
        assert!(!directory.path().join("shallow.lock").exists());
        assert!(
            !directory
                .path()
                .join("objects/tmp_objdir-incoming-x")
                .exists()
        );
    }

    #[test]
    fn there_is_always_one_while_another_takes_its_place() {
        let directory = tempfile::tempdir().expect("tempdir");
        let [fresh, kept] = ["fresh", "kept"].map(|name| directory.path().join(name));
        let make = |text: &str| {
            fs::create_dir(&fresh).expect("mkdir");
            fs::write(fresh.join("text"), text).expect("write");
        };
        make("0");
        replace(&fresh, &kept).expect("renamed");
        let seen = kept.clone();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let missing = std::thread::spawn(move || {
            let over = std::sync::mpsc::TryRecvError::Disconnected;
            let missing = |_: &()| !seen.is_dir();
            let looks = std::iter::from_fn(|| (stopped.try_recv() != Err(over)).then_some(()));
            looks.filter(missing).count()
        });
        for round in 1..500 {
            make(&round.to_string());
            replace(&fresh, &kept).expect("exchanged");
            let text = fs::read_to_string(kept.join("text")).expect("read");
            assert_eq!((text, fresh.exists()), (round.to_string(), false));
        }
        drop(stop);
        assert_eq!(missing.join().expect("no panic"), 0);
    }
}
