//! Volumes: what of the host's a VM has besides its own disk.
//!
//! ```text
//!  file, block device   a further disk, opened for the VMM; a file system is on it, or it is not mounted
//!  directory            virtio-fs, where QEMU runs the VM and virtiofsd is there
//!                       else a disk made of a copy, in the VM's directory
//! ```
//! A person's file is never changed but by the guest, and never removed. What is taken is held by the
//! open file alone (`ignite_host::fs::open_disk`): nothing is left to release.

mod copy;
mod error;
mod look;
mod status;

use std::path::{Path, PathBuf};

use ignite_api::{Volume, VolumeSource};
use ignite_store::VmRecord;
use ignite_wire::guest;
use ignite_wire::supervisor::{Disk, DiskFormat, Share, Vmm, VolumeKind};

use crate::{Engine, Error, Report};
pub use error::VolumeError;
pub(super) use look::check;
pub use look::volumes_of;
pub(super) use status::status;

/// Type of a shared directory in the guest.
const VIRTIOFS: &str = "virtiofs";

/// What a VM's volumes become in its machine and its guest.
#[derive(Debug, Default)]
pub struct Joined {
    /// Further disks, behind the VM's own.
    pub disks: Vec<Disk>,
    /// Shared directories.
    pub shares: Vec<Share>,
    /// What the guest mounts, what lies deeper later.
    pub mounts: Vec<guest::Volume>,
    /// Bytes of the largest file that may be written to.
    pub largest: u64,
}

/// What there is to join volumes to.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// The VMM.
    pub vmm: Vmm,
    /// How many disks are before them.
    pub disks: usize,
}

impl Engine {
    /// Looks at every volume of the VM, and says how it is joined. What can be known to be in the way is
    /// found here, before anything of the start is made; a copy of a directory is made.
    pub(super) fn join_volumes(
        &self,
        record: &VmRecord,
        machine: Machine,
        report: &dyn Report,
    ) -> Result<Joined, Error> {
        let server = match machine.vmm {
            Vmm::Firecracker => None,
            Vmm::QemuKvm | Vmm::QemuTcg => ignite_vmm::find::virtiofsd(),
        };
        let mut joined = Joined::default();
        for (index, volume) in record.spec.storage.volumes.iter().enumerate() {
            let device = device(machine.disks + joined.disks.len());
            let mount = record.spec.storage.mount_of(&volume.name);
            match volume.source() {
                Some(VolumeSource::Directory(path)) => {
                    let path = look::directory(Path::new(path))?;
                    match &server {
                        Some(server) => joined.share(volume, (index, path), server, mount),
                        None => {
                            let disk = self.copy(record, (index, volume), &path, report)?;
                            joined.disk(disk, volume, mount.map(|at| (device, at, "ext4")));
                        }
                    }
                }
                Some(source) => {
                    let (disk, found) = self.disk_of(record, volume, source)?;
                    let mount = mount.zip(found).map(|(at, kind)| (device, at, kind));
                    joined.disk(disk, volume, mount);
                }
                // Refused when the VM was made.
                None => {}
            }
        }
        joined.mounts.sort_by_key(|mount| depth(&mount.target));
        Ok(joined)
    }

    /// A device or file, and the type of the file system to mount, where it is to be mounted.
    fn disk_of(
        &self,
        record: &VmRecord,
        volume: &Volume,
        source: VolumeSource<'_>,
    ) -> Result<(Disk, Option<&'static str>), Error> {
        let path = PathBuf::from(source.path());
        let found = look::disk(record, volume, source).map_err(|error| match error {
            VolumeError::Disk {
                source: ignite_host::fs::DiskError::Locked { .. },
                ..
            } => self.name_the_other(record, &path, error),
            error => error,
        })?;
        let disk = Disk {
            path,
            format: DiskFormat::Raw,
            read_only: volume.read_only,
            rate: None,
            volume: Some(match source {
                VolumeSource::BlockDevice(_) => VolumeKind::BlockDevice,
                VolumeSource::File(_) | VolumeSource::Directory(_) => VolumeKind::File,
            }),
        };
        Ok((disk, found))
    }

    /// Which VM has the lock on this file; the error as it was where no VM has.
    fn name_the_other(&self, record: &VmRecord, path: &Path, error: VolumeError) -> VolumeError {
        let Ok(summary) = self.vms.summary() else {
            return error;
        };
        let others = summary.vms.into_iter();
        for other in others.filter(|other| other.uid != record.uid && other.state.is_live()) {
            let Ok(other) = self.vms.get(other.uid) else {
                continue;
            };
            if look::has(&other.spec.storage, path) {
                return VolumeError::InUse {
                    path: path.to_owned(),
                    vm: other.name.to_string(),
                };
            }
        }
        error
    }
}

impl Joined {
    fn disk(&mut self, disk: Disk, volume: &Volume, mount: Option<(String, &str, &str)>) {
        if !disk.read_only {
            // A block device has none, and no limit of a file's length holds for it.
            let length = std::fs::metadata(&disk.path).map_or(0, |file| file.len());
            self.largest = self.largest.max(length);
        }
        self.disks.push(disk);
        self.mounts
            .extend(mount.map(|(source, target, kind)| guest::Volume {
                name: volume.name.clone(),
                source,
                filesystem: kind.to_owned(),
                target: target.to_owned(),
                read_only: volume.read_only,
            }));
    }

    fn share(
        &mut self,
        volume: &Volume,
        (index, path): (usize, PathBuf),
        server: &Path,
        mount: Option<&str>,
    ) {
        let tag = tag(index);
        self.mounts.extend(mount.map(|target| guest::Volume {
            name: volume.name.clone(),
            source: tag.clone(),
            filesystem: VIRTIOFS.to_owned(),
            target: target.to_owned(),
            read_only: volume.read_only,
        }));
        self.shares.push(Share {
            path,
            tag,
            read_only: volume.read_only,
            server: server.to_owned(),
        });
    }
}

/// What the guest knows the volume of this number by, where it is a shared directory.
fn tag(index: usize) -> String {
    format!("ignite{index}")
}

/// What the guest calls the disk of this number.
pub(super) fn device(number: usize) -> String {
    let letter = u8::try_from(number).unwrap_or(25).min(25) + b'a';
    format!("/dev/vd{}", char::from(letter))
}

fn depth(target: &str) -> usize {
    Path::new(target).components().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_lettered_in_their_order() {
        assert_eq!(device(2), "/dev/vdc");
        assert_eq!(device(25), "/dev/vdz");
    }

    #[test]
    fn what_lies_deeper_is_mounted_later() {
        let mut targets = ["/a/b/c", "/d", "/a/b"];
        targets.sort_by_key(|target| depth(target));
        assert_eq!(targets, ["/d", "/a/b", "/a/b/c"]);
    }
}
