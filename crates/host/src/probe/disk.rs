//! A directory's file system: what is free, and whether files can share their blocks.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// What there is of a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The directory looked at: the one meant, or the nearest above it that is there.
    pub directory: PathBuf,
    /// The kind of file system, as it is mounted; none where `/proc` does not say.
    pub kind: Option<String>,
    /// Whether nothing can be written.
    pub read_only: bool,
    /// Bytes, all of them.
    pub size: u64,
    /// Bytes an unprivileged process could still write.
    pub free: u64,
    /// Files it can hold; 0 where it makes room for them as they come.
    pub inodes: u64,
    /// Files it can still take.
    pub free_inodes: u64,
}

/// The file system that holds `path`, or will when it is made.
pub fn look(path: &Path) -> io::Result<Disk> {
    let directory = nearest(path);
    let stat = rustix::fs::statvfs(&directory)?;
    let mounts = super::text("/proc/self/mountinfo").unwrap_or_default();
    let whole = std::fs::canonicalize(&directory).unwrap_or_else(|_| directory.clone());
    Ok(Disk {
        kind: kind(&mounts, &whole),
        read_only: stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        size: stat.f_blocks.saturating_mul(stat.f_frsize),
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
        inodes: stat.f_files,
        free_inodes: stat.f_favail,
        directory,
    })
}

/// Whether files in this directory can share their blocks (`FICLONE`), tried on two without a name.
pub fn can_reflink(directory: &Path) -> io::Result<bool> {
    let (mut from, to) = (nameless(directory)?, nameless(directory)?);
    from.write_all(&[1; 4096])?;
    match rustix::fs::ioctl_ficlone(&to, &from) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL | Errno::NOSYS | Errno::XDEV) => {
            Ok(false)
        }
        Err(errno) => Err(errno.into()),
    }
}

fn nameless(directory: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    Ok(File::from(rustix::fs::open(directory, flags, mode)?))
}

/// The path itself, or the nearest directory above it that is there and can be looked at.
fn nearest(path: &Path) -> PathBuf {
    let there = path.ancestors().find(|directory| directory.is_dir());
    there.unwrap_or(Path::new("/")).to_owned()
}

/// The type of the innermost mount that holds `path`; the later of two at one place lies on top.
fn kind(mountinfo: &str, path: &Path) -> Option<String> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let point = PathBuf::from(mount.split(' ').nth(4)?);
        let kind = file_system.split(' ').next()?;
        path.starts_with(&point)
            .then(|| (point.components().count(), kind.to_owned()))
    });
    mounts.max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_counts() {
        let mounts = "\
1 0 8:1 / / rw - ext4 /dev/a rw
2 1 8:2 / /var/lib rw - xfs /dev/b rw
3 1 8:3 / /var/library rw - btrfs /dev/c rw
";
        let of = |path| kind(mounts, Path::new(path));
        assert_eq!(of("/var/lib/ignite").as_deref(), Some("xfs"));
        assert_eq!(of("/var/lib").as_deref(), Some("xfs"));
        assert_eq!(of("/var").as_deref(), Some("ext4"));
        assert_eq!(kind("", Path::new("/")), None);
    }

    #[test]
    fn what_is_not_there_yet_is_looked_at_above() {
        let root = tempfile::tempdir().expect("tempdir");
        let disk = look(&root.path().join("var/lib/ignite")).expect("there is a disk");
        assert_eq!(disk.directory, root.path());
        assert!(disk.size > 0 && disk.size >= disk.free);
    }

    #[test]
    fn trying_to_share_leaves_nothing() {
        let root = tempfile::tempdir().expect("tempdir");
        can_reflink(root.path()).expect("tried");
        assert_eq!(std::fs::read_dir(root.path()).expect("list").count(), 0);
        assert!(can_reflink(Path::new("/nonexistent")).is_err());
    }
}
