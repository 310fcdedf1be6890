//! Volumes for a Firecracker, which opens every disk by a name.
//!
//! Its user has no right to files of others and is to get none: it gets a node of its own for a block
//! device, and for a file the node of a loop device over it.

use std::collections::BTreeMap;
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

/// The device numbers of the volumes, by what number each has among the machine's disks. They are of
/// the descriptors that are held: what a path leads to may be another device by now.
pub(super) type Numbers = BTreeMap<usize, u64>;

/// The volumes of a machine, taken.
pub(super) struct Taken {
    /// The machine, its volumes all block devices.
    pub(super) machine: Machine,
    /// Which devices.
    pub(super) numbers: Numbers,
    /// What holds them.
    pub(super) held: Held,
}

/// Takes the machine's volumes.
pub(super) fn take(machine: &Machine) -> Result<Taken, VmmError> {
    let (mut machine, mut held) = (machine.clone(), Vec::new());
    let mut numbers = Numbers::new();
    for (number, disk) in machine.disks.iter_mut().enumerate() {
        let Some(kind) = disk.volume else {
            continue;
        };
        let opened = open_disk(&disk.path, kind_of(kind), disk.read_only)?;
        if kind == VolumeKind::File {
            let device = LoopDevice::attach(&opened, disk.read_only).map_err(Error::Loop)?;
            let (path, fd) = device.into_parts();
            disk.path = path;
            disk.volume = Some(VolumeKind::BlockDevice);
            numbers.insert(number, device_of(&fd, &disk.path)?);
            held.push(fd);
        } else {
            numbers.insert(number, device_of(&opened, &disk.path)?);
        }
        held.push(opened);
    }
    Ok(Taken {
        machine,
        numbers,
        held,
    })
}

/// The number of the device that is open.
fn device_of(opened: &OwnedFd, path: &Path) -> Result<u64, Error> {
    let stat = rustix::fs::fstat(opened).map_err(|errno| Error::Disk {
        path: path.to_owned(),
        source: errno.into(),
    })?;
    Ok(stat.st_rdev)
}

/// What the VMM calls the volume of this number, in a room and in a jail.
pub(super) fn name(number: usize) -> std::path::PathBuf {
    Path::new("/dev").join(format!("disk{number}"))
}
