//! Starts that fail or are called off leave a VM whose record says so.

use anyhow::{Result, ensure};
use ignite_testkit::{Host, Running, boot, vmm, wait_until};
use rustix::process::Signal;

use crate::support::{BOOT, SOON, Vm, nothing_left};

/// A `start` whose guest boots.
fn starting(vm: &Vm<'_>) -> Result<Running> {
    let start = vm.host.ignite(["start", &vm.uid]).start()?;
    wait_until("the VMM to run", SOON, || {
        let state = vm.status("state")?;
        ensure!(state == "starting", "it is {state}");
        Ok(())
    })?;
    Ok(start)
}

fn ended(vm: &Vm<'_>, end: &str, message: &str) -> Result<()> {
    let status = vm.inspect()?["status"].clone();
    ensure!(
        status["state"] == "stopped" && status["end"] == end,
        "not {end}: {status:#}"
    );
    ensure!(
        status["message"]
            .as_str()
            .is_some_and(|text| text.contains(message)),
        "not {message}: {status:#}"
    );
    ensure!(status["network"]["ipAddresses"].is_null(), "{status:#}");
    Ok(())
}

#[test]
fn a_start_that_fails_is_recorded_as_what_it_was() -> Result<()> {
    let host = Host::new("alpha")?;
    let image = ignite_testkit::place::image("busy")?;
    let uid = host
        .ignite(["create", "--memory", "128MB", "-p", "8080:80", &image])
        .ok()?;
    let vm = Vm { host: &host, uid };
    let _slot = boot::slot()?;

    let start = starting(&vm)?;
    start.signal(Signal::INT)?;
    let output = start.wait(SOON)?;
    ensure!(output.code != 0, "{output}");
    ended(&vm, "killed", "interrupted")?;

    let start = starting(&vm)?;
    host.sh("pkill -KILL ignite-spawn").ok()?;
    start.wait(SOON)?.refused(1, &["supervisor"])?;
    ended(&vm, "killed", "supervisor")?;

    let start = starting(&vm)?;
    host.sh(&format!("pkill -KILL {}", vmm::process())).ok()?;
    start.wait(SOON)?.refused(1, &["virtual machine monitor"])?;
    ended(&vm, "vmm-failed", "virtual machine monitor")?;

    host.ignite(["start", "--boot-timeout", "100ms", &vm.uid])
        .output()?
        .refused(1, &["not ready in time"])?;
    ended(&vm, "boot-timeout", "not ready in time")?;

    // After all that it is a VM like any other.
    host.ignite(["start", &vm.uid]).deadline(BOOT).ok()?;
    vm.serving()?;
    wait_until("the port", SOON, || host.get("127.0.0.1:8080"))?;
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    nothing_left(&host)
}
