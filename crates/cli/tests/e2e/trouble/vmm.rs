//! No VMM, and guests that say nothing.

use anyhow::Result;
use ignite_testkit::{Host, boot, place, vmm};

use crate::support::{BOOT, Vm, nothing_left};

#[test]
fn no_vmm_at_all() -> Result<()> {
    let host = Host::new("alpha")?;
    host.sh("for vmm in /usr/bin/qemu-system-* /usr/bin/firecracker; do [ ! -e $vmm ] || mount --bind /dev/null $vmm; done").ok()?;
    let run = Vm::invocation(&host, &[], &place::image("busy")?, &[]);
    let run = run.env(vmm::CHOICE, "auto").env(vmm::FIRECRACKER, "");
    run.output()?.refused(1, &["qemu-system-x86"])?;
    nothing_left(&host)
}

#[test]
fn a_guest_that_says_nothing_is_ended_with_its_last_words() -> Result<()> {
    let host = Host::new("alpha")?;
    let _slot = boot::slot()?;
    // A kernel that finds no init panics, and stays there.
    let options = [
        "--boot-timeout",
        "20",
        "--kernel-args",
        "console=ttyS0 rdinit=/nowhere init=/nowhere panic=0",
    ];
    let output = Vm::invocation(&host, &options, &place::image("busy")?, &[])
        .deadline(BOOT)
        .output()?;
    output.refused(1, &["Kernel panic"])?;
    nothing_left(&host)
}

#[test]
fn a_vmm_that_is_killed_is_named() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["-p", "8080:80"])?;
    host.sh(&format!("pkill -KILL {}", vmm::process())).ok()?;
    assert_eq!(vm.ended()?, "vmm-failed");
    vm.verb("start")?;
    vm.exec(&["true"]).ok()?;
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    nothing_left(&host)
}
