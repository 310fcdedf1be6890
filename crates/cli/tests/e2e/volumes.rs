//! Volumes as a person meets them: files, block devices and directories of the host's in a guest, and
//! what is refused.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, Running, boot, place, wait_until};
use serde_json::Value;

use crate::crashes::scenes::kill_supervisor;
use crate::firecracker::KVM;
use crate::support::{BOOT, SOON, Vm, nothing_left};

/// Makes a file that holds a file system.
fn disk(host: &Host, path: &str, size: &str, make: &str) -> Result<()> {
    let script = format!("mkdir -p /run/srv && truncate -s {size} {path} && {make} {path}");
    host.sh(&script).ok().map(drop)
}

const EXT4: &str = "mkfs.ext4 -q";

/// As on a host where the server of directories is not installed, wherever a distribution has it.
pub fn hide_virtiofsd(host: &Host) -> Result<()> {
    let script = "for at in /usr/libexec /usr/lib/qemu /usr/lib /usr/local/libexec; do
             [ ! -e $at/virtiofsd ] || mount --bind /dev/null $at/virtiofsd
         done";
    host.sh(script).ok().map(drop)
}

/// Puts a program in its place that knows none of its options: where it is looked for first.
const NO_VIRTIOFSD: &str = "
mkdir -p /run/other
cp /usr/bin/ls /run/other/virtiofsd
mount --bind /run/other /usr/libexec";

/// A shell script in the guest.
fn sh(vm: &Vm<'_>, script: &str) -> Result<String> {
    vm.exec(&["sh", "-c", script]).ok()
}

/// A shell script in the guest that the guest's kernel stops.
fn fails(vm: &Vm<'_>, script: &str, with: &str) -> Result<()> {
    let output = vm.exec(&["sh", "-c", script]).output()?;
    ensure!(output.code != 0 && output.stderr.contains(with), "{output}");
    Ok(())
}

/// `run` that is refused with these words, and leaves nothing.
fn refused(host: &Host, volume: &str, code: i32, words: &[&str]) -> Result<()> {
    let _slot = boot::slot()?;
    let run = Vm::invocation(
        host,
        &["-v", volume],
        &place::image("busy")?,
        &["sleep", "9"],
    );
    run.deadline(BOOT).output()?.refused(code, words)?;
    nothing_left(host)
}

#[test]
fn a_file_keeps_what_is_written_over_lives_and_for_another_vm() -> Result<()> {
    let host = Host::new("alpha")?;
    disk(&host, "/run/srv/disk", "64M", EXT4)?;
    let vm = Vm::run(&host, &["--name", "one", "-v", "/run/srv/disk:/data/deep"])?;
    sh(
        &vm,
        "grep '/dev/vd[a-z] /data/deep ext4 rw' /proc/mounts; echo kept > /data/deep/file",
    )?;
    let object = vm.inspect()?;
    let volume = &object["spec"]["storage"]["volumes"][0];
    ensure!(volume["file"]["path"] == "/run/srv/disk", "{object:#}");
    let joined = &object["status"]["volumes"][0];
    ensure!(
        joined["kind"] == "disk" && joined["fileSystem"] == "ext4",
        "{object:#}"
    );
    let uuid = host.sh("blkid -o value -s UUID /run/srv/disk").ok()?;
    ensure!(joined["uuid"] == uuid.as_str(), "{uuid:?} and {joined:#}");
    vm.verb("stop")?;
    // The guest took it off: nothing is to be replayed.
    let clean = "dumpe2fs -h /run/srv/disk 2>/dev/null | grep -c needs_recovery || true";
    ensure!(host.sh(clean).ok()? == "0", "its journal is not empty");
    vm.verb("start")?;
    ensure!(sh(&vm, "cat /data/deep/file")? == "kept", "it is lost");
    vm.verb("stop")?;
    vm.verb("rm")?;
    let other = Vm::run(&host, &["-v", "/run/srv/disk:/data:ro"])?;
    ensure!(sh(&other, "cat /data/file")? == "kept", "it is lost");
    fails(&other, "echo more > /data/file", "Read-only file system")?;
    host.ignite(["rm", "-f", &other.uid]).ok()?;
    host.sh("e2fsck -fn /run/srv/disk").ok()?;
    nothing_left(&host)
}

#[test]
fn a_volume_has_one_writer_or_many_readers() -> Result<()> {
    let host = Host::new("alpha")?;
    disk(&host, "/run/srv/disk", "64M", EXT4)?;
    host.sh("ln /run/srv/disk /run/srv/same").ok()?;
    let first = Vm::run(&host, &["--name", "reader", "-v", "/run/srv/disk:/data:ro"])?;
    let second = Vm::run(&host, &["--name", "second", "-v", "/run/srv/same:/data:ro"])?;
    let create = |name: &str, volume: &str| {
        let image = place::image("busy")?;
        host.ignite(["create", "--name", name, "-v", volume, &image])
            .ok()
    };
    create("writer", "/run/srv/disk:/data")?;
    let start = || host.ignite(["start", "writer"]).deadline(BOOT).output();
    start()?.refused(1, &["/run/srv/disk is in use by VM", "hint", ":ro"])?;
    for vm in [&first, &second] {
        vm.verb("stop")?;
    }
    {
        let _slot = boot::slot()?;
        start()?.ok()?;
    }
    let reader = host.ignite(["start", "reader"]).deadline(BOOT).output()?;
    reader.refused(
        1,
        &["/run/srv/disk is in use by VM writer", "ignite stop writer"],
    )?;
    // By something that is no VM.
    host.ignite(["rm", "-f", "writer"]).ok()?;
    let script = "flock /run/srv/disk ignite start reader";
    let output = host.sh(script).deadline(BOOT).output()?;
    output.refused(1, &["in use by somebody else", "hint"])
}

#[test]
fn what_cannot_be_a_volume_is_refused_before_anything_is_made() -> Result<()> {
    let host = Host::new("alpha")?;
    host.sh("mkdir -p /run/srv/dir; truncate -s 1M /run/srv/empty /run/srv/parted")
        .ok()?;
    host.sh("printf '\\125\\252' | dd of=/run/srv/parted bs=1 seek=510 conv=notrunc 2>/dev/null")
        .ok()?;
    refused(
        &host,
        "/run/srv/absent:/data",
        1,
        &["/run/srv/absent", "hint"],
    )?;
    refused(
        &host,
        "/dev/null:/data",
        1,
        &["neither a block device", "hint"],
    )?;
    refused(
        &host,
        "/run/srv/empty:/data",
        1,
        &["no file system", "mkfs.ext4 /run/srv/empty"],
    )?;
    refused(
        &host,
        "/run/srv/parted:/data",
        1,
        &["a table of partitions", "lsblk"],
    )?;
    refused(
        &host,
        "data:/data",
        2,
        &["a name, not a path", "./data:/data"],
    )?;
    refused(&host, "/run/srv/dir:/proc/x", 2, &["made by the guest"])?;
    refused(
        &host,
        "/run/srv/dir:/a,/run/srv/empty:/a/",
        2,
        &["volumeMounts[1].mountPath", "twice"],
    )
}

/// A loop device, which is the machine's: it is given back.
struct Loop<'h>(&'h Host, String);

impl<'h> Loop<'h> {
    fn over(host: &'h Host, file: &str) -> Result<Self> {
        let device = host.sh(&format!("losetup -f --show {file}")).ok()?;
        Ok(Self(host, device.trim().to_owned()))
    }
}

impl Drop for Loop<'_> {
    fn drop(&mut self) {
        let _ = self.0.sh(&format!("losetup -d {}", self.1)).ok();
    }
}

#[test]
fn a_block_device_is_the_vms_alone() -> Result<()> {
    let host = Host::new("alpha")?;
    disk(&host, "/run/srv/disk", "320M", "mkfs.xfs -q")?;
    let device = Loop::over(&host, "/run/srv/disk")?;
    let volume = format!("{}:/data", device.1);
    // The driver of xfs is a module.
    let vm = Vm::run(&host, &["--name", "one", "-v", &volume])?;
    sh(
        &vm,
        "grep ' /data xfs rw' /proc/mounts && echo kept > /data/file",
    )?;
    let mount = format!("mkdir -p /mnt; mount {} /mnt", device.1);
    ensure!(host.sh(&mount).output()?.code != 0, "it is mounted twice");
    vm.verb("stop")?;
    host.sh(&mount).ok()?;
    ensure!(host.sh("cat /mnt/file").ok()? == "kept", "it is lost");
    let output = host.ignite(["start", "one"]).deadline(BOOT).output()?;
    output.refused(1, &[&device.1, "in use on this host", "findmnt"])?;
    host.sh("umount /mnt").ok()?;
    vm.verb("start")?;
    host.ignite(["rm", "-f", "one"]).ok()?;
    // What a loop device has is nobody's as a file.
    refused(
        &host,
        "/run/srv/disk:/data",
        1,
        &["/run/srv/disk is in use on this host"],
    )
}

#[test]
fn a_full_volume_is_the_guests_trouble_alone() -> Result<()> {
    let host = Host::new("alpha")?;
    disk(&host, "/run/srv/disk", "8M", EXT4)?;
    let vm = Vm::run(&host, &["-v", "/run/srv/disk:/data"])?;
    fails(&vm, "dd if=/dev/zero of=/data/big bs=64k", "No space left")?;
    sh(&vm, "rm /data/big && echo again > /data/file && sync")?;
    vm.verb("stop")?;
    host.sh("e2fsck -fn /run/srv/disk").ok().map(drop)
}

#[test]
fn a_directory_is_shared_both_ways() -> Result<()> {
    let host = Host::new("alpha")?;
    host.sh(
        "mkdir -p /run/srv/dir/sub /run/srv/fixed; echo host > /run/srv/dir/sub/file; echo x > /run/srv/fixed/file",
    )
    .ok()?;
    let volumes = [
        "-v",
        "/run/srv/dir:/shared",
        "-v",
        "/run/srv/fixed:/shared/fixed:ro",
    ];
    let vm = Vm::run(&host, &volumes)?;
    ensure!(
        sh(&vm, "cat /shared/sub/file")? == "host",
        "it is not there"
    );
    sh(
        &vm,
        "echo guest > /shared/sub/new; chown 1234:5678 /shared/sub/new; mkdir /shared/made",
    )?;
    ensure!(
        host.sh("cat /run/srv/dir/sub/new; test -d /run/srv/dir/made")
            .ok()?
            == "guest",
        "no file"
    );
    ensure!(
        host.sh("stat -c %u:%g /run/srv/dir/sub/new").ok()? == "1234:5678",
        "another owner"
    );
    host.sh("echo later > /run/srv/dir/later").ok()?;
    vm.wait_exec("a file of the host's", &["grep", "later", "/shared/later"])?;
    fails(&vm, "echo y > /shared/fixed/file", "Read-only file system")?;
    fails(
        &vm,
        "mount -o remount,rw /shared/fixed && echo y > /shared/fixed/file",
        "",
    )?;
    // Which the host would have as well.
    fails(&vm, "mknod /shared/device b 8 0", "not permitted")?;
    ensure!(
        host.sh("cat /run/srv/fixed/file").ok()? == "x",
        "it was written to"
    );
    let object = vm.inspect()?;
    ensure!(
        object["status"]["volumes"][1]["kind"] == "virtio-fs",
        "{object:#}"
    );
    // 8 MB through it, whole.
    sh(&vm, "head -c 8388608 /dev/urandom > /shared/big; sync")?;
    let [inside, outside] = [
        sh(&vm, "sha256sum < /shared/big")?,
        host.sh("sha256sum < /run/srv/dir/big").ok()?,
    ];
    ensure!(inside == outside, "{inside} inside, {outside} outside");
    vm.verb("stop")?;
    vm.verb("start")?;
    ensure!(sh(&vm, "cat /shared/sub/new")? == "guest", "it is lost");
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    ensure!(
        host.sh("cat /run/srv/dir/sub/file").ok()? == "host",
        "it is removed"
    );
    nothing_left(&host)
}

#[test]
fn a_link_out_of_a_directory_leads_nowhere() -> Result<()> {
    let host = Host::new("alpha")?;
    host.sh("mkdir -p /run/srv/dir; echo secret > /run/srv/secret; cd /run/srv/dir
         ln -s ../secret up; ln -s /run/srv/secret absolute; ln -s /proc/1/root/run/srv/secret proc")
        .ok()?;
    let vm = Vm::run(&host, &["-v", "/run/srv/dir:/shared"])?;
    for name in ["up", "absolute", "proc", "../secret", "sub/../../secret"] {
        fails(&vm, &format!("cat /shared/{name}"), "")?;
    }
    // Nor one that is made from inside, seen through a path of the guest's own.
    sh(
        &vm,
        "ln -s / /shared/root; ls /shared/root/shared >/dev/null",
    )?;
    ensure!(
        host.sh("readlink /run/srv/dir/root").ok()? == "/",
        "the link is another"
    );
    // Its server sees the directory, and nothing of the host.
    let server = "pid=$(pgrep -o virtiofsd); ls /proc/$pid/root/; ! ls /proc/$pid/root/run";
    let seen = host.sh(server).ok()?;
    ensure!(!seen.contains("secret"), "{seen}");
    // CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN, CAP_MKNOD: files past every path, mounts, devices.
    let status = host
        .sh("grep -h CapPrm /proc/$(pgrep -o virtiofsd)/status")
        .ok()?;
    let held = status.split_whitespace().last().context("capabilities")?;
    let held = u64::from_str_radix(held, 16)?;
    for capability in [2, 21, 27] {
        ensure!(
            held & 1 << capability == 0,
            "it has capability {capability}: {held:x}"
        );
    }
    Ok(())
}

#[test]
fn servers_of_directories_end_with_their_vm() -> Result<()> {
    let host = Host::new("alpha")?;
    host.sh("mkdir -p /run/srv/dir").ok()?;
    let vm = Vm::run(&host, &["-v", "/run/srv/dir:/shared"])?;
    let count = "pgrep -c virtiofsd || true";
    ensure!(host.sh(count).ok()? != "0", "none runs");
    kill_supervisor(&host)?;
    host.ignite(["network", "gc"]).ok()?;
    wait_until("the servers to end", SOON, || {
        let left = host.sh(count).ok()?;
        ensure!(left == "0", "{left} are left");
        Ok(())
    })?;
    vm.verb("start")?;
    sh(&vm, "touch /shared/again")?;
    vm.verb("kill")?;
    vm.verb("rm")?;
    ensure!(host.sh(count).ok()? == "0", "some are left");
    nothing_left(&host)
}

/// A guest would wait for the dead one's answers forever.
#[test]
fn a_server_that_dies_is_the_end_of_its_vm_and_is_named() -> Result<()> {
    let host = Host::new("alpha")?;
    host.sh("mkdir -p /run/srv/dir").ok()?;
    let vm = Vm::run(&host, &["-v", "/run/srv/dir:/shared"])?;
    host.sh("kill -9 $(pgrep -o virtiofsd)").ok()?;
    ensure!(vm.ended()? == "vmm-failed", "another end");
    let message = vm.status("message")?;
    let expected = "the server of the directory /run/srv/dir ended with signal 9";
    ensure!(message.contains(expected), "{message}");
    vm.verb("start")?;
    sh(&vm, "touch /shared/again")?;
    vm.verb("stop")?;
    host.sh(NO_VIRTIOFSD).ok()?;
    let start = host.ignite(["start", &vm.uid]).deadline(BOOT).output()?;
    let words = [
        "the server of the directory /run/srv/dir ended with exit code 2",
        "virtiofsd --help' for more information",
    ];
    start.refused(1, &words)?;
    vm.verb("rm")?;
    nothing_left(&host)
}

/// Who asks for its files waits, and nobody else: the agent looks at no file itself.
#[test]
fn a_share_that_does_not_answer_holds_up_who_uses_it_and_nobody_else() -> Result<()> {
    let host = Host::new("alpha")?;
    host.sh(
        "mkdir -p /run/srv/dir/sub && printf '#!/bin/sh\\necho there\\n' > /run/srv/dir/program
         chmod +x /run/srv/dir/program",
    )
    .ok()?;
    let vm = Vm::run(&host, &["-v", "/run/srv/dir:/shared"])?;
    host.sh("pkill -STOP virtiofsd").ok()?;
    let start = |words: &[&str]| host.ignite(words).deadline(BOOT).start();
    let uid = vm.uid.as_str();
    let mut waiting = [
        start(&["exec", "-w", "/shared/sub", uid, "--", "pwd"])?,
        start(&["exec", uid, "--", "/shared/program"])?,
        start(&["exec", uid, "--", "sleep", "1"])?,
    ];
    for _ in 0..3 {
        // With input, and its end: nobody who waits for the share holds a pipe of the others' open.
        let output = vm.exec(&["cat"]).stdin("as ever").output()?;
        ensure!(output.code == 0 && output.stdout == "as ever", "{output}");
    }
    let is_over = |[first, second, _]: &mut [Running; 3]| -> Result<bool> {
        Ok(first.is_over()? || second.is_over()?)
    };
    ensure!(!is_over(&mut waiting)?, "the share answered");
    // One who leaves takes his program along, when the kernel lets it go.
    let left = start(&["exec", uid, "--", "cat", "/shared/program"])?;
    vm.exec(&["true"]).ok()?;
    drop(left);
    vm.exec(&["true"]).ok()?;
    host.sh("pkill -CONT virtiofsd").ok()?;
    let expected = ["/shared/sub\n", "there\n", ""];
    for (client, expected) in waiting.into_iter().zip(expected) {
        let output = client.wait(SOON)?;
        ensure!(output.code == 0 && output.stdout == expected, "{output}");
    }
    vm.verb("stop")?;
    vm.verb("rm")?;
    nothing_left(&host)
}

#[test]
fn a_kernel_without_the_file_system_is_told_of() -> Result<()> {
    let host = Host::new("alpha")?;
    // The head of a file system that the kernel of these guests has no driver for.
    host.sh("mkdir -p /run/srv; truncate -s 1M /run/srv/disk
         printf '\\020\\040\\365\\362' | dd of=/run/srv/disk bs=1 seek=1024 conv=notrunc 2>/dev/null")
        .ok()?;
    let _slot = boot::slot()?;
    let run = Vm::invocation(
        &host,
        &["-v", "/run/srv/disk:/data"],
        &place::image("busy")?,
        &["sleep", "9"],
    );
    let words = [
        "cannot mount the volume volume0: this kernel has no file system f2fs",
        "hint",
        "module tree",
    ];
    run.deadline(BOOT).output()?.refused(1, &words)?;
    nothing_left(&host)
}

#[test]
fn without_virtiofsd_a_directory_is_copied_and_that_is_said() -> Result<()> {
    let host = Host::new("alpha")?;
    hide_virtiofsd(&host)?;
    host.sh("mkdir -p /run/srv/dir; echo first > /run/srv/dir/file")
        .ok()?;
    let volumes = ["-v", "/run/srv/dir:/own", "--name", "copied"];
    let _slot = boot::slot()?;
    let run = Vm::invocation(&host, &volumes, &place::image("busy")?, &[]);
    let output = run.deadline(BOOT).output()?;
    ensure!(output.stderr.contains("stays in the VM"), "{output}");
    let vm = Vm {
        host: &host,
        uid: output.ok()?,
    };
    sh(
        &vm,
        "grep ' /own ext4 rw' /proc/mounts; cat /own/file; echo own > /own/file",
    )?;
    ensure!(
        host.sh("cat /run/srv/dir/file").ok()? == "first",
        "it was written to"
    );
    vm.verb("stop")?;
    host.sh("echo second > /run/srv/dir/file").ok()?;
    host.ignite(["start", "copied"]).deadline(BOOT).ok()?;
    ensure!(sh(&vm, "cat /own/file")? == "own", "its own is lost");
    let object = vm.inspect()?;
    ensure!(
        object["status"]["volumes"][0]["kind"] == "copy",
        "{object:#}"
    );
    vm.verb("stop")?;
    vm.verb("rm")?;
    // Larger than the VM's disk.
    host.sh("head -c 300M /dev/zero | tr '\\0' x > /run/srv/dir/big")
        .ok()?;
    let words = ["run", "--size", "256MB", "-v", "/run/srv/dir:/own"];
    let image = place::image("busy")?;
    let output = host
        .ignite(words.into_iter().chain([image.as_str()]))
        .output()?;
    output.refused(1, &["too much for a copy", "hint", "--size"])?;
    nothing_left(&host)
}

/// What a VM in Firecracker is planned with, and the file behind its last drive.
#[test]
fn firecracker_gets_a_copy_of_a_directory() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    host.sh(KVM).ok()?;
    host.sh("mkdir -p /run/srv/dir; echo first > /run/srv/dir/file")
        .ok()?;
    let image = place::image("busy")?;
    let options = [
        "--vmm",
        "firecracker",
        "--name",
        "copied",
        "-v",
        "/run/srv/dir:/own",
    ];
    let run = Vm::invocation(&host, &options, &image, &[]);
    let output = run.deadline(BOOT).output()?;
    let remark = "the VM has a copy of /run/srv/dir: what it changes stays in the VM";
    ensure!(output.stderr.contains(remark), "{output}");
    let vm = Vm {
        host: &host,
        uid: output.ok()?,
    };
    let copy = format!("/var/lib/ignite/vm/{}/volume0.ext4", vm.uid);
    let seen = host
        .sh(&format!("debugfs -R 'cat /file' {copy} 2>/dev/null"))
        .ok()?;
    ensure!(seen == "first", "{seen:?}");
    let plan = host.read(&format!("/run/ignite/vm/{}/plan.json", vm.uid))?;
    let plan: Value = serde_json::from_str(&plan).context("a plan")?;
    let disks = plan["machine"]["disks"].as_array().context("disks")?;
    ensure!(
        disks.last().context("one")?["path"] == copy.as_str(),
        "{plan:#}"
    );
    ensure!(plan["guest"]["volumes"][0]["target"] == "/own", "{plan:#}");
    vm.verb("stop")?;
    vm.verb("rm")?;
    nothing_left(&host)
}

#[test]
fn firecracker_gets_a_node_of_its_own_and_no_file_of_others() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    host.sh(KVM).ok()?;
    disk(&host, "/run/srv/disk", "16M", EXT4)?;
    let owner = "stat -c %u:%a /run/srv/disk";
    let before = host.sh(owner).ok()?;
    let options = ["--vmm", "firecracker", "-v", "/run/srv/disk:/data"];
    let vm = Vm::run_image(&host, &options, &place::image("busy")?, &[])?;
    let device = "losetup -n -O NAME -j /run/srv/disk";
    ensure!(
        host.sh(device).ok()?.contains("/dev/loop"),
        "no loop device"
    );
    let node = "stat -c %F /proc/$(pgrep -o firecracker)/root/dev/disk*";
    ensure!(
        host.sh(node).ok()? == "block special file",
        "no node of its own"
    );
    let run = Vm::invocation(&host, &options, &place::image("busy")?, &[]);
    run.output()?.refused(1, &["/run/srv/disk is in use"])?;
    vm.verb("stop")?;
    wait_until("the loop device to go", SOON, || {
        let left = host.sh(device).ok()?;
        ensure!(left.is_empty(), "{left} is there");
        Ok(())
    })?;
    ensure!(host.sh(owner).ok()? == before, "the file is another's");
    vm.verb("rm")?;
    nothing_left(&host)
}
