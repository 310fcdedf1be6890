//! What a confined QEMU sees: its program with the libraries, and its firmware. All that is the VM's
//! it gets open, and the guest's network is a tap; so it needs no directory to write to and no network.

use std::path::{Path, PathBuf};

use ignite_host::confine::{Access, Error, Plan};
use ignite_wire::supervisor::{Machine, Vmm};

/// Where firmware is: Debian's and upstream's place, Red Hat's, and SeaBIOS's own, into which links
/// of the others lead.
const FIRMWARE: [&str; 3] = [
    "/usr/share/qemu",
    "/usr/share/qemu-kvm",
    "/usr/share/seabios",
];

/// The room of this machine's QEMU.
pub(super) fn plan(machine: &Machine) -> Result<Plan, Error> {
    let mut plan = Plan {
        proc: Some("/proc".into()),
        devices: devices(machine.vmm),
        ..Plan::default()
    };
    let program = program(machine);
    plan.program(&program)?;
    for directory in firmware(&program) {
        if !shows(&plan, &directory) {
            plan.show(&directory, Access::Read);
        }
    }
    Ok(plan)
}

/// Whether the room has it already: a QEMU below a library directory is there with all it brings along.
fn shows(plan: &Plan, path: &Path) -> bool {
    plan.binds.iter().any(|bind| path.starts_with(&bind.target))
}

/// On `/dev/null` QEMU tries whether the kernel has the locks it puts on disks; without it, it uses
/// none.
fn devices(vmm: Vmm) -> Vec<PathBuf> {
    let kvm = matches!(vmm, Vmm::QemuKvm).then_some("/dev/kvm");
    let all = ["/dev/null", "/dev/urandom"].into_iter().chain(kvm);
    all.map(PathBuf::from).collect()
}

/// The program where it is, past all links to it: from there a QEMU looks for what it brings along.
pub(super) fn program(machine: &Machine) -> PathBuf {
    // One that is gone by now is missed in a moment, by whoever starts it.
    let found = machine.program.canonicalize();
    found.unwrap_or_else(|_| machine.program.clone())
}

/// The directories that are there. A QEMU outside of `/usr/bin` has its own beside it.
fn firmware(program: &Path) -> Vec<PathBuf> {
    let prefix = program.parent().and_then(Path::parent);
    let beside = prefix.map(|prefix| prefix.join("share/qemu"));
    let mut found: Vec<PathBuf> = Vec::new();
    for directory in FIRMWARE.into_iter().map(PathBuf::from).chain(beside) {
        if directory.is_dir() && !found.contains(&directory) {
            found.push(directory);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_is_shown_once() {
        let usual = firmware(Path::new("/usr/bin/qemu-system-x86_64"));
        assert!(
            usual.contains(&PathBuf::from("/usr/share/qemu")),
            "{usual:?}"
        );
        let root = tempfile::tempdir().expect("tempdir");
        let own = root.path().join("share/qemu");
        std::fs::create_dir_all(&own).expect("mkdir");
        let built = firmware(&root.path().join("bin/qemu"));
        assert_eq!(built.last(), Some(&own));
        assert_eq!(built.len(), usual.len() + 1);
    }

    #[test]
    fn firmware_is_beside_the_program_and_not_beside_a_link_to_it() {
        let root = tempfile::tempdir().expect("tempdir");
        let at = |path: &str| root.path().join(path);
        for directory in ["opt/bin", "opt/share/qemu", "bin", "share/qemu"] {
            std::fs::create_dir_all(at(directory)).expect("mkdir");
        }
        std::fs::copy("/bin/sh", at("opt/bin/qemu")).expect("copy");
        std::os::unix::fs::symlink("../opt/bin/qemu", at("bin/qemu")).expect("link");
        let plan = plan(&Machine {
            vmm: Vmm::QemuTcg,
            program: at("bin/qemu"),
            cpus: 1,
            memory: 1 << 20,
            balloon: None,
            kernel: PathBuf::from("/k/vmlinux"),
            initramfs: PathBuf::from("/k/initramfs"),
            cmdline: String::new(),
            disks: Vec::new(),
            shares: Vec::new(),
        });
        let plan = plan.expect("a program");
        let shows = |path: &str| plan.binds.iter().any(|bind| bind.target == at(path));
        assert!(shows("opt/bin/qemu") && shows("opt/share/qemu"), "{plan:?}");
        assert!(!shows("bin/qemu") && !shows("share/qemu"), "{plan:?}");
    }

    #[test]
    fn what_is_within_another_part_is_shown_with_it() {
        let mut plan = Plan::default();
        plan.show(Path::new("/usr/lib"), Access::ReadExecute);
        assert!(shows(&plan, Path::new("/usr/lib/qemu/share/qemu")));
        assert!(!shows(&plan, Path::new("/usr/libexec/share/qemu")));
    }

    #[test]
    fn kvm_is_there_only_where_it_is_used() {
        let kvm = PathBuf::from("/dev/kvm");
        assert!(devices(Vmm::QemuKvm).contains(&kvm));
        assert!(!devices(Vmm::QemuTcg).contains(&kvm));
    }
}
