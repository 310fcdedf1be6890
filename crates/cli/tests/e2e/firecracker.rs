//! Whole VMs in Firecracker, with a stand-in in its place: a guest that does nothing, and everything
//! around it as it is. `make test-firecracker` runs the whole suite in the real one.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, place, vmm, wait_until};
use serde_json::Value;

use crate::crashes::scenes::kill_supervisor;
use crate::support::{SMALL, SOON, Vm, nothing_left};

/// The stand-in uses no `/dev/kvm`, but without one it is not started.
pub(crate) const KVM: &str = "(: <> /dev/kvm) 2>/dev/null || mount --bind /dev/null /dev/kvm";

/// Prints what runs of a VM, or is there because one runs.
const RUNS: &str = r"
pgrep -a 'firecracker|ignite-spawn' || true
find /run/netns -mindepth 1 -maxdepth 1 2>/dev/null || true
find /sys/fs/cgroup -mindepth 2 -type d -path '*/ignite/*' || true
ls /sys/class/net | grep tap || true
";

fn host() -> Result<Host> {
    let host = Host::with_stand_in("alpha")?;
    host.sh(KVM).ok()?;
    Ok(host)
}

fn run(host: &Host) -> Result<Vm<'_>> {
    let options = ["--vmm", "firecracker", "-p", "8080:80"];
    Vm::run_image(host, &options, &place::image("busy")?, &[])
}

fn nothing_runs(host: &Host) -> Result<()> {
    let left = host.sh(RUNS).ok()?;
    ensure!(left.is_empty(), "left behind:\n{left}");
    Ok(())
}

/// It runs in Firecracker, confined, upon a raw disk.
fn is_as_it_should_be(vm: &Vm<'_>) -> Result<()> {
    let object = vm.inspect()?;
    let status = &object["status"];
    ensure!(status["state"] == "running", "{object:#}");
    ensure!(status["runtime"]["name"] == "firecracker", "{object:#}");
    ensure!(status["runtime"]["version"].is_string(), "{object:#}");
    ensure!(status["disk"]["format"] == "raw", "{object:#}");
    let user = status["confinement"]["user"].as_u64();
    ensure!(user >= Some(2_080_374_784), "{object:#}");
    let listed: Value = serde_json::from_str(&vm.host.ignite(["ps", "-o", "json"]).ok()?)?;
    ensure!(listed[0]["vmm"] == "firecracker", "{listed:#}");
    vm.exec(&["true"]).ok().map(drop)
}

#[test]
fn the_suites_vms_run_in_the_vmm_it_was_started_for() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let name = vm.inspect()?["status"]["runtime"]["name"].clone();
    let name = name.as_str().context("a name")?;
    let wanted = if vmm::is_firecracker() {
        name == "firecracker"
    } else {
        name.starts_with("qemu-")
    };
    ensure!(wanted, "it runs in {name}");
    host.sh(&format!("pgrep {}", vmm::process())).ok().map(drop)
}

#[test]
fn a_vm_lives_as_in_any_other_vmm() -> Result<()> {
    let host = host()?;
    let vm = run(&host)?;
    is_as_it_should_be(&vm)?;
    host.ignite(["pause", &vm.uid]).ok()?;
    ensure!(vm.status("state")? == "paused", "it goes on");
    host.ignite(["unpause", &vm.uid]).ok()?;
    for rate in ["1MB", "none"] {
        host.ignite(["update", &vm.uid, "--disk-rate", rate]).ok()?;
    }
    vm.verb("stop")?;
    ensure!(vm.status("end")? == "powered-off", "{:#}", vm.inspect()?);
    wait_until("its supervisor to end", SOON, || nothing_runs(&host))?;
    vm.verb("start")?;
    is_as_it_should_be(&vm)?;
    vm.verb("kill")?;
    ensure!(vm.status("end")? == "killed", "{:#}", vm.inspect()?);
    vm.verb("rm")?;
    nothing_left(&host)
}

#[test]
fn what_a_killed_supervisor_leaves_is_taken_away() -> Result<()> {
    let host = host()?;
    let vm = run(&host)?;
    kill_supervisor(&host)?;
    host.ignite(["network", "gc"]).ok()?;
    wait_until("the repair", SOON, || {
        let state = vm.status("state")?;
        ensure!(state == "stopped", "it is {state}");
        nothing_runs(&host)
    })?;
    ensure!(vm.status("end")? == "lost", "{:#}", vm.inspect()?);
    vm.verb("start")?;
    is_as_it_should_be(&vm)?;
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    nothing_left(&host)
}

#[test]
fn a_kernel_without_vsock_is_refused_before_anything_is_made() -> Result<()> {
    let host = host()?;
    let option = r#""CONFIG_VIRTIO_VSOCKETS","presence":"#;
    host.sh(&format!(
        "sed -i 's/{option}\"[a-z-]*\"/{option}\"absent\"/' /var/lib/ignite/kernel/*/features.json
         grep -q '{option}\"absent\"' /var/lib/ignite/kernel/*/features.json"
    ))
    .ok()?;
    let image = place::image("busy")?;
    host.ignite(["run", "--memory", SMALL, "--vmm", "firecracker", &image])
        .output()?
        .refused(1, &["virtio vsock"])?;
    nothing_left(&host)
}
