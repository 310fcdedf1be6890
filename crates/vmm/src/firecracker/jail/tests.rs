use super::*;
use std::fs::{create_dir, metadata, read, symlink_metadata, write};
use std::os::unix::fs::{MetadataExt, symlink};

use ignite_wire::supervisor::{Disk, DiskFormat, Vmm, VolumeKind};

const USER: u32 = 2_080_374_786;

fn machine(directory: &Path) -> Machine {
    let disk = |name: &str, read_only| Disk {
        path: directory.join(name),
        format: DiskFormat::Raw,
        read_only,
        rate: None,
        volume: None,
    };
    Machine {
        vmm: Vmm::Firecracker,
        program: directory.join("firecracker"),
        cpus: 1,
        memory: 1 << 20,
        balloon: None,
        kernel: directory.join("vmlinux"),
        initramfs: PathBuf::new(),
        cmdline: String::new(),
        disks: vec![disk("disk", false), disk("modules", true)],
        shares: Vec::new(),
    }
}

fn jailer(directory: &Path) -> Jailer {
    Jailer {
        program: directory.join("jailer"),
        base: directory.join("jail"),
    }
}

fn inmate(user: u32) -> Inmate {
    Inmate {
        user,
        file_bytes: 4096,
    }
}

/// A directory with everything a jail is made of.
fn furnished() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("tempdir");
    for name in ["firecracker", "jailer", "vmlinux", "disk", "modules"] {
        write(directory.path().join(name), name).expect("write");
    }
    directory
}

fn planned(directory: &Path) -> Plan {
    plan(
        (&machine(directory), &Numbers::new()),
        "vm-1",
        &jailer(directory),
        inmate(USER),
    )
    .expect("a plan")
}

#[test]
fn the_jailer_is_told_what_firecracker_is_not() {
    let (at, program) = (Path::new("/vm"), Path::new("/opt/firecracker-v1.16"));
    let none = Numbers::new();
    let own = machine(at);
    let own = (&own, &none);
    let plan = layout(own, "vm-1", &jailer(at), inmate(7), program).expect("a plan");
    let words: Vec<_> = plan
        .command
        .1
        .iter()
        .map(|word| word.to_string_lossy())
        .collect();
    assert_eq!(
        words.join(" "),
        "--id vm-1 --exec-file /opt/firecracker-v1.16 --uid 7 --gid 7 --chroot-base-dir /vm/jail \
         --resource-limit fsize=4096 -- --api-sock /run/api.sock --log-path /run/log --level Info --show-level"
    );
    let root = Path::new("/vm/jail/firecracker-v1.16/vm-1/root");
    assert_eq!((plan.root.as_path(), &plan.work), (root, &root.join("run")));
    let names: Vec<_> = plan.disks.iter().map(|(_, name)| name.clone()).collect();
    assert_eq!(names, [root.join("disk0"), root.join("disk1")]);
    for (id, program) in [
        ("vm_1", "/firecracker"),
        ("", "/firecracker"),
        ("vm-1", "/vmm"),
    ] {
        let refused = layout(own, id, &jailer(at), inmate(7), Path::new(program));
        refused.expect_err("refused by the jailer");
    }
}

#[test]
fn a_jail_has_the_same_files_under_other_names_and_goes() {
    let directory = furnished();
    let plan = planned(directory.path());
    let (jail, _work) = plan.make().expect("made");
    let inode = |path: &Path| metadata(path).expect("there").ino();
    for (file, name) in plan.disks.iter().chain([&plan.kernel]) {
        assert_eq!(inode(file), inode(name));
    }
    for directory in [&plan.root, &plan.work] {
        let stat = metadata(directory).expect("there");
        assert_eq!(
            (stat.uid(), stat.gid(), stat.mode() & 0o7777),
            (USER, USER, 0o700)
        );
    }
    let base = metadata(&plan.base).expect("there");
    assert_eq!(
        (base.uid(), base.mode() & 0o7777),
        (0, 0o700),
        "nobody else's"
    );
    drop(jail);
    assert!(symlink_metadata(&plan.base).is_err());
    assert_eq!(read(directory.path().join("disk")).expect("kept"), b"disk");
}

#[test]
fn what_was_left_is_removed_and_not_followed() {
    let directory = furnished();
    let outside = directory.path().join("outside");
    create_dir(&outside).expect("mkdir");
    write(outside.join("precious"), "").expect("write");
    let plan = planned(directory.path());
    std::mem::forget(plan.make().expect("made"));
    // What the VMM may do to its root.
    std::fs::remove_dir(&plan.work).expect("empty");
    symlink(&outside, &plan.work).expect("a link");
    let (_jail, _work) = plan.make().expect("made again");
    assert!(symlink_metadata(&plan.work).expect("there").is_dir());
    assert!(outside.join("precious").exists());
}

#[test]
fn a_disk_of_another_file_system_is_refused_and_the_kernel_copied() {
    let (directory, elsewhere) = (
        furnished(),
        tempfile::tempdir_in("/dev/shm").expect("a tmpfs"),
    );
    let foreign = |name: &str| {
        let path = elsewhere.path().join(name);
        write(&path, name).expect("write");
        path
    };
    let mut machine = machine(directory.path());
    machine.kernel = foreign("kernel");
    let plan = |machine: &Machine| {
        let own = (machine, &Numbers::new());
        plan(own, "vm-1", &jailer(directory.path()), inmate(USER))
    };
    let with_kernel = plan(&machine).expect("a plan");
    let (jail, _work) = with_kernel.make().expect("made");
    assert_eq!(read(&with_kernel.kernel.1).expect("copied"), b"kernel");
    drop(jail);
    machine.disks[0].path = foreign("disk");
    let with_disk = plan(&machine).expect("a plan");
    let error = with_disk.make().expect_err("refused");
    assert!(matches!(error, Error::ForeignDisk { .. }), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("--jailer")));
    assert!(!directory.path().join("jail").exists(), "nothing is left");
}

#[test]
fn no_jail_without_its_jailer_or_where_devices_do_not_open() {
    let directory = furnished();
    let mut missing = jailer(directory.path());
    missing.program.set_file_name("none");
    let machine = machine(directory.path());
    let own = (&machine, &Numbers::new());
    let error = plan(own, "vm-1", &missing, inmate(USER)).expect_err("no jailer");
    assert!(error.to_string().contains("none"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("jailer:")));
    let sound = StatVfsMountFlags::NOSUID | StatVfsMountFlags::RELATIME;
    check_mount(Path::new("/"), sound).expect("an ordinary mount");
    for flag in [StatVfsMountFlags::NODEV, StatVfsMountFlags::NOEXEC] {
        let error = check_mount(Path::new("/"), sound | flag).expect_err("refused");
        assert!(matches!(error, Error::NoDevices { .. }), "{error}");
    }
}

/// The paths lead to no device: what was opened counts.
#[test]
fn a_volume_is_the_device_that_was_opened_and_read_only_where_it_is() {
    let directory = furnished();
    let mut machine = machine(directory.path());
    for disk in &mut machine.disks {
        disk.volume = Some(VolumeKind::BlockDevice);
    }
    let numbers = Numbers::from([
        (0, rustix::fs::makedev(7, 1)),
        (1, rustix::fs::makedev(7, 2)),
    ]);
    let own = (&machine, &numbers);
    let plan = plan(own, "vm-1", &jailer(directory.path()), inmate(USER)).expect("a plan");
    let (_jail, _work) = plan.make().expect("made");
    let node = |name: &str| {
        let node = symlink_metadata(plan.root.join("dev").join(name)).expect("there");
        (node.rdev(), node.uid(), node.gid(), node.mode())
    };
    let block = |mode| FileType::BlockDevice.as_raw_mode() | mode;
    assert_eq!(node("disk0"), (numbers[&0], USER, USER, block(0o600)));
    assert_eq!(node("disk1"), (numbers[&1], 0, USER, block(0o440)));
}
