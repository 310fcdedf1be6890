//! Files and block devices of other people, opened for a guest.
//!
//! One that is written to is nobody else's as long as it is open: a block device is claimed from the
//! kernel (`O_EXCL`: not mounted, in no volume group, behind no other device), and both are locked
//! with `flock`, exclusively or, where they are only read, together with other readers. Claim and lock
//! go with the open file, so whoever inherits it keeps them.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use crate::loop_device::{self, Hold};

/// How long a loop device that nobody uses any more may keep its file, and between two looks.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(20);

/// What a disk is on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskKind {
    /// A regular file.
    File,
    /// A block device.
    BlockDevice,
}

/// Why a file or device cannot be a guest's.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The kernel refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Something else is there.
    #[error("{} is {found}, not {}", path.display(), wanted.name())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What is there.
        found: &'static str,
        /// What should be.
        wanted: DiskKind,
    },
    /// The host itself uses the device.
    #[error("{} is in use on this host: mounted, or part of another device", path.display())]
    InUse {
        /// The device.
        path: PathBuf,
    },
    /// Somebody else has the lock.
    #[error("{} is in use by somebody else", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
}

impl DiskKind {
    fn name(self) -> &'static str {
        match self {
            Self::File => "a regular file",
            Self::BlockDevice => "a block device",
        }
    }
}

impl DiskError {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
                Some("check the path: nothing is there".to_owned())
            }
            Self::Io { source, .. } => crate::error::hint(source),
            Self::Kind { .. } => Some(
                "the VM was made for something else at that path: put it back, or make the VM anew"
                    .to_owned(),
            ),
            Self::InUse { path } => Some(format!(
                "see where with `findmnt {0}` or `lsblk {0}`, and unmount it first",
                path.display()
            )),
            Self::Locked { .. } => Some(
                "a volume is written to by one VM alone; share it read-only (:ro) or stop the other one"
                    .to_owned(),
            ),
        }
    }
}

/// What is at this path, links followed; none for what is neither a disk nor a directory.
pub fn disk_kind(metadata: &Metadata) -> Option<DiskKind> {
    let kind = metadata.file_type();
    match (kind.is_file(), kind.is_block_device()) {
        (true, _) => Some(DiskKind::File),
        (_, true) => Some(DiskKind::BlockDevice),
        _ => None,
    }
}

/// Opens a disk and locks it.
pub fn open_disk(path: &Path, wanted: DiskKind, read_only: bool) -> Result<OwnedFd, DiskError> {
    let error = |action| {
        move |source: io::Error| DiskError::Io {
            action,
            path: path.to_owned(),
            source,
        }
    };
    // What it is comes first: opening alone may move a tape, or wait for a reader.
    let metadata = std::fs::metadata(path).map_err(error("open"))?;
    check_kind(path, &metadata, wanted)?;
    let mut flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
    flags |= match read_only {
        true => OFlags::RDONLY,
        false => OFlags::RDWR,
    };
    let claims = wanted == DiskKind::BlockDevice;
    if claims && !read_only {
        flags |= OFlags::EXCL;
    } else if claims {
        // Nobody may write to it in this moment.
        open(path, flags | OFlags::EXCL).map(drop)?;
    }
    let file = File::from(open(path, flags)?);
    let opened = file.metadata().map_err(error("look at"))?;
    check_kind(path, &opened, wanted)?;
    let until = Instant::now() + PATIENCE;
    loop {
        let Err(refused) = take(&file, &opened, path, read_only) else {
            return Ok(file.into());
        };
        // A device over it keeps the lock with the file.
        let leaving = || loop_device::hold(&opened) == Some(Hold::Leaving);
        if wanted != DiskKind::File || Instant::now() >= until || !leaving() {
            return Err(refused);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Locks what is open.
fn take(file: &File, opened: &Metadata, path: &Path, read_only: bool) -> Result<(), DiskError> {
    // A file behind a loop device may be mounted.
    if opened.is_file() && !read_only && loop_device::hold(opened).is_some() {
        return Err(DiskError::InUse {
            path: path.to_owned(),
        });
    }
    let operation = match read_only {
        true => FlockOperation::NonBlockingLockShared,
        false => FlockOperation::NonBlockingLockExclusive,
    };
    match flock(file, operation) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(DiskError::Locked {
            path: path.to_owned(),
        }),
        Err(errno) => Err(DiskError::Io {
            action: "lock",
            path: path.to_owned(),
            source: errno.into(),
        }),
    }
}

fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, DiskError> {
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::BUSY => DiskError::InUse {
            path: path.to_owned(),
        },
        _ => DiskError::Io {
            action: "open",
            path: path.to_owned(),
            source: errno.into(),
        },
    })
}

fn check_kind(path: &Path, metadata: &Metadata, wanted: DiskKind) -> Result<(), DiskError> {
    if disk_kind(metadata) == Some(wanted) {
        return Ok(());
    }
    let kind = metadata.file_type();
    let found = match disk_kind(metadata) {
        Some(found) => found.name(),
        None if kind.is_dir() => "a directory",
        None if kind.is_char_device() => "a character device",
        None if kind.is_fifo() => "a pipe",
        None => "something else",
    };
    Err(DiskError::Kind {
        path: path.to_owned(),
        found,
        wanted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loop_device::LoopDevice;

    #[test]
    fn a_file_has_one_writer_or_many_readers() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("disk");
        std::fs::write(&path, "x").expect("write");
        let open = |read_only| open_disk(&path, DiskKind::File, read_only);
        let readers = [open(true).expect("free"), open(true).expect("shared")];
        assert!(matches!(open(false), Err(DiskError::Locked { .. })));
        drop(readers);
        let writer = open(false).expect("free");
        for read_only in [true, false] {
            let refused = open(read_only).expect_err("taken");
            assert!(refused.hint().expect("a hint").contains(":ro"));
        }
        let inherited = writer.try_clone().expect("a descriptor");
        drop(writer);
        assert!(open(true).is_err(), "whoever has it keeps it");
        drop(inherited);
        open(true).expect("free again");
    }

    /// As where a VM was stopped a moment ago, and its device is still looked at.
    #[test]
    fn a_loop_device_that_lets_go_is_waited_for_and_a_used_one_is_not() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("disk");
        std::fs::write(&path, [0; 1 << 16]).expect("write");
        for read_only in [false, true] {
            let opened = open_disk(&path, DiskKind::File, false).expect("free");
            let device = LoopDevice::attach(&opened, false).expect("a device");
            drop(opened);
            let (name, used) = device.into_parts();
            let begun = Instant::now();
            open_disk(&path, DiskKind::File, read_only).expect_err("used");
            assert!(begun.elapsed() < PATIENCE, "nobody waits for a running VM");
            let looks = File::open(&name).expect("open");
            drop(used);
            assert!(loop_device::hold(&std::fs::metadata(&path).expect("there")).is_some());
            let end = std::thread::spawn(move || {
                std::thread::sleep(PAUSE * 5);
                drop(looks);
            });
            open_disk(&path, DiskKind::File, read_only).expect("free in a moment");
            end.join().expect("ended");
        }
    }

    #[test]
    fn what_is_no_disk_is_named() {
        let directory = tempfile::tempdir().expect("tempdir");
        let found = |path: &Path| {
            let error = open_disk(path, DiskKind::BlockDevice, true).expect_err("no disk");
            error.to_string()
        };
        assert!(found(directory.path()).ends_with("is a directory, not a block device"));
        assert!(found(Path::new("/dev/null")).contains("a character device"));
        let absent = open_disk(&directory.path().join("x"), DiskKind::File, true);
        assert!(absent.expect_err("absent").hint().is_some());
    }
}
