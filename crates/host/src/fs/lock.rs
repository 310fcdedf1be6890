//! Advisory locks on files (`flock`): they end with the last descriptor, so with the process.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use super::Error;

/// A held lock; dropping it lets go, unless the descriptor was passed on to a child. (A child that
/// another thread starts at that moment holds a copy until it executes its program: for an instant
/// the lock may still look held.)
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Waits until nobody else holds the lock. The file is made if absent (mode 0600).
    pub fn exclusive(path: &Path) -> Result<Self, Error> {
        Self::wait(path, FlockOperation::LockExclusive)
    }

    /// Waits until nobody holds the lock exclusively.
    pub fn shared(path: &Path) -> Result<Self, Error> {
        Self::wait(path, FlockOperation::LockShared)
    }

    /// The lock if nobody else holds it, none otherwise; does not wait.
    pub fn try_exclusive(path: &Path) -> Result<Option<Self>, Error> {
        Self::acquire(path, FlockOperation::NonBlockingLockExclusive)
    }

    /// As [`Lock::try_exclusive`], for a lock that is shared with somebody who must not write to the
    /// file.
    pub fn try_exclusive_read_only(path: &Path) -> Result<Option<Self>, Error> {
        let operation = FlockOperation::NonBlockingLockExclusive;
        Self::acquire_as(OFlags::RDONLY, path, operation)
    }

    /// The lock if nobody holds it exclusively, none otherwise; does not wait.
    pub fn try_shared(path: &Path) -> Result<Option<Self>, Error> {
        Self::acquire(path, FlockOperation::NonBlockingLockShared)
    }

    /// Lets go for all who have a descriptor of this lock, wherever it was passed on to.
    pub fn release(&self) {
        // Fails for no descriptor that is open.
        let _ = retry_interrupted(|| flock(&self.file, FlockOperation::Unlock));
    }

    /// Lets go as [`Lock::release`] does, with the file at `path`, which is the lock's: nobody is to wait for it any more, and who
    /// does all the same makes another. One that is gone is fine.
    pub fn remove(&self, path: &Path) -> Result<(), Error> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::at("remove the lock file", path)(error))
            }
            _ => {
                self.release();
                Ok(())
            }
        }
    }

    /// Takes over a descriptor on which the lock is held already, inherited from a parent.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { file: fd.into() }
    }

    /// A second descriptor of the same lock, to pass to a child: the lock is held until both close.
    pub fn try_clone_fd(&self) -> std::io::Result<OwnedFd> {
        Ok(self.file.try_clone()?.into())
    }

    fn wait(path: &Path, operation: FlockOperation) -> Result<Self, Error> {
        let lock = Self::acquire(path, operation)?;
        Ok(lock.expect("a waiting flock does not answer EWOULDBLOCK"))
    }

    fn acquire(path: &Path, operation: FlockOperation) -> Result<Option<Self>, Error> {
        // A network's file system wants to write what it locks exclusively.
        Self::acquire_as(OFlags::RDWR, path, operation)
    }

    fn acquire_as(
        access: OFlags,
        path: &Path,
        operation: FlockOperation,
    ) -> Result<Option<Self>, Error> {
        loop {
            let file = open(access, path)?;
            match retry_interrupted(|| flock(&file, operation)) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(errno) => return Err(Error::at("lock", path)(errno)),
            }
            if names(path, &file)? {
                return Ok(Some(Self { file }));
            }
            // The holder before us removed the file: others would lock another one. Once more.
        }
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn open(access: OFlags, path: &Path) -> Result<File, Error> {
    let flags = access | OFlags::CREATE | OFlags::CLOEXEC;
    retry_interrupted(|| rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR))
        .map(File::from)
        .map_err(Error::at("open the lock file", path))
}

/// Whether `path` still names the opened file.
fn names(path: &Path, file: &File) -> Result<bool, Error> {
    let held = file.metadata().map_err(Error::at("look at", path))?;
    match std::fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::at("look at", path)(error)),
    }
}

fn retry_interrupted<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusive_excludes_and_ends_with_the_last_descriptor() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("lock");
        let lock = Lock::exclusive(&path).expect("free");
        let second = lock.try_clone_fd().expect("clone");
        assert!(Lock::try_exclusive(&path).expect("try").is_none());
        assert!(Lock::try_shared(&path).expect("try").is_none());
        drop(lock);
        assert!(Lock::try_exclusive(&path).expect("try").is_none());
        drop(Lock::from_fd(second));
        // Waits, since a child of another test may hold a copy for an instant.
        Lock::exclusive(&path).expect("free again");
    }

    #[test]
    fn shared_holders_live_beside_each_other() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("lock");
        let _one = Lock::shared(&path).expect("one");
        let _two = Lock::shared(&path).expect("two");
        assert!(Lock::try_exclusive(&path).expect("try").is_none());
    }

    #[test]
    fn a_removed_lock_file_is_not_held_by_two() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("lock");
        let first = Lock::exclusive(&path).expect("free");
        let second = first.try_clone_fd().expect("clone");
        let waiter = std::thread::spawn({
            let path = path.clone();
            move || Lock::exclusive(&path).expect("after the first")
        });
        std::thread::sleep(std::time::Duration::from_millis(50));
        // Whoever inherited it need not let go first.
        first.remove(&path).expect("remove");
        let _held = waiter.join().expect("waiter");
        drop(second);
        assert!(path.exists());
        assert!(Lock::try_exclusive(&path).expect("try").is_none());
    }
}
