//! Programs of an image that the kernel does not know.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::layout::entry::Entry;
use ignite_testkit::layout::{Compression, Image, Layer};
use ignite_testkit::{Host, place};

use crate::support::{Vm, nothing_left};

/// A script, but for its first line.
const TEXT: &str = "echo this is no program\n";

/// An image with a shell, and `path` a text file that may be executed.
fn image(path: &str, command: &[&str]) -> Result<tempfile::TempDir> {
    let busybox = std::fs::read("/bin/busybox").context("busybox-static is not installed")?;
    let mut entries = vec![Entry::file("bin/busybox", busybox).mode(0o755)];
    for applet in ["sh", "sleep"] {
        entries.push(Entry::new(
            format!("bin/{applet}"),
            ignite_testkit::layout::entry::Node::Symlink("busybox"),
        ));
    }
    entries.push(Entry::file(path, TEXT).mode(0o755));
    let layout = tempfile::tempdir_in(place::build("e2e"))?;
    let layer = Layer::of(&entries, Compression::None)?;
    Image::new(command, vec![layer]).write_layout(layout.path(), "text")?;
    Ok(layout)
}

#[test]
fn a_text_file_is_no_program() -> Result<()> {
    let host = Host::new("alpha")?;
    let layout = image("entry", &["/entry"])?;
    let source = format!("oci:{}", layout.path().display());
    let vm = Vm::run_image(&host, &[], &source, &[])?;
    assert_eq!(vm.ended()?, "powered-off");
    assert_eq!(vm.status("exitCode")?, "126");
    let console = host.ignite(["logs", &vm.uid]).ok()?;
    ensure!(
        console.contains("cannot run /entry: exec format error"),
        "{console}"
    );
    host.ignite(["rm", &vm.uid]).ok()?;

    // To the agent neither.
    let vm = Vm::run_image(&host, &[], &source, &["/bin/sleep", "1000"])?;
    let output = vm.exec(&["/entry"]).output()?;
    ensure!(
        output.code == 126 && output.stderr.contains("exec format error"),
        "{output}"
    );
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    nothing_left(&host)
}

#[test]
fn a_text_file_is_no_init() -> Result<()> {
    let host = Host::new("alpha")?;
    let layout = image("sbin/init", &[])?;
    let source = format!("oci:{}", layout.path().display());
    let _slot = ignite_testkit::boot::slot()?;
    Vm::invocation(&host, &[], &source, &[])
        .output()?
        .refused(1, &["/sbin/init", "exec format error", "-- COMMAND"])?;
    nothing_left(&host)
}
