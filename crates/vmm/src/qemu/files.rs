//! The files a machine is made of, opened for QEMU, which then needs no path and no right to any.
//!
//! QEMU looks into a disk's header and locks its bytes; both go by the open file, so every disk has
//! one of its own, and a base shared by two VMs is opened for each.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ignite_host::fs::{DiskKind, open_disk};
use ignite_wire::supervisor::{Disk, DiskFormat, Machine, VolumeKind};

use crate::Error;

/// What QEMU gets open.
#[derive(Debug)]
pub(super) struct Files {
    /// The kernel, read-only.
    pub kernel: OwnedFd,
    /// The disks' files in the order of [`of_disks`].
    pub disks: Vec<OwnedFd>,
}

/// One file of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DiskFile<'a> {
    pub path: &'a Path,
    pub read_only: bool,
    pub volume: Option<VolumeKind>,
}

/// The files of the disks in order: each disk's own, then what is below it.
pub(super) fn of_disks(disks: &[Disk]) -> Vec<DiskFile<'_>> {
    let mut files = Vec::new();
    for disk in disks {
        files.push(DiskFile {
            path: &disk.path,
            read_only: disk.read_only,
            volume: disk.volume,
        });
        if let DiskFormat::Qcow2 { backing } = &disk.format {
            files.push(DiskFile {
                path: backing,
                read_only: true,
                volume: None,
            });
        }
    }
    files
}

/// Opens them all.
pub(super) fn open(machine: &Machine) -> Result<Files, Error> {
    let disk = |file: DiskFile<'_>| match file.volume {
        None => open_one("disk", file.path, file.read_only),
        Some(kind) => Ok(open_disk(file.path, kind_of(kind), file.read_only)?),
    };
    Ok(Files {
        kernel: open_one("kernel", &machine.kernel, true)?,
        disks: of_disks(&machine.disks)
            .into_iter()
            .map(disk)
            .collect::<Result<_, Error>>()?,
    })
}

/// What a volume of this kind must be.
pub(crate) fn kind_of(kind: VolumeKind) -> DiskKind {
    match kind {
        VolumeKind::File => DiskKind::File,
        VolumeKind::BlockDevice => DiskKind::BlockDevice,
    }
}

/// A regular file: what else has that name may block, or be a device of the host's.
fn open_one(what: &'static str, path: &Path, read_only: bool) -> Result<OwnedFd, Error> {
    let error = |source| Error::Open {
        what,
        path: path.to_owned(),
        source,
    };
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file: File = OpenOptions::new()
        .read(true)
        .write(!read_only)
        .custom_flags(flags)
        .open(path)
        .map_err(error)?;
    if !file.metadata().map_err(error)?.is_file() {
        return Err(error(std::io::Error::other("it is no regular file")));
    }
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn disk(path: PathBuf, format: DiskFormat, read_only: bool) -> Disk {
        Disk {
            path,
            format,
            read_only,
            rate: None,
            volume: None,
        }
    }

    #[test]
    fn a_disk_comes_before_what_is_below_it() {
        let backing = PathBuf::from("/image");
        let disks = [
            disk("/disk".into(), DiskFormat::Qcow2 { backing }, false),
            disk("/modules".into(), DiskFormat::Raw, true),
        ];
        let files: Vec<(&str, bool)> = of_disks(&disks)
            .iter()
            .map(|file| (file.path.to_str().expect("text"), file.read_only))
            .collect();
        assert_eq!(
            files,
            [("/disk", false), ("/image", true), ("/modules", true)]
        );
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        let root = tempfile::tempdir().expect("tempdir");
        let absent = root.path().join("absent");
        let error = open_one("kernel", &absent, true).expect_err("absent");
        let expected = format!("cannot open the kernel {}", absent.display());
        assert_eq!(error.to_string(), expected);
        assert!(open_one("disk", root.path(), true).is_err(), "a directory");
        let pipe = root.path().join("pipe");
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, 0o600.into(), 0).expect("mkfifo");
        assert!(open_one("disk", &pipe, false).is_err(), "nobody waits");
    }
}
