//! Images that are not there, broken, or hostile.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::layout::entry::Entry;
use ignite_testkit::layout::{Compression, Image, Layer, fixture, hostile};
use ignite_testkit::registry::{Access, Registry};
use ignite_testkit::{Host, place};

use crate::support::{Vm, nothing_left};

fn refused(host: &Host, source: &str, words: &[&str]) -> Result<()> {
    let output = host.ignite(["image", "import", source]).output()?;
    output
        .refused(1, words)
        .with_context(|| format!("importing {source}"))?;
    nothing_left(host)
}

#[test]
fn unknown_registries_images_and_tags() -> Result<()> {
    let host = Host::new("alpha")?;
    refused(&host, "127.0.0.1:9/nobody/listens:latest", &["127.0.0.1:9"])?;
    refused(
        &host,
        "registry.invalid/some/image:latest",
        &["registry.invalid"],
    )?;
    let registry = Registry::start(&host, 5000, Access::Http)?;
    let scratch = tempfile::tempdir_in(place::build("e2e"))?;
    fixture::image()?.write_layout(scratch.path(), "x")?;
    registry.push(&host, scratch.path(), "test/known", "one")?;
    refused(&host, "127.0.0.1:5000/test/unknown:one", &["test/unknown"])?;
    refused(&host, "127.0.0.1:5000/test/known:two", &["two"])?;
    for source in [
        "oci:/nowhere",
        "oci-archive:/nowhere.tar",
        "docker-archive:/nowhere.tar",
        "tar:/nowhere.tar",
        "dir:/nowhere",
    ] {
        refused(&host, source, &["/nowhere"])?;
    }
    // By run as well, and then no VM is left.
    let output = Vm::invocation(
        &host,
        &["--name", "never"],
        "127.0.0.1:5000/test/known:two",
        &[],
    )
    .output()?;
    output.refused(1, &["two"])?;
    assert_eq!(host.ignite(["ps", "-a", "-q"]).ok()?, "");
    nothing_left(&host)
}

#[test]
fn references_that_are_none() -> Result<()> {
    let host = Host::new("alpha")?;
    for reference in [
        "Upper/Case:x",
        "bad image",
        "x:",
        "127.0.0.1:5000/x:in valid",
        "",
    ] {
        host.ignite(["image", "import", reference])
            .output()?
            .complains(&[])
            .context(reference)?;
    }
    nothing_left(&host)
}

/// The layout's largest blob: a layer.
fn layer(layout: &Path) -> Result<PathBuf> {
    let blobs: Vec<PathBuf> = fs::read_dir(layout.join("blobs/sha256"))?
        .flatten()
        .map(|blob| blob.path())
        .collect();
    blobs
        .into_iter()
        .max_by_key(|blob| fs::metadata(blob).map_or(0, |blob| blob.len()))
        .context("a blob")
}

/// A layout whose largest layer was changed after it was signed for.
fn broken(change: impl Fn(&mut Vec<u8>)) -> Result<tempfile::TempDir> {
    let scratch = tempfile::tempdir_in(place::build("e2e"))?;
    fixture::image()?.write_layout(scratch.path(), "broken")?;
    let layer = layer(scratch.path())?;
    let mut bytes = fs::read(&layer)?;
    change(&mut bytes);
    fs::write(&layer, bytes)?;
    Ok(scratch)
}

/// One bit turned over, and the second half lost.
const DAMAGES: [fn(&mut Vec<u8>); 2] = [
    |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    },
    |bytes| bytes.truncate(bytes.len() / 2),
];

#[test]
fn a_wrong_digest_and_a_layer_cut_short() -> Result<()> {
    let host = Host::new("alpha")?;
    let known = host.ignite(["images", "-q"]).ok()?;
    for change in DAMAGES {
        let layout = broken(change)?;
        let digest = layer(layout.path())?
            .file_name()
            .context("a name")?
            .to_string_lossy()[..12]
            .to_owned();
        refused(
            &host,
            &format!("oci:{}", layout.path().display()),
            &[&digest],
        )?;
    }
    assert_eq!(host.ignite(["images", "-q"]).ok()?, known);
    Ok(())
}

#[test]
fn a_registry_that_serves_a_wrong_or_a_short_layer() -> Result<()> {
    let host = Host::new("alpha")?;
    let registry = Registry::start(&host, 5000, Access::Http)?;
    let scratch = tempfile::tempdir_in(place::build("e2e"))?;
    fixture::image()?.write_layout(scratch.path(), "x")?;
    registry.push(&host, scratch.path(), "test/broken", "one")?;
    let digest = layer(scratch.path())?
        .file_name()
        .context("a name")?
        .to_string_lossy()
        .into_owned();
    let stored = format!(
        "/var/lib/registry/docker/registry/v2/blobs/sha256/{}/{digest}/data",
        &digest[..2]
    );
    host.sh(&format!(
        "cp {stored} /run/good; printf X | dd of={stored} bs=1 seek=1000 conv=notrunc 2>/dev/null"
    ))
    .ok()?;
    refused(&host, "127.0.0.1:5000/test/broken:one", &[&digest[..12]])?;
    host.sh(&format!("head -c 10000 /run/good > {stored}"))
        .ok()?;
    refused(&host, "127.0.0.1:5000/test/broken:one", &[&digest[..12]])?;
    // What was verified stays; the rest is fetched when it is whole again.
    host.sh(&format!("cp /run/good {stored}")).ok()?;
    host.ignite(["image", "import", "127.0.0.1:5000/test/broken:one"])
        .ok()
        .map(drop)
}

#[test]
fn archives_that_want_out_of_their_directory() -> Result<()> {
    let host = Host::new("alpha")?;
    host.sh("echo secret > /etc/shadow.test; cp /etc/passwd /run/passwd")
        .ok()?;
    let scratch = tempfile::tempdir_in(place::build("e2e"))?;
    for (name, members) in hostile::ATTACKS {
        let archive = hostile::tar(members);
        let file = scratch.path().join(format!("{name}.tar"));
        fs::write(&file, &archive)?;
        let layout = scratch.path().join(name);
        let layers = vec![
            Layer::of(&[Entry::directory("bin")], Compression::Gzip)?,
            Layer::of_tar(archive, Compression::Gzip)?,
        ];
        Image::new(&["/bin/sh"], layers).write_layout(&layout, "hostile")?;
        for source in [
            format!("tar:{}", file.display()),
            format!("oci:{}", layout.display()),
        ] {
            let output = host.ignite(["image", "import", &source]).output()?;
            // Refused, or brought to rest inside: nothing gets out either way.
            if output.code != 0 {
                output.refused(1, &[]).with_context(|| (*name).to_owned())?;
            }
            let escaped = escaped(&host)?;
            ensure!(escaped.is_empty(), "{name}: {escaped:?}");
            host.sh("cmp /etc/passwd /run/passwd; test $(stat -c %h /etc/passwd) = 1")
                .ok()
                .with_context(|| (*name).to_owned())?;
            nothing_left(&host)?;
        }
    }
    Ok(())
}

/// Files that got out of an archive's directory. What other tests make and remove meanwhile is in the way
/// of looking, which is no failure as long as what is certainly there is found.
fn escaped(host: &Host) -> Result<Vec<String>> {
    const THERE: &str = "/run/ignite-escapee-none";
    let found = host
        .sh(&format!("touch {THERE}; find / /run /etc /var /tmp -xdev -name 'ignite-escapee-*' -not -path '/proc/*' || true"))
        .ok()?;
    let (there, others): (Vec<_>, Vec<_>) = found.lines().partition(|path| *path == THERE);
    ensure!(!there.is_empty(), "nothing is found: {found:?}");
    Ok(others.into_iter().map(str::to_owned).collect())
}

#[test]
fn a_disk_that_is_full() -> Result<()> {
    let host = Host::bare("alpha")?;
    host.sh("mkdir -p /var/lib/ignite; mount -t tmpfs -o size=48m tmpfs /var/lib/ignite")
        .ok()?;
    let source = place::image("systemd")?;
    let output = host.ignite(["image", "import", &source]).output()?;
    output.refused(1, &["space"])?;
    nothing_left(&host)?;
    assert_eq!(host.ignite(["images", "-q"]).ok()?, "");
    // And there is room again for what fits.
    host.ignite(["image", "import", &place::image("busy")?])
        .ok()
        .map(drop)
}
