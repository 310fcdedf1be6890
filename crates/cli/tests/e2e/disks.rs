//! Raw disks as a person meets them: shared with the image where the data directory's file system
//! can, copied elsewhere, shown, booted, and never left in half.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::host::halting::HALT_AT;
use ignite_testkit::{Host, boot, place};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::crashes::steps::halted;
use crate::support::{BOOT, SMALL, SOON, Vm, nothing_left};

/// Puts kernel and images onto a file system of their own, made by `make`.
fn data_on(host: &Host, make: &str, size: &str) -> Result<()> {
    let script = format!(
        "truncate -s {size} /var/lib/disk; {make} /var/lib/disk; mkdir /var/lib/other
         mount -o loop /var/lib/disk /var/lib/other
         cp -a --sparse=always /var/lib/ignite/. /var/lib/other/
         mount --move /var/lib/other /var/lib/ignite; sync -f /var/lib/ignite"
    );
    host.sh(&script).ok().map(drop)
}

const XFS: &str = "mkfs.xfs -q -m reflink=1";
const EXT4: &str = "mkfs.ext4 -q";

/// A VM for Firecracker, not started.
fn create(host: &Host) -> Result<String> {
    let image = place::image("busy")?;
    let words = ["create", "--memory", SMALL, "--vmm", "firecracker"];
    host.ignite(words.into_iter().chain([image.as_str()])).ok()
}

/// What `ps` tells of the only VM's disk.
fn listed(host: &Host) -> Result<Value> {
    let text = host.ignite(["ps", "-a", "-o", "json"]).ok()?;
    let vms: Value = serde_json::from_str(&text).with_context(|| text)?;
    Ok(vms[0]["disk"].clone())
}

/// The disk is made in this way, told by `inspect` and `ps`, and a guest lives on it.
fn lives(host: &Host, origin: &str) -> Result<()> {
    let vm = Vm {
        host,
        uid: create(host)?,
    };
    let object = vm.inspect()?;
    let disk = json!({"format": "raw", "origin": origin});
    ensure!(object["status"]["disk"] == disk, "{object:#}");
    ensure!(object["spec"]["vmm"] == "firecracker", "{object:#}");
    ensure!(listed(host)? == disk, "{}", listed(host)?);
    // QEMU reads it as well.
    let record = format!("/var/lib/ignite/vm/{}/vm.json", vm.uid);
    host.sh(&format!("sed -i s/firecracker/qemu/ {record}"))
        .ok()?;
    let image = "sha256sum /var/lib/ignite/image/*/*.ext4";
    let before = host.sh(image).ok()?;
    {
        let _slot = boot::slot()?;
        host.ignite(["start", &vm.uid]).deadline(BOOT).ok()?;
    }
    vm.serving()?;
    vm.exec(&["sh", "-c", "echo kept > /kept; sync"]).ok()?;
    vm.verb("stop")?;
    vm.verb("start")?;
    ensure!(vm.exec(&["cat", "/kept"]).ok()? == "kept", "it is lost");
    ensure!(host.sh(image).ok()? == before, "the image changed");
    vm.verb("stop")?;
    vm.verb("rm")?;
    nothing_left(host)
}

#[test]
fn a_disk_shares_the_images_blocks_where_it_can() -> Result<()> {
    let host = Host::new("alpha")?;
    data_on(&host, XFS, "2G")?;
    lives(&host, "reflink")
}

#[test]
fn a_disk_is_a_copy_elsewhere() -> Result<()> {
    let host = Host::new("alpha")?;
    data_on(&host, EXT4, "2G")?;
    lives(&host, "copy")
}

#[test]
fn a_disk_that_does_not_fit_leaves_no_vm() -> Result<()> {
    let host = Host::new("alpha")?;
    data_on(&host, EXT4, "2G")?;
    // Less than any image has in it.
    let fill = "dd if=/dev/zero of=/var/lib/ignite/filler bs=64K 2>/dev/null || true
                truncate -s -256K /var/lib/ignite/filler";
    host.sh(fill).ok()?;
    let image = place::image("busy")?;
    let refused = host
        .ignite(["create", "--vmm", "firecracker", &image])
        .output()?;
    ensure!(refused.code == 1, "{refused}");
    ensure!(refused.stderr.contains("free some space"), "{refused}");
    ensure!(host.ignite(["ps", "-a", "-q"]).ok()?.is_empty(), "a VM");
    nothing_left(&host)?;
    // An overlay fits; and a copy, when there is room.
    host.ignite(["create", "--vmm", "qemu", &image]).ok()?;
    host.sh("rm /var/lib/ignite/filler").ok()?;
    create(&host).map(drop)
}

#[test]
fn a_kill_leaves_a_whole_disk_or_none() -> Result<()> {
    let host = Host::new("alpha")?;
    // Where blocks are shared there is no moment in the middle.
    data_on(&host, EXT4, "2G")?;
    let image = place::image("busy")?;
    // Until the disk is there nobody waits; the short steps that follow are the crash matrix's.
    for step in ["disk.begun", "disk.piece", "disk.filled", "create.disk"] {
        let words = ["create", "--vmm", "firecracker", &image];
        let create = host.ignite(words).env(HALT_AT, step).start()?;
        // Another one neither waits for it nor sweeps it.
        let stopped = halted(&host, step)?;
        let other = self::create(&host)?;
        host.ignite(["rm", &other]).ok()?;
        let half = host.sh("ls -d /var/lib/ignite/vm/.creating-*").ok()?;
        ensure!(half.lines().count() == 1, "at {step}: {half}");
        stopped
            .iter()
            .for_each(|process| process.signal(Signal::KILL));
        create.resume();
        create.wait(SOON)?;
        host.ignite(["network", "gc"]).ok()?;
        // The next command that makes something sweeps it.
        let other = self::create(&host)?;
        host.ignite(["rm", &other]).ok()?;
        nothing_left(&host).with_context(|| format!("killed at {step}"))?;
    }
    Ok(())
}
