//! A directory as a disk: an ext4 file system with a copy of it, in the VM's directory.
//!
//! One that the guest may only read is made at every start, so it shows what was there then. One that
//! it may write to is made once and stays the VM's: what the guest writes is seen by nobody else.

use std::path::{Path, PathBuf};

use ignite_api::{Size, Volume};
use ignite_host::step::{self, Step};
use ignite_image::ext4;
use ignite_store::VmRecord;
use ignite_wire::supervisor::{Disk, DiskFormat};

use super::VolumeError;
use crate::{Engine, Error, Report};

impl Engine {
    /// The disk with the copy, made if need be.
    pub(super) fn copy(
        &self,
        record: &VmRecord,
        (index, volume): (usize, &Volume),
        path: &Path,
        report: &dyn Report,
    ) -> Result<Disk, Error> {
        let disk = file(&self.vms.dir(record.uid), index);
        if volume.read_only || !disk.exists() {
            report.warn(&remark(path, volume.read_only));
            make(record, path, &disk, volume.read_only)?;
        }
        Ok(Disk {
            path: disk,
            format: DiskFormat::Raw,
            read_only: volume.read_only,
            rate: None,
            volume: None,
        })
    }
}

/// The file of the copy of the volume of this number.
fn file(directory: &Path, index: usize) -> PathBuf {
    directory.join(format!("volume{index}.ext4"))
}

fn remark(path: &Path, read_only: bool) -> String {
    let path = path.display();
    match read_only {
        true => format!("the VM sees a copy of {path}, as it is now"),
        false => format!("the VM has a copy of {path}: what it changes stays in the VM"),
    }
}

/// Makes it under another name first: a file system that is half made is never used, also after the
/// host lost its power.
fn make(record: &VmRecord, path: &Path, disk: &Path, read_only: bool) -> Result<(), VolumeError> {
    let bound = record.spec.disk_size;
    let failed = |source| VolumeError::Copy {
        path: path.to_owned(),
        source,
    };
    let content = ext4::content(path, bound.bytes()).map_err(failed)?;
    let content = content.ok_or_else(|| VolumeError::TooLarge {
        path: path.to_owned(),
        bound,
    })?;
    let unfinished = disk.with_extension("new");
    let io = |action: &'static str| {
        let path = unfinished.clone();
        move |source| {
            failed(ext4::Error::Io {
                action,
                path,
                source,
            })
        }
    };
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io("remove")(error));
        }
        _ => {}
    }
    let options = ext4::Options {
        label: "volume".to_owned(),
        // Room to write as much again, and something for little ones.
        spare: if read_only {
            0
        } else {
            content.max(Size::from_mib(64).bytes())
        },
        read_only,
        uuid: None,
    };
    ext4::make(path, &unfinished, &options).map_err(failed)?;
    // One that is made anew at every start need not outlast the host's power.
    if !read_only {
        sync(&unfinished).map_err(io("sync"))?;
    }
    step::reached(Step::VolumeCopied);
    std::fs::rename(&unfinished, disk).map_err(io("rename"))?;
    match disk.parent() {
        Some(directory) if !read_only => sync(directory).map_err(io("sync the directory of")),
        _ => Ok(()),
    }
}

/// Makes the content of a file, or the names in a directory, durable.
fn sync(path: &Path) -> std::io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}
