//! A data disk without room when a VM ends.

use anyhow::{Result, ensure};
use ignite_testkit::{Host, vmm, wait_until};

use crate::support::{SOON, Vm, nothing_left};

/// Takes the last byte.
const FILL: &str = "cat /dev/zero > /var/lib/ignite/vm/filler 2>/dev/null || true
                    ! echo more >> /var/lib/ignite/vm/filler 2>/dev/null";

const FREE: &str = "rm /var/lib/ignite/vm/filler";

/// Address, port and everything else of the network are free.
fn released(host: &Host) -> Result<()> {
    wait_until("the release", SOON, || {
        host.sh("! ls /var/lib/cni/networks/ignite-cni-bridge/10.* && ! iptables-save | grep 8080")
            .ok()
    })
    .map(drop)
}

/// A guest that writes loses nothing and sees no error: it goes on when it can.
fn stands_still_until_there_is_room(vm: &Vm<'_>) -> Result<()> {
    let script = "head -c 4000000 /dev/urandom > /big; sync";
    let write = vm.exec(&["sh", "-c", script]).start()?;
    wait_until("the guest to fill the disk", SOON, || {
        vm.host
            .sh("test $(df --output=avail /var/lib/ignite/vm | tail -n 1) -lt 64")
            .ok()
    })?;
    vm.host.sh(FREE).ok()?;
    write.wait(SOON)?.ok()?;
    vm.exec(&["true"]).ok().map(drop)
}

#[test]
fn a_vm_that_ends_on_a_full_disk_is_released() -> Result<()> {
    let host = Host::new("alpha")?;
    // What is written of VMs has a small disk of its own, which a test can fill.
    host.sh("mkdir -p /var/lib/ignite/vm; mount -t tmpfs -o size=64m tmpfs /var/lib/ignite/vm")
        .ok()?;
    let vm = Vm::run(&host, &["-p", "8080:80"])?;
    host.sh(FILL).ok()?;
    // With no command about, its supervisor alone can release it.
    host.sh(&format!("pkill -KILL {}", vmm::process())).ok()?;
    released(&host)?;
    wait_until("its end", SOON, || {
        let state = vm.status("state")?;
        ensure!(state == "stopped", "it is {state}");
        Ok(())
    })?;

    host.sh(FREE).ok()?;
    vm.verb("start")?;
    vm.serving()?;
    host.sh(FILL).ok()?;
    host.sh("truncate -s -256K /var/lib/ignite/vm/filler")
        .ok()?;
    stands_still_until_there_is_room(&vm)?;

    host.sh(FILL).ok()?;
    // By a command, which may say that it could not write all down.
    let _ = host.ignite(["kill", &vm.uid]).output()?;
    released(&host)?;
    // Removing makes room: it is no reason to refuse.
    host.ignite(["rm", &vm.uid]).ok()?;
    host.sh(FREE).ok()?;
    nothing_left(&host)
}
