//! Volumes for a Firecracker, which opens every disk by a name.
//!
//! Its user has no right to files of others and is to get none: it gets a node of its own for a block
//! device, and for a file the node of a loop device over it.

use std::os::fd::OwnedFd;
use std::path::Path;

use ignite_host::fs::open_disk;
use ignite_host::loop_device::LoopDevice;
use ignite_wire::supervisor::{Machine, VolumeKind};

use super::error::Error;
use crate::Error as VmmError;
use crate::qemu::kind_of;

/// What holds the volumes, as long as the VMM runs.
pub(super) type Held = Vec<OwnedFd>;

/// Takes the machine's volumes; in the machine that is given back they are block devices.
pub(super) fn take(machine: &Machine) -> Result<(Machine, Held), VmmError> {
    let (mut machine, mut held) = (machine.clone(), Vec::new());
    for disk in &mut machine.disks {
        let Some(kind) = disk.volume else {
            continue;
        };
        let opened = open_disk(&disk.path, kind_of(kind), disk.read_only)?;
        if kind == VolumeKind::File {
            let device = LoopDevice::attach(&opened, disk.read_only).map_err(Error::Loop)?;
            let (path, fd) = device.into_parts();
            disk.path = path;
            disk.volume = Some(VolumeKind::BlockDevice);
            held.push(fd);
        }
        held.push(opened);
    }
    Ok((machine, held))
}

/// What the VMM calls the volume of this number, in a room and in a jail.
pub(super) fn name(number: usize) -> std::path::PathBuf {
    Path::new("/dev").join(format!("disk{number}"))
}
