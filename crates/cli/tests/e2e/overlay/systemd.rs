//! On a machine with systemd, etcd and the agent are its units: here in a VM that boots it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, place, wait_until};

use crate::support::Vm;

/// Much longer than it takes without virtualisation beside another VM's boot.
const UP: Duration = Duration::from_secs(240);

/// What `make install` puts where, and etcd, as an archive.
fn programs() -> Result<Vec<u8>> {
    let build = place::build("");
    let tar = Command::new("tar")
        .args(["-C", &build.display().to_string(), "-c"])
        .args(["--transform", "s,^,usr/local/,"])
        .args(["--transform", "s,tools/etcd-server/usr/,,"])
        .args(["bin/ignite", "libexec/ignite/ignite-overlay"])
        .arg("tools/etcd-server/usr/bin/etcd")
        .output()?;
    ensure!(tar.status.success(), "{tar:?}");
    Ok(tar.stdout)
}

fn systemd(vm: &Vm<'_>) -> Result<()> {
    wait_until("systemd", UP, || {
        let words = ["systemctl", "is-system-running"];
        let state = vm.exec(&words).output()?.stdout.trim().to_owned();
        ensure!(state == "running" || state == "degraded", "it is {state:?}");
        Ok(())
    })
}

#[test]
fn units_of_systemd_come_up_again_after_a_reboot() -> Result<()> {
    let host = Host::new("alpha")?;
    let flags = ["--memory", "512MB", "--cpus", "2"];
    let vm = Vm::run_image(&host, &flags, &place::image("systemd")?, &[])?;
    systemd(&vm)?;
    vm.exec(&["tar", "-x", "-C", "/"])
        .stdin(programs()?)
        .deadline(UP)
        .ok()?;
    // By plain routes: the kernel of a guest has what is needed for nothing else.
    let init = ["ignite", "overlay", "init", "--backend", "host-gw"];
    let output = vm.exec(&init).deadline(UP).output()?;
    ensure!(
        !output.stderr.contains("no systemd"),
        "it takes no notice of systemd:\n{}",
        output.stderr
    );
    output.ok()?;
    let subnet = |vm: &Vm<'_>| vm.exec(&["cat", "/run/flannel/subnet.env"]).ok();
    let before = subnet(&vm)?;
    let units = ["ignite-etcd.service", "ignite-overlay.service"];
    for unit in units {
        vm.exec(&["systemctl", "is-enabled", unit]).ok()?;
    }
    // One that is killed is started again.
    vm.exec(&["systemctl", "kill", "-s", "KILL", units[1]])
        .ok()?;
    wait_until("the agent", UP, || {
        let status = ["ignite", "overlay", "status", "-o", "json"];
        let status = vm.exec(&status).output()?.stdout;
        ensure!(status.contains("\"agent\": \"running\""), "{status}");
        Ok(())
    })?;

    vm.exec(&["rm", "/run/flannel/subnet.env"]).ok()?;
    host.ignite(["stop", "--time", "150s", &vm.uid])
        .deadline(UP)
        .ok()?;
    vm.verb("start")?;
    let after = wait_until("the subnet", UP, || subnet(&vm))?;
    ensure!(before == after, "{before}\nbecame\n{after}");

    let log = ["ignite", "overlay", "logs", "-n", "50"];
    let log = wait_until("the log", UP, || {
        let log = vm.exec(&log).ok()?;
        ensure!(log.contains("Wrote subnet file"), "{log}");
        Ok(log)
    })?;
    ensure!(log.contains("reusing"), "{log}");
    let leave = ["ignite", "overlay", "leave", "--all"];
    vm.exec(&leave).deadline(UP).ok()?;
    for unit in units {
        let file = format!("/etc/systemd/system/{unit}");
        let there = vm.exec(&["test", "-e", &file]).output()?;
        ensure!(there.code != 0, "{file} stays");
        let active = vm.exec(&["systemctl", "is-active", unit]).output()?;
        ensure!(active.stdout.trim() == "inactive", "{active:?}");
    }
    let processes = vm.exec(&["sh", "-c", "cat /proc/[0-9]*/comm"]).ok()?;
    ensure!(
        !processes
            .lines()
            .any(|name| name == "etcd" || name == "ignite-overlay"),
        "{processes}"
    );
    host.ignite(["rm", "-f", &vm.uid])
        .deadline(UP)
        .ok()
        .map(drop)
        .context("the VM goes")
}
