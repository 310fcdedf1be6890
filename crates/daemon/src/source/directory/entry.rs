//! One file: what it is, and what is in it. Nothing here waits, and nothing outside the root is read.

use std::fs::File as Open;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, readlinkat, statat,
};
use rustix::io::Errno;

use crate::source::{File, MAX_MANIFEST};

/// What tells whether a file is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, u64),
    changed: (i64, u64),
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// As which it is known again.
    pub stamp: Stamp,
    /// Whether it is a symbolic link.
    pub is_link: bool,
    /// When its content was last written.
    pub written: SystemTime,
}

/// A file that is no manifest, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why, in words.
    pub why: String,
    /// Whether it is a symbolic link.
    pub is_link: bool,
}

/// What stands behind a path of the tree.
pub type Found = Result<Entry, Refused>;

/// Looks at a file; none if there is none.
pub fn look(root: &OwnedFd, path: &str) -> Option<Found> {
    let found = match statat(root, path, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT | Errno::NOTDIR) => return None,
        Err(error) => return Some(Err(refused(unreadable(error), false))),
        Ok(stat) => stat,
    };
    let is_link = FileType::from_raw_mode(found.st_mode) == FileType::Symlink;
    if !is_link {
        return Some(regular(&found, false));
    }
    // O_PATH opens nothing: a device behind a link hears nothing of it.
    let target = open(root, path, OFlags::PATH).and_then(fstat);
    Some(match target {
        Ok(stat) => regular(&stat, true),
        Err(error) => Err(refused(broken_link(root, path, error), true)),
    })
}

/// Whether a path is a symbolic link behind which there is, or may be, a directory.
pub fn link_to_directory(root: &OwnedFd, path: &str) -> Option<Refused> {
    let stat = statat(root, path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        return None;
    }
    let leads = match open(root, path, OFlags::PATH | OFlags::DIRECTORY) {
        Ok(_) => "to a directory",
        // Nothing outside is looked at, not even what it is.
        Err(Errno::XDEV) => "out of the directory",
        Err(_) => return None,
    };
    let why = format!(
        "it is a symbolic link that leads {leads}: what is behind it is not looked at, \
         and VMs of manifests that were here stay as they are"
    );
    Some(refused(why, true))
}

/// Reads a file that [`look`] found to be regular.
pub fn read(root: &OwnedFd, path: &str, is_link: bool) -> File {
    let follow = if is_link {
        OFlags::empty()
    } else {
        OFlags::NOFOLLOW
    };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | follow;
    let fd = match open(root, path, flags) {
        Ok(fd) => fd,
        Err(error) => return File::Fault(unreadable(error)),
    };
    // It may be another one by now.
    match fstat(&fd).map(|stat| regular(&stat, is_link)) {
        Ok(Ok(_)) => {}
        Ok(Err(refused)) => return File::Fault(refused.why),
        Err(error) => return File::Fault(unreadable(error)),
    }
    let mut bytes = Vec::new();
    let read = Open::from(fd)
        .take(MAX_MANIFEST + 1)
        .read_to_end(&mut bytes);
    match read {
        Err(error) => File::Fault(format!("it cannot be read: {error}")),
        Ok(_) if bytes.len() as u64 > MAX_MANIFEST => File::Fault(too_large()),
        Ok(_) => String::from_utf8(bytes).map_or_else(
            |error| {
                let at = error.utf8_error().valid_up_to();
                File::Fault(format!("it is no text: byte {at} is not UTF-8"))
            },
            File::Text,
        ),
    }
}

fn open(root: &OwnedFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

fn regular(stat: &Stat, is_link: bool) -> Found {
    let refuse = |why: &str| Err(refused(why.into(), is_link));
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if stat.st_size > MAX_MANIFEST as i64 => {
            Err(refused(too_large(), is_link))
        }
        FileType::RegularFile => Ok(entry(stat, is_link)),
        FileType::Directory => refuse("it is a directory"),
        FileType::Fifo => refuse("it is a FIFO, and no file"),
        FileType::Socket => refuse("it is a socket, and no file"),
        FileType::CharacterDevice | FileType::BlockDevice => refuse("it is a device, and no file"),
        _ => refuse("it is no file"),
    }
}

fn entry(stat: &Stat, is_link: bool) -> Entry {
    let modified = (stat.st_mtime, stat.st_mtime_nsec);
    let seconds = Duration::from_secs(u64::try_from(modified.0).unwrap_or(0));
    let nanoseconds = Duration::from_nanos(modified.1);
    Entry {
        stamp: Stamp {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified,
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        },
        is_link,
        written: SystemTime::UNIX_EPOCH + seconds + nanoseconds,
    }
}

fn refused(why: String, is_link: bool) -> Refused {
    Refused { why, is_link }
}

fn too_large() -> String {
    format!("it has more than {MAX_MANIFEST} bytes")
}

fn unreadable(error: Errno) -> String {
    format!("it cannot be read: {}", std::io::Error::from(error))
}

fn broken_link(root: &OwnedFd, path: &str, error: Errno) -> String {
    let target = readlinkat(root, path, Vec::new()).unwrap_or_default();
    let target = target.to_string_lossy();
    match error {
        Errno::XDEV => format!(
            "it is a symbolic link to {target}, which leads out of the directory \
             (a link with an absolute path always does)"
        ),
        Errno::LOOP => "it is a symbolic link that leads round in a circle".into(),
        Errno::NOENT | Errno::NOTDIR => {
            format!("it is a symbolic link to {target}, which is not there")
        }
        error => unreadable(error),
    }
}
