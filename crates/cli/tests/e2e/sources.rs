//! One image by every source there is: each boots, and each has the same files.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::layout::{entry, fixture};
use ignite_testkit::registry::{Access, PASSWORD, Registry, USER};
use ignite_testkit::{Host, boot, place};

use crate::support::{BOOT, Vm, nothing_left};

/// Files whose lines are known beforehand, so that "all the same" is not "all
/// wrong in the same way".
const EXPECTED: &[&str] = &[
    "/fixture/owned file 0640 1000:1001 links=1 size=6",
    "/fixture/setuid file 4755 0:0 links=1 size=7",
    "/fixture/sticky directory 3777 7:8",
    "/fixture/symlink symlink 0777 1000:1000 -> ../nowhere/at all",
    "/fixture/first file 0600 0:0 links=2 size=10",
    "/fixture/second file 0600 0:0 links=2 size=10",
    "/fixture/sparse file 0644 0:0 links=1 size=33554432",
    "/fixture/changed file 0604 0:0 links=1 size=6",
    "/fixture/null character 0666 0:0 1:3",
    "/fixture/fifo fifo 0600 0:0",
    "/fixture/becomes-directory directory 0755 0:0",
    "/fixture/becomes-file file 0644 0:0",
    "/fixture/name with space and \u{e9} file",
    "/fixture/opaque/above file",
    "security.capability=0100000200040000000000000000000000000000",
    "user.mark=0062696e617279ff",
];

/// What no layer's end result holds.
const GONE: &[&str] = &["removed", "below", "deep", ".wh."];

/// Runs the image and returns what its files are.
fn files(host: &Host, options: &[&str], source: &str) -> Result<String> {
    let command = ["/bin/testkit-helper", "serve", "80"];
    // A directory or a plain tar says nothing of a command.
    let command: &[&str] = if source.starts_with("tar:") || source.starts_with("dir:") {
        &command
    } else {
        &[]
    };
    let vm = Vm::run_image(host, options, source, command)
        .with_context(|| format!("running {source}"))?;
    vm.serving()?;
    let tree = vm
        .exec(&["/bin/testkit-helper", "tree", fixture::ROOT, "/bin"])
        .ok()?;
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    forget(host)?;
    Ok(tree)
}

/// Forgets all images and layers: what comes next is imported as a whole, and
/// not found to be there already.
fn forget(host: &Host) -> Result<()> {
    host.sh("ignite images -q | xargs ignite rmi; rm -rf /var/lib/ignite/blob")
        .ok()
        .map(drop)
}

fn check(tree: &str) {
    for line in EXPECTED {
        assert!(tree.contains(line), "{line:?} is not in\n{tree}");
    }
    for word in GONE {
        assert!(!tree.contains(word), "{word:?} is in\n{tree}");
    }
}

/// The image in all its forms, below one directory.
fn write_all(directory: &Path) -> Result<Vec<String>> {
    let image = fixture::image()?;
    let flattened = fixture::flattened()?;
    image.write_layout(&directory.join("layout"), "fixture")?;
    image.write_oci_archive(&directory.join("oci.tar"), "fixture")?;
    image.write_docker_archive(&directory.join("docker.tar"), "fixture:docker")?;
    entry::write_tar(&flattened, &directory.join("flat.tar"))?;
    entry::write_tree(&flattened, &directory.join("tree"))?;
    let at = directory.display();
    Ok(vec![
        format!("oci:{at}/layout"),
        format!("oci-archive:{at}/oci.tar"),
        format!("docker-archive:{at}/docker.tar"),
        format!("tar:{at}/flat.tar"),
        format!("dir:{at}/tree"),
    ])
}

#[test]
fn an_image_is_the_same_from_every_file_source() -> Result<()> {
    let host = Host::new("alpha")?;
    let scratch = tempfile::tempdir_in(place::build("e2e"))?;
    let mut trees = Vec::new();
    for source in write_all(scratch.path())? {
        trees.push((source.clone(), files(&host, &[], &source)?));
    }
    check(&trees[0].1);
    for (source, tree) in &trees[1..] {
        assert_eq!(tree, &trees[0].1, "{source} differs from {}", trees[0].0);
    }
    nothing_left(&host)
}

/// The image is fetched by every command that fetches one, with the password in this directory, and with
/// no other.
fn given_a_directory(host: &Host, reference: &str, directory: &str) -> Result<()> {
    let import = ["image", "import"];
    let create = ["create", "--memory", "128MB"];
    let run = ["run", "--memory", "128MB"];
    for command in [&import[..], &create, &run] {
        let given = |directory: &str| {
            let words = ["--registry-config-dir", directory, reference];
            host.ignite(command.iter().copied().chain(words))
                .deadline(BOOT)
                .output()
        };
        let _slot = boot::slot()?;
        given("/run/none")?.refused(1, &["login"])?;
        given(directory)?.ok()?;
        host.sh("ignite ps -aq | xargs -r ignite rm -f").ok()?;
        forget(host)?;
    }
    // The configuration names it as well; what a flag says holds.
    let head = "apiVersion: ignite.weave.works/v1alpha4\nkind: Configuration\n";
    host.write(
        "/etc/ignite/config.yaml",
        format!("{head}spec: {{ registryConfigDir: {directory} }}\n"),
    )?;
    host.ignite([
        "image",
        "import",
        "--registry-config-dir=/run/none",
        reference,
    ])
    .output()?
    .refused(1, &["login"])?;
    host.ignite(["image", "import", reference]).ok()?;
    forget(host)?;
    host.sh("rm /etc/ignite/config.yaml").ok().map(drop)
}

#[test]
fn an_image_comes_from_a_registry_over_http_and_over_tls_with_a_password() -> Result<()> {
    let host = Host::new("alpha")?;
    let scratch = tempfile::tempdir_in(place::build("e2e"))?;
    fixture::image()?.write_layout(scratch.path(), "fixture")?;
    let plain = Registry::start(&host, 5000, Access::Http)?;
    plain.push(&host, scratch.path(), "test/fixture", "one")?;
    let open = files(&host, &[], "127.0.0.1:5000/test/fixture:one")?;
    check(&open);

    let closed = Registry::start(&host, 5001, Access::TlsWithPassword)?;
    let reference = "127.0.0.1:5001/test/fixture:one";
    // Its authority is unknown.
    host.ignite(["image", "import", reference])
        .output()?
        .refused(1, &["127.0.0.1:5001"])?;
    let authority = closed.authority.clone().context("it has an authority")?;
    host.sh("cat >> /etc/ssl/certs/ca-certificates.crt")
        .stdin(authority)
        .ok()?;
    // Its password is unknown, then wrong, then right.
    let refused = host.ignite(["image", "import", reference]).output()?;
    refused.refused(1, &["127.0.0.1:5001", "login"])?;
    closed.log_in(&host, "/run/home/.docker", "wrong")?;
    host.ignite(["image", "import", reference])
        .output()?
        .refused(1, &["127.0.0.1:5001"])?;
    // Of another directory than Docker's.
    closed.log_in(&host, "/run/other", PASSWORD)?;
    given_a_directory(&host, reference, "/run/other")?;
    // It is let in, and finds no kernel.
    let kernel = ["kernel", "import", reference];
    host.ignite(kernel).output()?.refused(1, &["login"])?;
    let other = ["--registry-config-dir", "/run/other"];
    let output = host.ignite(kernel.iter().chain(&other)).output()?;
    ensure!(!output.stderr.contains("login"), "{output}");
    output.refused(1, &["kernel"])?;
    closed.log_in(&host, "/run/home/.docker", PASSWORD)?;
    assert_eq!(files(&host, &[], reference)?, open);
    host.ignite([
        "image",
        "import",
        "--registry-config-dir",
        "/run/none",
        reference,
    ])
    .output()?
    .refused(1, &["127.0.0.1:5001", "login"])?;
    host.sh("rm -r /run/home/.docker").ok()?;

    // A password goes over plain HTTP where the registry is on this host.
    let unsafe_one = Registry::start(&host, 5002, Access::HttpWithPassword)?;
    let other = "127.0.0.1:5002/test/fixture:one";
    host.ignite(["image", "import", other])
        .output()?
        .refused(1, &["127.0.0.1:5002", "login"])?;
    unsafe_one.log_in(&host, "/run/unsafe", PASSWORD)?;
    given_a_directory(&host, other, "/run/unsafe")?;

    // The same by a credential helper, as Docker calls it.
    host.write(
        "/run/home/.docker/config.json",
        r#"{"credHelpers":{"127.0.0.1:5001":"test"}}"#,
    )?;
    let helper = format!(
        "#!/bin/sh\nread server; [ \"$1 $server\" = 'get 127.0.0.1:5001' ] && \
         echo '{{\"ServerURL\":\"127.0.0.1:5001\",\"Username\":\"{USER}\",\"Secret\":\"{PASSWORD}\"}}'\n"
    );
    host.write("/run/home/bin/docker-credential-test", helper)?;
    let import = "chmod +x /run/home/bin/*; PATH=/run/home/bin:$PATH ignite image import";
    host.sh(&format!("{import} {reference}")).ok()?;
    Ok(())
}

#[test]
fn the_same_image_twice_costs_nothing() -> Result<()> {
    let host = Host::new("alpha")?;
    let source = place::image("busy")?;
    let before = host
        .sh("find /var/lib/ignite/image /var/lib/ignite/blob | sort")
        .ok()?;
    let first = host.ignite(["-q", "image", "import", &source]).ok()?;
    assert_eq!(host.ignite(["-q", "image", "import", &source]).ok()?, first);
    assert_eq!(
        host.sh("find /var/lib/ignite/image /var/lib/ignite/blob | sort")
            .ok()?,
        before
    );
    Ok(())
}
