//! Whether a VM lives: its liveness lock is held by its supervisor and by its VMM.
//!
//! The lock ends with the processes, however they end. Whoever holds it is the only writer of the
//! VM's `status.json`: the engine before the supervisor runs, then the supervisor, and a repair when
//! both are gone.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use ignite_api::Uid;
use ignite_host::fs::Lock;

use crate::objects::make_directory;
use crate::{Error, Paths};

/// Looking whether a lock is held takes it shared for a moment; so often is taking it tried again.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(1);

/// Whether a VM's liveness lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// By its supervisor, its VMM, or an engine at work on it.
    Held,
    /// By nobody.
    Free,
}

/// A VM's liveness lock, held.
#[derive(Debug)]
pub struct Liveness {
    lock: Lock,
}

impl Liveness {
    /// Takes the lock; none where somebody else holds it. Makes the VM's runtime directory.
    pub fn try_acquire(paths: &Paths, uid: Uid) -> Result<Option<Self>, Error> {
        make_directory(&paths.vm_run(uid))?;
        let path = path(paths, uid);
        for _ in 0..ATTEMPTS {
            if let Some(lock) = Lock::try_exclusive_read_only(&path)? {
                return Ok(Some(Self { lock }));
            }
            if Lock::try_shared(&path)?.is_none() {
                return Ok(None);
            }
            // Somebody was only looking.
            std::thread::sleep(PAUSE);
        }
        Ok(None)
    }

    /// Looks whether somebody holds the lock, without being in the way of another who looks.
    pub fn look(paths: &Paths, uid: Uid) -> Result<State, Error> {
        match Lock::try_shared(&path(paths, uid)) {
            Ok(None) => Ok(State::Held),
            Ok(Some(_)) => Ok(State::Free),
            Err(error) if error.is_not_found() => Ok(State::Free),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether somebody holds the lock.
    pub fn is_held(paths: &Paths, uid: Uid) -> Result<bool, Error> {
        Ok(Self::look(paths, uid)? == State::Held)
    }

    /// Another descriptor of the lock, to pass to the supervisor: held until all are closed.
    pub fn to_fd(&self) -> std::io::Result<OwnedFd> {
        self.lock.try_clone_fd()
    }

    /// The lock, inherited from whoever started this process.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self {
            lock: Lock::from_fd(fd),
        }
    }
}

fn path(paths: &Paths, uid: Uid) -> PathBuf {
    paths.vm_run(uid).join("live.lock")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn held_until_the_last_descriptor_closes() {
        let root = tempfile::tempdir().expect("tempdir");
        let (paths, uid) = (Paths::under(root.path()), Uid::random());
        assert_eq!(Liveness::look(&paths, uid).expect("look"), State::Free);
        let live = Liveness::try_acquire(&paths, uid)
            .expect("acquire")
            .expect("free");
        let passed = live.to_fd().expect("clone");
        drop(live);
        assert!(Liveness::is_held(&paths, uid).expect("look"));
        assert!(
            Liveness::try_acquire(&paths, uid)
                .expect("acquire")
                .is_none()
        );
        drop(Liveness::from_fd(passed));
        assert!(!Liveness::is_held(&paths, uid).expect("look"));
    }

    /// The VMM has one.
    #[test]
    fn who_shares_it_cannot_write_to_the_file() {
        let root = tempfile::tempdir().expect("tempdir");
        let live = Liveness::try_acquire(&Paths::under(root.path()), Uid::random());
        let live = live.expect("acquire").expect("free");
        let mut shared = std::fs::File::from(live.to_fd().expect("clone"));
        shared.write_all(b"x").expect_err("read-only");
    }

    #[test]
    fn looking_is_in_nobodys_way() {
        let root = tempfile::tempdir().expect("tempdir");
        let (paths, uid) = (Paths::under(root.path()), Uid::random());
        drop(
            Liveness::try_acquire(&paths, uid)
                .expect("acquire")
                .expect("free"),
        );
        let looker = Lock::try_shared(&path(&paths, uid))
            .expect("look")
            .expect("free");
        assert_eq!(Liveness::look(&paths, uid).expect("look"), State::Free);
        let later = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(10));
            drop(looker);
        });
        assert!(
            Liveness::try_acquire(&paths, uid)
                .expect("acquire")
                .is_some()
        );
        later.join().expect("the looker ends");
    }
}
