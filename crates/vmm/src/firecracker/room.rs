//! What a confined Firecracker sees: its program, which is static in every release, the kernel and the
//! disks, all under names of their own, and a directory to work in.

use std::path::{Path, PathBuf};

use ignite_host::confine::{Access, Bind, Block, Error, Plan, Work};
use ignite_wire::supervisor::Machine;

use super::command::Paths;
use super::volumes::Numbers;

/// Bytes of the work directory besides the initramfs, and how many files there may be: pipes and
/// sockets, no more.
const WORK_BYTES: u64 = 1 << 20;
const WORK_FILES: u64 = 32;

/// What a static program is called, wherever the host has it.
const PROGRAM: &str = "/firecracker";

/// The room of this machine's Firecracker, where things are called as [`Paths::of_room`] says; and what
/// its program is called there.
pub(super) fn plan(
    (machine, numbers): (&Machine, &Numbers),
    nics: usize,
    initramfs: u64,
) -> Result<(Plan, PathBuf), Error> {
    let paths = Paths::of_room(machine);
    let mut plan = Plan {
        devices: devices(nics),
        work: Some(Work {
            target: paths.work,
            bytes: initramfs + WORK_BYTES,
            files: WORK_FILES,
        }),
        ..Plan::default()
    };
    if cfg!(target_arch = "aarch64") {
        // There it tells the guest of the processor's caches.
        plan.show(Path::new("/sys/devices/system/cpu"), Access::Read);
    }
    let program = plan.program_as(&machine.program, Path::new(PROGRAM))?;
    plan.binds.push(Bind {
        source: machine.kernel.clone(),
        target: paths.kernel,
        access: Access::Read,
    });
    for (index, (disk, target)) in machine.disks.iter().zip(paths.disks).enumerate() {
        let access = match disk.read_only {
            true => Access::Read,
            false => Access::ReadWrite,
        };
        match numbers.get(&index) {
            None => plan.binds.push(Bind {
                source: disk.path.clone(),
                target,
                access,
            }),
            Some(&number) => plan.blocks.push(Block {
                number,
                target,
                access,
            }),
        }
    }
    Ok((plan, program))
}

fn devices(nics: usize) -> Vec<PathBuf> {
    let tun = (nics > 0).then_some("/dev/net/tun");
    let all = ["/dev/kvm", "/dev/null", "/dev/urandom"];
    all.into_iter().chain(tun).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_wire::supervisor::{Disk, DiskFormat, Vmm, VolumeKind};

    #[test]
    fn a_disk_is_written_only_where_the_guest_may() {
        let disk = |name: &str, read_only| Disk {
            path: PathBuf::from(name),
            format: DiskFormat::Raw,
            read_only,
            rate: None,
            volume: None,
        };
        let volume = Disk {
            volume: Some(VolumeKind::BlockDevice),
            ..disk("/dev/of-another-by-now", true)
        };
        let numbers = Numbers::from([(2, 7)]);
        let machine = Machine {
            vmm: Vmm::Firecracker,
            program: std::env::current_exe().expect("a program"),
            cpus: 1,
            memory: 1 << 20,
            balloon: None,
            kernel: PathBuf::from("/k/vmlinux"),
            initramfs: PathBuf::from("/k/initramfs"),
            cmdline: String::new(),
            disks: vec![disk("/vm/disk", false), disk("/k/modules", true), volume],
            shares: Vec::new(),
        };
        let (plan, program) = plan((&machine, &numbers), 0, 1000).expect("a program");
        assert!(plan.binds.iter().any(|bind| bind.target == program));
        plan.check().expect("nothing lies within another");
        let access = |target: &str| {
            let bind = plan.binds.iter().find(|bind| bind.target.ends_with(target));
            bind.map(|bind| bind.access)
        };
        assert_eq!(access("kernel"), Some(Access::Read));
        assert_eq!(access("disk0"), Some(Access::ReadWrite));
        assert_eq!(access("disk1"), Some(Access::Read));
        assert!(!plan.devices.contains(&PathBuf::from("/dev/net/tun")));
        let block = Block {
            number: 7,
            target: "/dev/disk2".into(),
            access: Access::Read,
        };
        assert_eq!(plan.blocks, [block]);
        assert_eq!(plan.work.map(|work| work.bytes), Some(1000 + WORK_BYTES));
    }
}
