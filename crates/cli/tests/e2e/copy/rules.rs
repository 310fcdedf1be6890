//! Where a file or tree comes to lie, and under which name.

use anyhow::{Result, ensure};
use ignite_testkit::Host;

use super::{copied, cp};
use crate::support::Vm;

#[test]
fn destinations_mean_the_same_both_ways() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let make = "mkdir -p /run/w/tree /run/w/there; cd /run/w; echo 1 > file; echo 2 > tree/in; echo old > there/old";
    host.sh(make).ok()?;
    vm.exec(&["sh", "-c", make]).ok()?;
    let cases = [
        ("file", "new"),
        ("file", "there"),
        ("file", "there/"),
        ("file", "there/old"),
        ("tree", "fresh"),
        ("tree", "there"),
        ("tree/", "there/again"),
        ("tree/.", "there"),
        ("tree/.", "made"),
        ("tree", "tree"),
    ];
    for (from, to) in cases {
        let (from, to) = (format!("/run/w/{from}"), format!("/run/w/{to}"));
        copied(&vm, &[&from, &format!("VM:{to}")])?;
        copied(&vm, &[&format!("VM:{from}"), &to])?;
    }
    let list = "cd /run/w; find . -type f | sort | while read f; do echo $f $(cat $f); done";
    let (here, there) = (host.sh(list).ok()?, vm.exec(&["sh", "-c", list]).ok()?);
    ensure!(here == there, "{here}\n---\n{there}");
    let expected = "./file 1\n./fresh/in 2\n./made/in 2\n./new 1\n./there/again/in 2\n./there/file 1\n./there/in 2\n./there/old 1\n./there/tree/in 2\n./tree/in 2";
    ensure!(here == expected, "{here}");
    Ok(())
}

#[test]
fn what_the_kernel_makes_up_is_copied_as_it_is_read() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    for file in ["/proc/version", "/sys/class/net/lo/mtu"] {
        copied(&vm, &[&format!("VM:{file}"), "/run/made-up"])?;
        let read = vm.exec(&["cat", file]).ok()?;
        ensure!(!read.is_empty() && host.sh("cat /run/made-up").ok()? == read);
    }
    copied(&vm, &["VM:/proc/cpuinfo", "/run/cpuinfo"])?;
    ensure!(host.sh("grep -c processor /run/cpuinfo").ok()? == "1");
    copied(&vm, &["/proc/version", "VM:/version"])?;
    ensure!(vm.exec(&["cat", "/version"]).ok()? == host.sh("cat /proc/version").ok()?);
    Ok(())
}

#[test]
fn links_stay_links_unless_they_are_followed() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    host.sh("cd /run; echo text > target; ln -s target link")
        .ok()?;
    let output = cp(&vm, &["/run/link", "VM:/link"]).output()?;
    ensure!(output.stderr.contains("-L"), "{output}");
    ensure!(vm.exec(&["readlink", "/link"]).ok()? == "target");
    copied(&vm, &["-L", "/run/link", "VM:/followed"])?;
    ensure!(vm.exec(&["cat", "/followed"]).ok()? == "text");
    // A file goes through a link that is there; what the link leads to has its content then.
    vm.exec(&[
        "sh",
        "-c",
        "mkdir /d; echo old > /d/real; ln -s real /d/name",
    ])
    .ok()?;
    copied(&vm, &["/run/target", "VM:/d/name"])?;
    ensure!(
        vm.exec(&["sh", "-c", "readlink /d/name; cat /d/real"])
            .ok()?
            == "real\ntext"
    );
    Ok(())
}

#[test]
fn names_are_no_flags_and_relative_ones_begin_at_home() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["--name", "web"])?;
    host.sh("cd /run; echo flag > ./-rf; echo colon > a:b")
        .ok()?;
    let uid = &vm.uid;
    host.sh(&format!(
        "cd /run; ignite cp -- -rf {uid}:/ && ignite cp ./a:b web:/x:y"
    ))
    .ok()?;
    ensure!(vm.exec(&["cat", "/-rf", "/x:y"]).ok()? == "flag\ncolon");
    let home = vm.exec(&["sh", "-c", "mkdir -p ~; cd; pwd"]).ok()?;
    copied(&vm, &["/run/-rf", "VM:inside"])?;
    ensure!(vm.exec(&["cat", &format!("{home}/inside")]).ok()? == "flag");
    copied(&vm, &["VM:inside", "/run/outside"])?;
    ensure!(host.sh("cat /run/outside").ok()? == "flag");
    Ok(())
}
