//! `pause` and `unpause`: a guest that stands still, and what may still be done with it.

use std::io::Write as _;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, wait_until};

use crate::daemon::{self, Daemon};
use crate::support::{SOON, Vm, nothing_left};

/// Nobody answers within this, in seconds: longer than an answer takes on a busy machine.
const SILENCE: &str = "5";

fn answers(vm: &Vm<'_>) -> Result<bool> {
    let address = format!("http://{}/", vm.address()?);
    let asked = ["curl", "-sS", "-m", SILENCE, "-o", "/dev/null", &address];
    Ok(vm.host.command(asked).output()?.code == 0)
}

fn pause(vm: &Vm<'_>) -> Result<()> {
    vm.host.ignite(["pause", &vm.uid]).ok()?;
    let state = vm.status("state")?;
    ensure!(state == "paused", "it is {state}");
    Ok(())
}

#[test]
fn a_paused_vm_stands_still_and_goes_on_as_it_was() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let mut session = vm
        .exec(&[
            "sh",
            "-c",
            "echo here; while read line; do echo got $line; done",
        ])
        .start()?;
    let mut input = session.take_stdin().context("its input")?;
    session.wait_for("here", SOON)?;
    assert!(answers(&vm)?);

    pause(&vm)?;
    assert!(!answers(&vm)?);
    let listed = host.ignite(["ps"]).ok()?;
    assert!(listed.contains("(Paused)"), "{listed}");
    assert_eq!(vm.status("running")?, "true");
    vm.exec(&["true"])
        .output()?
        .refused(125, &["is paused", "ignite unpause"])?;
    let again = host.ignite(["pause", &vm.uid]).output()?;
    assert!(again.stderr.contains("already paused"), "{}", again.stderr);
    assert_eq!(again.ok()?, vm.uid);
    writeln!(input, "meanwhile")?;

    host.ignite(["unpause", &vm.uid]).ok()?;
    session.wait_for("got meanwhile", SOON)?;
    assert_eq!(vm.status("state")?, "running");
    assert!(answers(&vm)?);
    let again = host.ignite(["unpause", &vm.uid]).output()?;
    assert!(again.stderr.contains("not paused"), "{}", again.stderr);
    again.ok().map(drop)
}

#[test]
fn an_order_to_stop_wins() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    pause(&vm)?;
    vm.verb("stop")?;
    assert_eq!(vm.status("end")?, "powered-off");
    host.ignite(["pause", &vm.uid])
        .output()?
        .refused(1, &["not running", "ignite start"])?;

    vm.verb("start")?;
    pause(&vm)?;
    vm.verb("kill")?;
    assert_eq!(vm.status("end")?, "killed");
    vm.verb("rm")?;
    nothing_left(&host)
}

/// The guest stands still on a full disk as well, and goes on when there is room; one that somebody
/// paused does not.
#[test]
fn room_on_the_disk_does_not_set_a_paused_vm_going() -> Result<()> {
    let host = Host::new("alpha")?;
    host.sh("mkdir -p /var/lib/ignite/vm; mount -t tmpfs -o size=64m tmpfs /var/lib/ignite/vm")
        .ok()?;
    let vm = Vm::run(&host, &[])?;
    host.sh("cat /dev/zero > /var/lib/ignite/vm/filler || true")
        .output()?;
    host.sh("truncate -s -256K /var/lib/ignite/vm/filler")
        .ok()?;
    let script = "head -c 4000000 /dev/urandom > /big; sync";
    let write = vm.exec(&["sh", "-c", script]).start()?;
    wait_until("the guest to fill the disk", SOON, || {
        host.sh("test $(df --output=avail /var/lib/ignite/vm | tail -n 1) -lt 64")
            .ok()
    })?;
    host.ignite(["pause", &vm.uid]).ok()?;
    host.sh("rm /var/lib/ignite/vm/filler").ok()?;
    // Twice the time after which a guest on a full disk is set going again.
    assert!(!answers(&vm)?);
    host.ignite(["unpause", &vm.uid]).ok()?;
    write.wait(SOON)?.ok().map(drop)
}

#[test]
fn ignited_leaves_a_paused_vm_as_it_is() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let uid = daemon::uid(1);
    daemon::write(&host, "web.yaml", &daemon::manifest("web", &uid, true, ""))?;
    let _daemon = Daemon::start(&host, &[])?;
    let is = |state: &str| [(uid.clone(), state.to_owned())].into_iter().collect();
    daemon::becomes(&host, &is("running"))?;
    host.ignite(["pause", "web"]).ok()?;
    let labelled = daemon::manifest("web", &uid, true, "  diskRate: 50MB\n");
    daemon::write(&host, "web.yaml", &labelled)?;
    wait_until("the daemon to look at it", SOON, || {
        let vm = host.ignite(["inspect", "vm", "web"]).ok()?;
        ensure!(vm.contains("50MB"), "{vm}");
        Ok(())
    })?;
    daemon::becomes(&host, &is("paused"))?;
    host.ignite(["unpause", "web"]).ok()?;
    daemon::becomes(&host, &is("running"))
}
