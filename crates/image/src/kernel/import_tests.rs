use std::cell::Cell;

use super::super::elf::sample as elf;
use super::super::modules::sample as modules_sample;
use super::super::{FEATURES, ensure_balloon, ensure_vsock};
use super::*;
use crate::Silent;

/// Gives a tree made by a function, as if it were an image.
struct Fake<'a> {
    make: &'a dyn Fn(&Path),
    unpacked: Cell<u32>,
}

impl Images for Fake<'_> {
    fn identify(&self, _: &str) -> Result<Digest, Error> {
        Ok(Digest::of(b"image"))
    }

    fn unpack(&self, _: &str, root: &Path, _: &dyn Progress) -> Result<Digest, Error> {
        (self.make)(root);
        self.unpacked.set(self.unpacked.get() + 1);
        Ok(Digest::of(b"image"))
    }
}

fn write(path: &Path, content: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("not the root")).expect("a directory");
    std::fs::write(path, content).expect("a file");
}

const DRIVERS: &[u8] =
    b"Linux version 6.1.0 (x)\0virtio-mmio\0virtio_blk\0virtio_net\0virtio_console\0ext4\0";

/// A kernel with all drivers a guest needs, built in.
fn monolith() -> Vec<u8> {
    elf::vmlinux(DRIVERS)
}

fn run(
    source: &KernelSource,
    images: &dyn Images,
) -> (tempfile::TempDir, Result<KernelImported, Error>) {
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("guest");
    write(&program, &elf::program(false));
    let target = directory.path().join("kernel");
    std::fs::create_dir(&target).expect("a directory");
    let imported = import(
        source,
        &Request {
            directory: &target,
            guest_program: &program,
            images,
            progress: &Silent,
        },
    );
    (directory, imported)
}

/// For sources that are no images.
struct NoImages;

impl Images for NoImages {
    fn identify(&self, _: &str) -> Result<Digest, Error> {
        panic!("no image is asked for")
    }

    fn unpack(&self, _: &str, _: &Path, _: &dyn Progress) -> Result<Digest, Error> {
        panic!("no image is asked for")
    }
}

#[test]
fn a_single_file_without_modules_is_a_kernel() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("vmlinux");
    write(&path, &monolith());
    let source = KernelSource::File(path);
    let (made, imported) = run(&source, &NoImages);
    let imported = imported.expect("imported");
    assert_eq!((imported.version.as_str(), imported.pvh), ("6.1.0", true));
    assert_eq!((imported.modules_size, imported.drivers.len()), (None, 0));
    assert_eq!(
        imported.digest,
        identify(&source, &NoImages).expect("identified")
    );
    let kernel = made.path().join("kernel");
    let mut names: Vec<_> = std::fs::read_dir(&kernel)
        .expect("a directory")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "drivers.cpio",
            "features.json",
            "initramfs",
            "initramfs.lock",
            "initramfs.stamp",
            "vmlinux"
        ]
    );
}

#[test]
fn an_image_may_lack_modules_but_not_drivers() {
    let images = Fake {
        make: &|root| {
            write(
                &root.join("boot/vmlinux"),
                &elf::vmlinux(b"Linux version 6.1.0 (x)"),
            )
        },
        unpacked: Cell::new(0),
    };
    let source = KernelSource::Image("some/kernel".to_owned());
    let (_made, imported) = run(&source, &images);
    let error = imported.expect_err("no drivers");
    assert!(
        error
            .to_string()
            .contains("virtio disks (CONFIG_VIRTIO_BLK)"),
        "{error}"
    );
    assert!(error.hint().expect("a hint").contains("linux-image-"));

    let images = Fake {
        make: &|root| write(&root.join("boot/vmlinux"), &monolith()),
        unpacked: Cell::new(0),
    };
    let (_made, imported) = run(&source, &images);
    assert_eq!(imported.expect("imported").digest, Digest::of(b"image"));
    identify(&source, &images).expect("identified");
    assert_eq!(images.unpacked.get(), 1);
}

#[test]
fn modules_of_another_release_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    write(&directory.path().join("boot/vmlinuz-6.1.0"), &monolith());
    modules_sample::tree(&directory.path().join("lib/modules/5.9"));
    let source = KernelSource::Directory(directory.path().to_owned());
    let (_made, imported) = run(&source, &NoImages);
    let error = imported.expect_err("other modules").to_string();
    assert!(
        error.ends_with("is 6.1.0, but its modules are for 5.9"),
        "{error}"
    );
}

#[test]
fn a_directory_without_a_kernel_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let source = KernelSource::Directory(directory.path().to_owned());
    let (_made, imported) = run(&source, &NoImages);
    assert!(matches!(imported, Err(Error::NoKernel { .. })));
    write(&directory.path().join("vmlinuz"), b"not a kernel");
    let (_made, imported) = run(&source, &NoImages);
    assert!(matches!(imported, Err(Error::Kernel { .. })));
}

#[test]
fn a_kernel_with_its_tree_gets_drivers_and_a_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let kernel = elf::vmlinux(b"Linux version 6.1.0 (x)");
    write(&directory.path().join("boot/vmlinuz-6.1.0"), &kernel);
    modules_sample::tree(&directory.path().join("lib/modules/6.1.0"));
    let source = KernelSource::Directory(directory.path().to_owned());
    let (made, imported) = run(&source, &NoImages);
    let imported = imported.expect("imported");
    assert_eq!(
        imported.drivers[..3],
        ["virtio_ring", "virtio", "virtio_mmio"]
    );
    let disk = std::fs::metadata(made.path().join("kernel").join(MODULES)).expect("a disk");
    assert_eq!(imported.modules_size, Some(disk.len()));

    kernel_of_old_gets_vsock(&made.path().join("kernel"));

    let first = identify(&source, &NoImages).expect("identified");
    assert_eq!(first, imported.digest);
    write(
        &directory.path().join("lib/modules/6.1.0/kernel/new.ko"),
        b"x",
    );
    assert_ne!(identify(&source, &NoImages).expect("identified"), first);
}

/// An import that knew nothing of vsock left no features, and no modules for it.
fn kernel_of_old_gets_vsock(kernel: &Path) {
    let modules = kernel.join(initramfs::DRIVERS);
    let imported = std::fs::read(&modules).expect("a file");
    std::fs::write(
        &modules,
        initramfs::drivers_segment(&[]).expect("a segment"),
    )
    .expect("written");
    ensure_vsock(kernel, "6.1.0").expect("nothing to be done");
    assert_ne!(std::fs::read(&modules).expect("a file"), imported);

    std::fs::remove_file(kernel.join(FEATURES)).expect("removed");
    // Of somebody who was killed on the way.
    write(&kernel.join("work/kernel/fs/half.ko"), b"half");
    ensure_vsock(kernel, "6.1.0").expect("made anew");
    assert_eq!(std::fs::read(&modules).expect("a file"), imported);
    assert!(kernel.join(FEATURES).exists() && !kernel.join("work").exists());
}

#[test]
fn a_kernel_without_vsock_is_told_apart() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("vmlinux");
    write(&path, &monolith());
    let (made, imported) = run(&KernelSource::File(path.clone()), &NoImages);
    imported.expect("QEMU needs no vsock");
    let kernel = made.path().join("kernel");
    for _ in 0..2 {
        let error = ensure_vsock(&kernel, "6.1.0").expect_err("no vsock");
        assert!(
            error.to_string().contains("CONFIG_VIRTIO_VSOCKETS"),
            "{error}"
        );
        assert!(error.hint().expect("a hint").contains("QEMU"));
        // What was found out once, and what is found out again.
        let _ = std::fs::remove_file(kernel.join(FEATURES));
    }

    let with = [DRIVERS, b"vmw_vsock_virtio_transport\0"].concat();
    write(&path, &elf::vmlinux(&with));
    let (made, imported) = run(&KernelSource::File(path), &NoImages);
    imported.expect("imported");
    ensure_vsock(&made.path().join("kernel"), "6.1.0").expect("built in");
}

#[test]
fn a_kernel_without_balloons_is_told_apart() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("vmlinux");
    write(&path, &monolith());
    let (made, imported) = run(&KernelSource::File(path.clone()), &NoImages);
    imported.expect("few guests have one");
    let error = ensure_balloon(&made.path().join("kernel"), "6.1.0").expect_err("none");
    assert!(
        error.to_string().contains("CONFIG_VIRTIO_BALLOON"),
        "{error}"
    );

    let with = [DRIVERS, b"virtio_balloon\0"].concat();
    write(&path, &elf::vmlinux(&with));
    let (made, imported) = run(&KernelSource::File(path), &NoImages);
    imported.expect("imported");
    let kernel = made.path().join("kernel");
    // As of an import that knew of vsock, and of no balloons.
    write(
        &kernel.join(FEATURES),
        br#"[{"option":"CONFIG_VIRTIO_VSOCKETS","presence":"absent"}]"#,
    );
    ensure_balloon(&kernel, "6.1.0").expect("looked at again");
    let features = std::fs::read_to_string(kernel.join(FEATURES)).expect("a file");
    assert!(features.contains("CONFIG_VIRTIO_BALLOON"), "{features}");
}

#[test]
fn a_kernel_of_another_machine_or_without_its_entry_point_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("vmlinux");
    let source = KernelSource::File(path.clone());
    let mut kernel = monolith();
    kernel[120] = 0;
    write(&path, &kernel);
    let error = run(&source, &NoImages).1.expect_err("no note");
    assert!(error.to_string().contains("CONFIG_PVH"), "{error}");

    let mut kernel = monolith();
    kernel[18] = if cfg!(target_arch = "x86_64") {
        183
    } else {
        62
    };
    write(&path, &kernel);
    let error = run(&source, &NoImages).1.expect_err("another machine");
    assert!(matches!(error, Error::OtherArchitecture { .. }), "{error}");
}

/// A package with one file at `path`, whatever the path.
fn package(path: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
    let mut archive = tar::Builder::new(Vec::new());
    archive.append(&header, content).expect("to memory");
    super::super::deb::sample::package(&archive.into_inner().expect("to memory"))
}

#[test]
fn a_package_is_unpacked_and_stays_in_its_place() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("linux.deb");
    let source = KernelSource::Deb(path.clone());
    write(&path, &package("./boot/vmlinux-6.1.0", &monolith()));
    let (_made, imported) = run(&source, &NoImages);
    let digest = identify(&source, &NoImages).expect("identified");
    assert_eq!(imported.expect("imported").digest, digest);

    write(&path, &package("../vmlinux", &monolith()));
    let (made, imported) = run(&source, &NoImages);
    assert!(matches!(imported, Err(Error::Unpack { .. })));
    assert!(!made.path().join("kernel/vmlinux").exists());

    write(&path, &package("./usr/share/doc/x", b"a meta-package"));
    let error = run(&source, &NoImages).1.expect_err("no kernel");
    assert!(error.hint().expect("a hint").contains("meta-package"));

    write(&path, b"no package");
    let error = run(&source, &NoImages).1.expect_err("no package");
    assert!(matches!(error, Error::Package { .. }), "{error}");
}
