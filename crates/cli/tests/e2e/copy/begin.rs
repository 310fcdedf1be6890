//! `--copy-files`: what a VM begins with.

use anyhow::{Result, ensure};
use ignite_testkit::host::halting::HALT_AT;
use ignite_testkit::{Host, boot, place};
use rustix::process::Signal;

use crate::crashes::scenes::{has_gift, kill_supervisor};
use crate::crashes::steps::halted;
use crate::support::{BOOT, SOON, Vm, nothing_left};

const MAKE: &str = "mkdir -p /run/c/sub; cd /run/c; echo one > one; chmod 640 one; chown 7:8 one
 ln -s ../one sub/link; echo two > two";

#[test]
fn files_are_there_before_the_command_runs() -> Result<()> {
    let host = Host::new("alpha")?;
    host.sh(MAKE).ok()?;
    let options = [
        "-f",
        "/run/c:/opt/new/tree,/run/c/two:/etc/resolv.conf.d/two",
        "--copy-files",
        "/run/c/two:/home/two",
    ];
    let script = "cat /opt/new/tree/one /home/two > /seen; echo changed > /home/two; sleep 1000";
    let vm = Vm::run_script(&host, &options, script)?;
    vm.wait_exec("the command", &["sh", "-c", "grep -q changed /home/two"])?;
    ensure!(vm.exec(&["cat", "/seen"]).ok()? == "one\ntwo");
    let stat = vm.exec(&[
        "sh",
        "-c",
        "stat -c '%u:%g %a' /opt/new/tree/one; stat -c %a /opt/new; readlink /opt/new/tree/sub/link",
    ]);
    ensure!(stat.ok()? == "0:0 640\n755\n../one");
    // Once: what the VM made of them stays.
    vm.verb("stop")?;
    ensure!(
        host.sh("ls /var/lib/ignite/vm/*/copy-files.tar 2>/dev/null || true")
            .ok()?
            .is_empty()
    );
    host.sh("rm -r /run/c").ok()?;
    vm.exec(&["true"])
        .output()?
        .refused(125, &["not running"])?;
    let created = vm.inspect()?;
    ensure!(
        created["spec"]["copyFiles"][0]["hostPath"] == "/run/c",
        "{created}"
    );
    vm.verb("rm")?;
    nothing_left(&host)
}

#[test]
fn a_copy_is_made_at_creation_and_no_later() -> Result<()> {
    let host = Host::new("alpha")?;
    host.sh(MAKE).ok()?;
    let image = place::image("busy")?;
    let words = [
        "create",
        "--memory",
        "128MB",
        "-f",
        "/run/c/one:/one",
        &image,
        "--",
        "/bin/sh",
        "-c",
        "sleep 1000",
    ];
    let uid = host.ignite(words).deadline(BOOT).ok()?;
    host.sh("echo later > /run/c/one").ok()?;
    let vm = Vm { host: &host, uid };
    vm.verb("start")?;
    ensure!(vm.exec(&["cat", "/one"]).ok()? == "one");
    vm.exec(&["sh", "-c", "echo mine > /one; sync"]).ok()?;
    vm.verb("stop")?;
    vm.verb("start")?;
    ensure!(vm.exec(&["cat", "/one"]).ok()? == "mine");
    Ok(())
}

#[test]
fn a_start_that_was_killed_copies_again_and_a_killed_vm_has_its_files() -> Result<()> {
    let host = Host::new("alpha")?;
    host.sh(MAKE).ok()?;
    let image = place::image("busy")?;
    let words = ["create", "--memory", "128MB", "-f", "/run/c:/given"];
    let words = [&words[..], &[image.as_str(), "--", "sleep", "1000"]].concat();
    let uid = host.ignite(words).deadline(BOOT).ok()?;
    // The VMM runs, and its supervisor ends before the guest can say anything.
    let step = "supervise.recorded";
    let cut_off = host.ignite(["start", &uid]).env(HALT_AT, step).start()?;
    let all = halted(&host, step)?;
    let stopped = all.iter().filter(|process| process.stopped);
    stopped.for_each(|process| process.signal(Signal::KILL));
    ensure!(cut_off.wait(SOON)?.code != 0, "nobody was killed");
    ensure!(has_gift(&host)?, "forgotten before the guest has it");
    let vm = Vm { host: &host, uid };
    vm.verb("start")?;
    // At once: what were only in the guest's memory would be lost.
    kill_supervisor(&host)?;
    ensure!(!has_gift(&host)?, "kept though the guest has it");
    vm.verb("start")?;
    let read = vm.exec(&["cat", "/given/one", "/given/two"]);
    ensure!(read.ok()? == "one\ntwo");
    Ok(())
}

#[test]
fn what_cannot_be_copied_makes_no_vm() -> Result<()> {
    let host = Host::new("alpha")?;
    host.sh("mkdir /run/d; echo x > /run/d/big").ok()?;
    let image = place::image("busy")?;
    let refused = |copy: &str, code, said: &[&str]| {
        let words = ["create", "-f", copy, &image];
        host.ignite(words).output()?.refused(code, said)
    };
    refused("/run/nothing:/x", 2, &["/run/nothing", "--copy-files"])?;
    refused("run/d:/x", 2, &["absolute"])?;
    refused("/run/d:x", 2, &["absolute"])?;
    refused("/run/d/big:/../x", 2, &["no place"])?;
    ensure!(host.ignite(["ps", "-aq"]).ok()?.is_empty());
    nothing_left(&host)
}

#[test]
fn a_disk_too_small_for_the_files_is_told_by_the_guest() -> Result<()> {
    let host = Host::new("alpha")?;
    host.sh("head -c 97000000 /dev/urandom > /run/big").ok()?;
    let _slot = boot::slot()?;
    let image = place::image("busy")?;
    let options = ["--size", "100MB", "-f", "/run/big:/a"];
    Vm::invocation(&host, &options, &image, &[])
        .deadline(BOOT)
        .output()?
        .refused(1, &["No space left", "--size"])?;
    nothing_left(&host)
}
