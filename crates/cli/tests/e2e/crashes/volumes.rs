//! The kills of the matrix with volumes: whatever is killed, no server of a directory, no loop device of
//! ours, no mount and no file is left.

use anyhow::Result;
use ignite_host::step::Step;

use super::Scene;
use super::scenes::Operation;
use super::steps::{Moment, walk};
use crate::firecracker::KVM;

/// The step that only a copied directory has.
pub const OWN: Step = Step::VolumeCopied;

/// A directory, and a file with a file system, below `/run`, which is a host's own.
const SOURCES: &str = "
mkdir -p /run/srv/dir
echo kept > /run/srv/dir/file
truncate -s 16M /run/srv/disk
mkfs.ext4 -q /run/srv/disk";

/// A device over that file. Loop devices are the machine's.
const DEVICE: &str = "ln -s $(losetup -f --show /run/srv/disk) /run/srv/device";
const NO_DEVICE: &str = "losetup -d $(readlink /run/srv/device)";

/// Where volumes are looked at, taken and given back, and what they were made of is removed.
const MOMENTS: [Moment; 19] = [
    (Operation::Create, "create.staged"),
    (Operation::Create, "create.recorded"),
    (Operation::Start, "start.idle"),
    (Operation::Start, "start.reserved"),
    (Operation::Start, "start.planned"),
    (Operation::Start, "start.spawned"),
    (Operation::Start, "supervise.begun"),
    (Operation::Start, "supervise.grouped"),
    (Operation::Start, "supervise.cloned"),
    (Operation::Start, "supervise.started"),
    (Operation::Start, "supervise.recorded"),
    (Operation::Start, "supervise.ready"),
    (Operation::Start, "start.ready"),
    (Operation::Repair, "repair.recorded"),
    (Operation::Stop, "supervise.ended"),
    (Operation::Stop, "supervise.stopped"),
    (Operation::Remove, "remove.run"),
    (Operation::Remove, "remove.renamed"),
    (Operation::Remove, "remove.done"),
];

fn scene(make: &[&str], options: &'static [&'static str], ending: &'static str) -> Result<Scene> {
    let mut scene = Scene::new()?;
    for script in make {
        scene.host.sh(script).ok()?;
    }
    scene.options = options;
    scene.ending = ending;
    scene.before = scene.host.traces()?;
    Ok(scene)
}

/// A block device, and a directory with its server, which is cloned before the VMM is.
#[test]
fn every_process_killed_at_every_step_of_a_vm_with_volumes() -> Result<()> {
    let more: [Moment; 2] = [
        (Operation::Start, "supervise.cloned:2"),
        (Operation::StartLost, "start.failed"),
    ];
    let options = &["-v", "/run/srv/device:/data,/run/srv/dir:/shared"];
    walk([&MOMENTS[..], &more].concat(), 2, || {
        scene(&[SOURCES, DEVICE], options, NO_DEVICE)
    })
}

/// A file, which gets a loop device of ours, and the copy of a directory.
#[test]
fn every_process_killed_at_every_step_of_a_vm_with_volumes_in_firecracker() -> Result<()> {
    let more: [Moment; 1] = [(Operation::Start, OWN.name())];
    let options = &[
        "--vmm",
        "firecracker",
        "-v",
        "/run/srv/disk:/data,/run/srv/dir:/own",
    ];
    walk([&MOMENTS[..], &more].concat(), 2, || {
        scene(&[KVM, SOURCES], options, "")
    })
}
