//! How the volumes of a VM that runs are joined to it, as `inspect` tells it.

use std::fs::File;

use ignite_api::{VolumeSource, VolumeStatus};
use ignite_image::superblock::{self, Content, FileSystem};
use ignite_store::VmRecord;
use ignite_wire::supervisor::{Machine, VolumeKind};

use super::{device, tag};

/// Of this machine, which was started from the record.
pub fn status(record: &VmRecord, machine: &Machine) -> Vec<VolumeStatus> {
    let volumes = &record.spec.storage.volumes;
    let shared = |index| machine.shares.iter().any(|share| share.tag == tag(index));
    let joined = (0..volumes.len()).filter(|index| !shared(*index)).count();
    let mut number = machine.disks.len().saturating_sub(joined);
    let mut status = Vec::new();
    for (index, volume) in volumes.iter().enumerate() {
        let mut told = VolumeStatus {
            name: volume.name.clone(),
            device: tag(index),
            kind: "virtio-fs".to_owned(),
            file_system: None,
            uuid: None,
        };
        if let Some(disk) = machine.disks.get(number).filter(|_| !shared(index)) {
            told.device = device(number);
            told.kind = match disk.volume {
                Some(VolumeKind::File | VolumeKind::BlockDevice) => "disk".to_owned(),
                None => "copy".to_owned(),
            };
            number += 1;
        }
        if let Some(source @ (VolumeSource::BlockDevice(_) | VolumeSource::File(_))) =
            volume.source()
            && let Some(found) = file_system(source)
        {
            told.file_system = Some(found.kind.to_owned());
            told.uuid = found.uuid;
        }
        status.push(told);
    }
    status
}

fn file_system(source: VolumeSource<'_>) -> Option<FileSystem> {
    let metadata = std::fs::metadata(source.path()).ok()?;
    // Whatever is there by now: opening something else may wait.
    ignite_host::fs::disk_kind(&metadata)?;
    let disk = File::open(source.path()).ok()?.into();
    match superblock::look(&disk).ok()? {
        Content::FileSystem(found) => Some(found),
        _ => None,
    }
}
