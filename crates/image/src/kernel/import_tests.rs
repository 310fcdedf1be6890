use std::cell::Cell;

use super::super::elf::sample as elf;
use super::super::modules::sample as modules_sample;
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

/// A kernel with all drivers a guest needs, built in.
fn monolith() -> Vec<u8> {
    elf::vmlinux(
        b"Linux version 6.1.0 (x)\0virtio-mmio\0virtio_blk\0virtio_net\0virtio_console\0ext4\0",
    )
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

const NO_IMAGES: Fake<'_> = Fake {
    make: &|_| panic!("no image is asked for"),
    unpacked: Cell::new(0),
};

#[test]
fn a_single_file_without_modules_is_a_kernel() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("vmlinux");
    write(&path, &monolith());
    let source = KernelSource::File(path);
    let (made, imported) = run(&source, &NO_IMAGES);
    let imported = imported.expect("imported");
    assert_eq!((imported.version.as_str(), imported.pvh), ("6.1.0", true));
    assert_eq!((imported.modules_size, imported.drivers.len()), (None, 0));
    assert_eq!(
        imported.digest,
        identify(&source, &NO_IMAGES).expect("identified")
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
    assert!(
        error
            .hint()
            .expect("a hint")
            .contains("linux-image-cloud-amd64")
    );

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
    let (_made, imported) = run(&source, &NO_IMAGES);
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
    let (_made, imported) = run(&source, &NO_IMAGES);
    assert!(matches!(imported, Err(Error::NoKernel { .. })));
    write(&directory.path().join("vmlinuz"), b"not a kernel");
    let (_made, imported) = run(&source, &NO_IMAGES);
    assert!(matches!(imported, Err(Error::Kernel { .. })));
}

#[test]
fn a_kernel_with_its_tree_gets_drivers_and_a_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let kernel = elf::vmlinux(b"Linux version 6.1.0 (x)");
    write(&directory.path().join("boot/vmlinuz-6.1.0"), &kernel);
    modules_sample::tree(&directory.path().join("lib/modules/6.1.0"));
    let source = KernelSource::Directory(directory.path().to_owned());
    let (made, imported) = run(&source, &NO_IMAGES);
    let imported = imported.expect("imported");
    assert_eq!(
        imported.drivers[..3],
        ["virtio_ring", "virtio", "virtio_mmio"]
    );
    let disk = std::fs::metadata(made.path().join("kernel").join(MODULES)).expect("a disk");
    assert_eq!(imported.modules_size, Some(disk.len()));

    let first = identify(&source, &NO_IMAGES).expect("identified");
    assert_eq!(first, imported.digest);
    write(
        &directory.path().join("lib/modules/6.1.0/kernel/new.ko"),
        b"x",
    );
    assert_ne!(identify(&source, &NO_IMAGES).expect("identified"), first);
}
