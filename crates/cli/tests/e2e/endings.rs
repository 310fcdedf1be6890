//! Every way a VM may end, and what is kept.

use anyhow::Result;
use ignite_testkit::{Host, vmm, wait_until};

use crate::support::{SOON, Vm, nothing_left};

/// Writes a file when it is told to stop, as a service that saves its state.
const SAVES: &str =
    "trap 'echo saved > /mark; sync; exit 0' TERM; echo up; while :; do sleep 1; done";

#[test]
fn stop_is_in_order_and_what_was_written_survives() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run_script(&host, &[], SAVES)?;
    wait_until("the service", SOON, || {
        host.ignite(["logs", &vm.uid])
            .ok()?
            .contains("up")
            .then_some(())
            .ok_or_else(|| anyhow::anyhow!("silent"))
    })?;
    vm.exec(&["sh", "-c", "echo data > /data"]).ok()?;
    vm.verb("stop")?;
    assert_eq!(
        (vm.status("state")?, vm.status("end")?),
        ("stopped".into(), "powered-off".into())
    );
    vm.verb("start")?;
    assert_eq!(vm.exec(&["cat", "/mark", "/data"]).ok()?, "saved\ndata");
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    nothing_left(&host)
}

#[test]
fn kill_asks_nobody() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run_script(&host, &[], SAVES)?;
    vm.exec(&["sh", "-c", "echo data > /data; sync"]).ok()?;
    vm.verb("kill")?;
    assert_eq!(
        (vm.status("state")?, vm.status("end")?),
        ("stopped".into(), "killed".into())
    );
    vm.verb("start")?;
    assert_eq!(vm.exec(&["cat", "/data"]).ok()?, "data");
    assert!(vm.exec(&["cat", "/mark"]).ok().is_err());
    host.ignite(["stop", "-f", &vm.uid]).ok()?;
    assert_eq!(vm.status("end")?, "killed");
    Ok(())
}

#[test]
fn a_guest_that_does_not_stop_is_ended_after_its_grace() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run_script(
        &host,
        &[],
        "trap '' TERM; echo up; while :; do sleep 1; done",
    )?;
    host.ignite(["stop", "--time", "2s", &vm.uid]).ok()?;
    assert_eq!(vm.status("state")?, "stopped");
    host.ignite(["rm", &vm.uid]).ok()?;
    nothing_left(&host)
}

#[test]
fn poweroff_halt_reboot_and_panic_have_names() -> Result<()> {
    let host = Host::new("alpha")?;
    for (command, end) in [
        ("poweroff -f", "powered-off"),
        ("halt -f", "halted"),
        ("reboot -f", "rebooted"),
        ("echo c > /proc/sysrq-trigger", "panicked"),
    ] {
        let vm = Vm::run(&host, &[])?;
        // The connection goes with the guest.
        let _ = vm.exec(&["sh", "-c", command]).output();
        assert_eq!(vm.ended()?, end, "{command}");
        assert!(host.ignite(["ps", "-a"]).ok()?.contains(&vm.uid));
        host.ignite(["rm", &vm.uid]).ok()?;
    }
    nothing_left(&host)
}

#[test]
fn the_commands_exit_code_is_kept() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run_script(&host, &["--name", "worker"], "sleep 3; exit 7")?;
    assert_eq!(vm.ended()?, "powered-off");
    assert_eq!(vm.status("exitCode")?, "7");
    let listed = host.ignite(["ps", "-a"]).ok()?;
    assert!(listed.contains('7'), "{listed}");
    // Its address is free at once: the next VM may have it.
    wait_until("the address", SOON, || {
        host.sh("! ls /var/lib/cni/networks/ignite-cni-bridge/10.*")
            .ok()
    })?;
    host.ignite(["rm", "worker"]).ok()?;
    nothing_left(&host)
}

#[test]
fn a_command_that_ends_at_once_gets_a_hint() -> Result<()> {
    let host = Host::new("alpha")?;
    let image = ignite_testkit::place::image("busy")?;
    let output =
        Vm::invocation(&host, &[], &image, &["/bin/sh", "-c", "echo gone; exit 3"]).output()?;
    assert_eq!(output.code, 0, "{output}");
    assert!(
        output.stderr.contains('3') && output.stderr.contains("logs"),
        "{output}"
    );
    Ok(())
}

#[test]
fn rm_at_the_end_removes_everything() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run_script(&host, &["--rm"], "sleep 2")?;
    wait_until("the VM to go", SOON, || {
        match host.ignite(["ps", "-a", "-q"]).ok()?.as_str() {
            "" => Ok(()),
            rest => Err(anyhow::anyhow!("there is still {rest}, {}", vm.uid)),
        }
    })?;
    nothing_left(&host)
}

#[test]
fn a_running_vm_is_removed_by_force_alone() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    host.ignite(["rm", &vm.uid])
        .output()?
        .refused(1, &["running"])?;
    vm.exec(&["true"]).ok()?;
    host.ignite(["start", &vm.uid])
        .output()?
        .refused(1, &["running"])?;
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    nothing_left(&host)
}

#[test]
fn a_killed_supervisor_takes_its_vmm_along_and_the_next_command_repairs() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["-p", "8080:80"])?;
    host.sh("pkill -KILL ignite-spawn").ok()?;
    wait_until("the VMM to end", SOON, || {
        host.sh(&format!("! pgrep {}", vmm::process())).ok()
    })?;
    wait_until("the repair", SOON, || match vm.status("state")?.as_str() {
        "stopped" => Ok(()),
        other => Err(anyhow::anyhow!("it is {other}")),
    })?;
    assert_eq!(vm.status("end")?, "lost");
    // The port is free for another, and the VM starts again.
    vm.verb("start")?;
    wait_until("the port", SOON, || host.get("127.0.0.1:8080"))?;
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    nothing_left(&host)
}
