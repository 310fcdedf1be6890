//! What a program finds out about itself, by calls alone.

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags, StatVfsMountFlags};
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, SecureComputingMode};

use super::Aims;
use super::tries::found;

/// Numbers below which a descriptor is looked for: no VMM may have more.
const DESCRIPTORS: RawFd = 4096;

/// Files and directories of a room that are looked at, libraries and firmware among them.
const MAX_FILES: usize = 10_000;

/// An open descriptor, and what is behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its number.
    pub number: RawFd,
    /// `socket`, `pipe`, `device MAJOR:MINOR`, or `file DEVICE:INODE` as `stat` tells them; and `ro` or
    /// `rw`.
    pub what: String,
}

/// What is open besides the three streams. To be asked before anything is opened.
pub fn held() -> Vec<Held> {
    (3..DESCRIPTORS).filter_map(one_held).collect()
}

fn one_held(number: RawFd) -> Option<Held> {
    // SAFETY: used in these two calls alone, which fail for a number under which nothing is open.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = rustix::fs::fcntl_getfl(fd).ok()?;
    let stat = rustix::fs::fstat(fd).ok()?;
    let (major, minor) = (
        rustix::fs::major(stat.st_rdev),
        rustix::fs::minor(stat.st_rdev),
    );
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Socket => "socket".to_owned(),
        FileType::Fifo => "pipe".to_owned(),
        FileType::CharacterDevice => format!("device {major}:{minor}"),
        _ => format!("file {}:{}", stat.st_dev, stat.st_ino),
    };
    let access = match flags.intersects(OFlags::WRONLY | OFlags::RDWR) {
        true => "rw",
        false => "ro",
    };
    Some(Held {
        number,
        what: format!("{what} {access}"),
    })
}

/// Its program: a room without `/proc` shows it under the name it was called by.
pub(super) fn program() -> io::Result<PathBuf> {
    let called = || std::env::args_os().next().map(PathBuf::from);
    fs::read_link("/proc/self/exe").or_else(|error| called().ok_or(error))
}

/// Those it has, or passes on.
pub(super) fn capabilities() -> io::Result<String> {
    let sets = rustix::thread::capabilities(None)?;
    let ambient = among_all(rustix::thread::capability_is_in_ambient_set);
    named(sets.effective | sets.permitted | sets.inheritable | ambient)
}

/// Those that a program it executes could give it.
pub(super) fn capabilities_to_get() -> io::Result<String> {
    named(among_all(rustix::thread::capability_is_in_bounding_set))
}

/// One that this kernel does not know is in no set.
fn among_all(is_in: impl Fn(CapabilitySet) -> rustix::io::Result<bool>) -> CapabilitySet {
    let all = CapabilitySet::all().iter();
    all.filter(|one| is_in(*one).unwrap_or(false)).collect()
}

fn named(set: CapabilitySet) -> io::Result<String> {
    found(set.iter_names().map(|(name, _)| name.to_owned()).collect())
}

pub(super) fn new_privileges() -> io::Result<String> {
    let refused = rustix::thread::no_new_privs()?;
    found(if refused {
        vec![]
    } else {
        vec!["any".to_owned()]
    })
}

pub(super) fn unfiltered() -> io::Result<String> {
    let mode = rustix::thread::secure_computing_mode()?;
    let filtered = mode == SecureComputingMode::Filter;
    found(if filtered {
        vec![]
    } else {
        vec![format!("{mode:?}")]
    })
}

/// What the kernel would write, if more than nothing: a limit of one byte is none and no pipe either.
pub(super) fn core_dumps() -> io::Result<String> {
    let limits = getrlimit(Resource::Core);
    let all = [limits.current, limits.maximum];
    let most = all.map(|limit| limit.unwrap_or(u64::MAX));
    found(
        most.iter()
            .filter(|&&limit| limit > 1)
            .map(u64::to_string)
            .collect(),
    )
}

/// The mounts it sees that lack this option, but for its work directory.
pub(super) fn mounts(aims: &Aims, option: StatVfsMountFlags) -> io::Result<String> {
    let mut lacking = Vec::new();
    let mut rest = vec![PathBuf::from("/")];
    for _ in 0..MAX_FILES {
        let Some(path) = rest.pop() else { break };
        let Ok(kind) = fs::symlink_metadata(&path).map(|metadata| metadata.file_type()) else {
            continue;
        };
        if is_left_out(aims, &path) || kind.is_symlink() || kind.is_fifo() {
            continue;
        }
        if !rustix::fs::statvfs(&path)?.f_flag.contains(option) {
            lacking.push(path.display().to_string());
        } else if kind.is_dir() {
            // One that may not be read shows nothing.
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            rest.extend(entries.map(|entry| entry.path()));
        }
    }
    found(lacking)
}

/// Below `/proc` nothing else is mounted, and much comes and goes.
fn is_left_out(aims: &Aims, path: &Path) -> bool {
    aims.work.as_deref() == Some(path) || path == Path::new("/proc")
}
