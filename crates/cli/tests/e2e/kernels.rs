//! Kernels from every source, listed and removed.

use std::path::Path;

use anyhow::{Context as _, Result};
use ignite_testkit::layout::entry::Entry;
use ignite_testkit::layout::{Compression, Image, Layer};
use ignite_testkit::registry::{Access, PASSWORD, Registry};
use ignite_testkit::{Host, place};

use crate::support::{SMALL, Vm, nothing_left};

/// The unpacked package's kernel file and version.
fn distribution() -> Result<(std::path::PathBuf, String)> {
    let boot = place::kernel()?.join("boot");
    let name = std::fs::read_dir(&boot)?
        .flatten()
        .filter_map(|file| file.file_name().into_string().ok())
        .find(|name| name.starts_with("vmlinuz-"))
        .context("a vmlinuz")?;
    let version = name.trim_start_matches("vmlinuz-").to_owned();
    Ok((boot.join(name), version))
}

fn version_in_guest(host: &Host, kernel: &str) -> Result<String> {
    let vm = Vm::run(host, &["--kernel-image", kernel])?;
    let version = vm.exec(&["uname", "-r"]).ok()?;
    // Its modules are at hand in the guest, and cannot be changed there.
    let modules = format!("/lib/modules/{version}");
    vm.exec(&["test", "-e", &format!("{modules}/modules.dep")])
        .ok()?;
    assert!(
        vm.exec(&["touch", &format!("{modules}/x")]).ok().is_err(),
        "{modules} can be written"
    );
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    Ok(version)
}

#[test]
fn a_kernel_comes_from_a_package_a_directory_and_an_image() -> Result<()> {
    let host = Host::bare("alpha")?;
    let (vmlinuz, version) = distribution()?;
    let package = host
        .sh(&format!(
            "ls {}/*.deb",
            place::build("kernel/deb").display()
        ))
        .ok()?;
    assert_eq!(version_in_guest(&host, &package)?, version);

    let tree = place::kernel()?.display().to_string();
    assert_eq!(version_in_guest(&host, &tree)?, version);

    // An OCI image with the kernel unpacked in /boot, as Ignite's own were.
    let scratch = tempfile::tempdir_in(place::build("e2e"))?;
    let uid = host.ignite(["-q", "kernel", "import", &tree]).ok()?;
    let vmlinux = std::fs::read(&vmlinuz)?;
    let layer = Layer::of(
        &[Entry::file(&format!("boot/vmlinuz-{version}"), vmlinux)],
        Compression::None,
    )?;
    let modules = host
        .sh(&format!(
            "tar -C {tree} -cf - lib/modules | base64 -w0 | wc -c"
        ))
        .ok()?;
    assert!(modules.parse::<u64>()? > 1_000_000);
    let modules = std::process::Command::new("tar")
        .args(["-C", &tree, "-cf", "-", "lib/modules"])
        .output()?
        .stdout;
    let image = Image::new(&[], vec![layer, Layer::of_tar(modules, Compression::Gzip)?]);
    image.write_layout(scratch.path(), "kernel")?;
    let source = format!("oci:{}", scratch.path().display());
    assert_eq!(version_in_guest(&host, &source)?, version);

    let table = host.ignite(["kernels"]).ok()?;
    assert!(
        table.starts_with("KERNEL ID") && table.contains(&version) && table.contains(&uid),
        "{table}"
    );
    comes_from_a_registry(&host, scratch.path())?;
    for uid in host.ignite(["kernel", "ls", "-q"]).ok()?.lines() {
        host.ignite(["rmk", uid]).ok()?;
    }
    assert_eq!(host.ignite(["kernel", "ls", "-q"]).ok()?, "");
    nothing_left(&host)
}

/// The kernel in this layout, by a registry that wants a password.
fn comes_from_a_registry(host: &Host, layout: &Path) -> Result<()> {
    Registry::start(host, 5000, Access::Http)?.push(host, layout, "test/kernel", "one")?;
    let closed = Registry::start(host, 5001, Access::HttpWithPassword)?;
    let reference = format!("{}/test/kernel:one", closed.address);
    let import = ["kernel", "import", "--registry-config-dir"];
    let import = |directory: &str| {
        host.ignite(
            import
                .iter()
                .chain(&[directory, reference.as_str()])
                .copied(),
        )
        .output()
    };
    closed.log_in(host, "/run/wrong", "wrong")?;
    for directory in ["/run/none", "/run/wrong"] {
        import(directory)?.refused(1, &[&closed.address])?;
    }
    closed.log_in(host, "/run/right", PASSWORD)?;
    let uid = import("/run/right")?.ok()?;
    // It is known by that name, though its content was there: the registry is not asked again.
    drop(closed);
    let shown = host.ignite(["inspect", "kernel", &reference, "-t", "{{.UID}}"]);
    assert_eq!(shown.ok()?, uid);
    let image = place::image("busy")?;
    let vm = host
        .ignite(["create", "--kernel-image", &reference, &image])
        .ok()?;
    host.ignite(["rm", &vm]).ok().map(drop)
}

#[test]
fn a_kernel_without_what_the_guest_needs_is_refused_by_name() -> Result<()> {
    let host = Host::bare("alpha")?;
    let (_, version) = distribution()?;
    let tree = place::kernel()?.display().to_string();
    host.sh(&format!(
        "mkdir -p /run/kernel; cp -r {tree}/boot {tree}/lib /run/kernel/
         find /run/kernel/lib/modules/{version} -name 'virtio_blk.ko*' -delete"
    ))
    .ok()?;
    host.ignite(["kernel", "import", "/run/kernel"])
        .output()?
        .refused(1, &["virtio_blk"])?;
    assert_eq!(host.ignite(["kernel", "ls", "-q"]).ok()?, "");
    nothing_left(&host)?;

    host.ignite(["kernel", "import", "/run/nothing"])
        .output()?
        .complains(&["/run/nothing"])?;
    host.write("/run/garbage", "not a kernel")?;
    host.ignite(["kernel", "import", "/run/garbage"])
        .output()?
        .complains(&["/run/garbage"])?;
    nothing_left(&host)
}

#[test]
fn a_kernel_in_use_stays() -> Result<()> {
    let host = Host::new("alpha")?;
    let kernel = host.ignite(["kernel", "ls", "-q"]).ok()?;
    let image = place::image("busy")?;
    let uid = host
        .ignite([
            "-q", "create", "--memory", SMALL, "--name", "holder", &image,
        ])
        .ok()?;
    for words in [&["rmk"][..], &["kernel", "rm"]] {
        host.ignite(words.iter().chain(&[kernel.as_str()]))
            .output()?
            .refused(1, &["holder"])?;
    }
    host.ignite(["rm", &uid]).ok()?;
    let tree = place::kernel()?.display().to_string();
    for words in [
        &["rmk", "--force"][..],
        &["rmk", "-f"],
        &["kernel", "rm", "-f"],
    ] {
        let kernel = host.ignite(["-q", "kernel", "import", &tree]).ok()?;
        host.ignite(["create", "--memory", SMALL, &image]).ok()?;
        host.ignite(words.iter().chain(&[kernel.as_str()])).ok()?;
        assert_eq!(host.ignite(["ps", "-a", "-q"]).ok()?, "");
        assert_eq!(host.ignite(["kernels", "-q"]).ok()?, "");
    }
    nothing_left(&host)
}
