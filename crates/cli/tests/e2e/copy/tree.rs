//! A tree of ten thousand files with odd names, links and modes, both ways.

use anyhow::{Result, ensure};
use ignite_testkit::Host;

use super::{below, copied, cp};
use crate::support::{BOOT, Vm};

fn same((one, other): (String, String)) -> Result<usize> {
    let (mut ones, mut others) = (one.lines(), other.lines());
    for number in 0.. {
        match (ones.next(), others.next()) {
            (None, None) => return Ok(number),
            (one, other) => ensure!(one == other, "line {number}: {one:?} is not {other:?}"),
        }
    }
    Ok(0)
}

/// A listing without the times of its directories, which stand last.
fn timeless(listing: &str) -> String {
    let lines = listing.lines().map(|line| match line.rsplit_once(' ') {
        Some((rest, _)) if line.contains("\" directory ") => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn ten_thousand_odd_files_go_there_and_come_back() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["--size", "1GB"])?;
    host.helper(&["odd-tree", "/run/odd", "10000"])?
        .deadline(BOOT)
        .ok()?;
    vm.exec(&["mkdir", "-p", "/srv"]).ok()?;
    copied(&vm, &["/run/odd", "VM:/srv"])?;
    let lines = same(below(&vm, "/run/odd", "/srv/odd")?)?;
    ensure!(lines > 10_000, "{lines} lines");
    copied(&vm, &["-a", "VM:/srv/odd", "/run/back"])?;
    ensure!(same(below(&vm, "/run/back", "/srv/odd")?)? == lines);
    // Holes are holes at both ends.
    for blocks in [
        vm.exec(&["stat", "-c", "%b", "/srv/odd/holes"]).ok()?,
        host.sh("stat -c %b /run/back/holes").ok()?,
    ] {
        ensure!(blocks.trim().parse::<u64>()? < 1000, "{blocks} blocks");
    }
    // Once more, over what is there: the same again, and no second one in it. A directory that is there
    // stays as it is, and knows that something in it changed.
    copied(&vm, &["/run/odd", "VM:/srv/odd"])?;
    let (here, there) = below(&vm, "/run/odd", "/srv/odd")?;
    ensure!(same((timeless(&here), timeless(&there)))? == lines);
    Ok(())
}

#[test]
fn two_vms_at_once_get_what_is_theirs() -> Result<()> {
    let host = Host::new("alpha")?;
    let (one, other) = (Vm::run(&host, &[])?, Vm::run(&host, &[])?);
    host.sh("for i in 1 2; do head -c 8000000 /dev/urandom > /run/f$i; done")
        .ok()?;
    let running = [(&one, "/run/f1"), (&other, "/run/f2")].map(|(vm, file)| {
        let there = cp(vm, &[file, "VM:/file"]).start();
        (vm, file, there)
    });
    for (vm, file, there) in running {
        there?.wait(BOOT)?.ok()?;
        let back = format!("{file}.back");
        copied(vm, &["VM:/file", &back])?;
        host.command(["cmp", file, &back]).ok()?;
    }
    Ok(())
}

#[test]
fn owners_and_rights_of_a_guest_stay_in_it() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    vm.exec(&[
        "sh",
        "-c",
        "mkdir /t; echo x > /t/su; chown 1234:55 /t/su; chmod 4755 /t/su; mknod /t/null c 1 3; mkfifo /t/pipe",
    ])
    .ok()?;
    let output = cp(&vm, &["VM:/t", "/run/plain"]).output()?;
    ensure!(
        output.code == 0 && output.stderr.contains("null") && output.stderr.contains("pipe"),
        "{output}"
    );
    ensure!(
        host.sh("stat -c '%u:%g %a' /run/plain/su; ls /run/plain")
            .ok()?
            == "0:0 755\nsu"
    );
    cp(&vm, &["-a", "VM:/t", "/run/kept"]).ok()?;
    ensure!(host.sh("stat -c '%u:%g %a' /run/kept/su").ok()? == "1234:55 4755");
    Ok(())
}
