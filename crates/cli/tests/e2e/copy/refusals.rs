//! What cannot be copied: one clear error, and nothing half.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, wait_until};
use rustix::process::Signal;

use super::cp;
use crate::support::{SOON, Vm};

#[test]
fn commands_that_cannot_be_meant() -> Result<()> {
    let host = Host::bare("alpha")?;
    let refused = |words: &[&str], code, said: &[&str]| {
        let words = ["cp"].iter().chain(words).copied();
        host.ignite(words).output()?.refused(code, said)
    };
    refused(&["a:/x", "b:/y"], 2, &["both", "ignite cp A:PATH -"])?;
    refused(&["/x", "/y"], 2, &["neither", "VM:PATH"])?;
    refused(&["/etc/passwd", "nobody:/x"], 1, &["nobody"])?;
    refused(&["/nothing", "nobody:/x"], 1, &["/nothing"])?;
    refused(&["--timeout", "0", "/x", "a:/y"], 2, &["--timeout"])
}

#[test]
fn destinations_that_cannot_be() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    host.sh("mkdir -p /run/tree; echo x > /run/file").ok()?;
    vm.exec(&["sh", "-c", "echo y > /file; mkdir -p /srv/d/file"])
        .ok()?;
    let refused = |words: &[&str], said: &[&str]| cp(&vm, words).output()?.refused(1, said);
    refused(&["/run/tree", "VM:/file"], &["/file is not a directory"])?;
    refused(&["/run/file", "VM:/file/"], &["/file is not a directory"])?;
    refused(&["/run/file", "VM:/no/where"], &["no directory /no"])?;
    refused(&["/run/file", "VM:/srv/d"], &["directory already"])?;
    refused(&["VM:/srv", "/run/file"], &["/run/file is not a directory"])?;
    refused(&["VM:/nothing", "/run/x"], &["in the VM", "/nothing"])?;
    refused(&["VM:/srv/..", "/run/x"], &["does not say what to copy"])?;
    ensure!(!host.has("/run/x")?);
    let old = cp(&vm, &["-i", "/key", "/run/file", "VM:/srv"]).output()?;
    ensure!(
        old.code == 0 && old.stderr.contains("--identity is not used"),
        "{old}"
    );
    vm.verb("stop")?;
    refused(&["/run/file", "VM:/srv"], &["not running", "ignite start"])
}

/// An archive for a directory of a VM says nothing of other places in it.
#[test]
fn archives_that_lie_change_nothing() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    vm.exec(&["mkdir", "-p", "/srv/in"]).ok()?;
    host.sh("mkdir -p /run/t; cd /run/t; echo lie > a; ln a b")
        .ok()?;
    for (name, transform, said) in [
        ("a", "s,^a$,../out,", "../out"),
        ("a", "s,^a$,in/../../out,", "in/../../out"),
        ("a", "s,^a$,/out,", "/out"),
        ("a b", "s,^a$,../out,", "../out"),
        ("a b", "s,^b$,/out,", "/out"),
    ] {
        let lie = format!(
            "cd /run/t; tar -cP --transform '{transform}' {name} | ignite cp - {}:/srv",
            vm.uid
        );
        host.sh(&lie).output()?.refused(1, &[said])?;
    }
    // A hard link to what is outside of the archive, which tar itself does not make.
    let link = "cd /run/t; tar -cP --transform 's,^a$,../../etc/passwd,RSh' a b";
    let link = format!("{link} | ignite cp - {}:/srv", vm.uid);
    host.sh(&link).output()?.refused(1, &["etc/passwd"])?;
    let left = "test ! -e /out -a ! -e /srv/out -a ! -e /srv/b; cat /etc/passwd";
    let passwd = vm.exec(&["sh", "-c", left]).ok()?;
    ensure!(!passwd.contains("lie"), "{passwd}");
    ensure!(!host.has("/out")? && !host.has("/run/out")?);
    Ok(())
}

#[test]
fn a_full_disk_in_the_guest_leaves_no_half_file() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    vm.exec(&[
        "sh",
        "-c",
        "mkdir /small; mount -t tmpfs -o size=4m none /small; echo old > /small/file",
    ])
    .ok()?;
    host.sh("head -c 9000000 /dev/urandom > /run/file").ok()?;
    cp(&vm, &["/run/file", "VM:/small/file"])
        .output()?
        .refused(1, &["in the VM", "file", "No space left", "--size"])?;
    ensure!(
        vm.exec(&["sh", "-c", "ls -A /small; cat /small/file"])
            .ok()?
            == "file\nold"
    );
    // And on the host.
    host.sh("mkdir /run/small; mount -t tmpfs -o size=4m none /run/small")
        .ok()?;
    vm.exec(&["sh", "-c", "head -c 9000000 /dev/urandom > /big"])
        .ok()?;
    cp(&vm, &["VM:/big", "/run/small"])
        .output()?
        .refused(1, &["big", "No space left"])?;
    ensure!(host.sh("ls -A /run/small").ok()?.is_empty());
    Ok(())
}

#[test]
fn a_silent_vm_is_given_up_and_a_copy_can_be_interrupted() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    // Its input stays open, so this never ends by itself.
    let mut running = cp(&vm, &["-", "VM:/"]).start()?;
    let _input = running.take_stdin().context("its input")?;
    wait_until("the guest's end of the copy", SOON, || {
        vm.exec(&["sh", "-c", "ps | grep '[i]gnite-tool'"]).ok()
    })?;
    running.signal(Signal::INT)?;
    ensure!(running.wait(SOON)?.code != 0);
    wait_until("the guest to give it up too", SOON, || {
        vm.exec(&["sh", "-c", "! ps | grep '[i]gnite-tool'"]).ok()
    })?;
    // A guest that stands still in the middle says nothing.
    host.sh("head -c 60000000 /dev/urandom > /run/large").ok()?;
    let running = cp(&vm, &["--timeout", "3", "/run/large", "VM:/large"]).start()?;
    wait_until("the copy to begin", SOON, || {
        vm.exec(&["sh", "-c", "ps | grep '[i]gnite-tool'"]).ok()
    })?;
    host.ignite(["pause", &vm.uid]).ok()?;
    let output = running.wait(Duration::from_secs(60))?;
    output.refused(1, &["said nothing", "--timeout"])?;
    host.ignite(["unpause", &vm.uid]).ok()?;
    ensure!(
        vm.exec(&["sh", "-c", "ls -A / | grep -c large || true"])
            .ok()?
            == "0"
    );
    Ok(())
}
