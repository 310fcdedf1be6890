//! `rename`, `restart` and `port`: what changes of a VM, and what stays.

use anyhow::{Result, ensure};
use ignite_testkit::{Host, boot, place, wait_until};

use super::json;
use crate::support::{BOOT, SOON, Vm};

#[test]
fn a_vm_that_runs_has_another_name_at_once() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["--name", "web", "-p", "8080:80"])?;
    host.ignite(["create", "--name", "db", &place::image("busy")?])
        .ok()?;
    host.ignite(["rename", "web", "db"])
        .output()?
        .refused(1, &["db", "taken"])?;
    host.ignite(["rename", "web", "no good"])
        .output()?
        .refused(2, &["no good"])?;
    assert_eq!(host.ignite(["rename", "web", "front"]).ok()?, vm.uid);
    assert_eq!(host.ignite(["exec", "fro", "--", "hostname"]).ok()?, "web");
    host.ignite(["inspect", "vm", "web"])
        .output()?
        .refused(1, &["web"])?;
    let listed = host.ignite(["ps"]).ok()?;
    ensure!(
        listed.contains("front") && !listed.contains("web"),
        "{listed}"
    );
    host.get("127.0.0.1:8080")?;
    let _slot = boot::slot()?;
    host.ignite(["restart", "front"]).deadline(BOOT).ok()?;
    assert_eq!(vm.hostname()?, "front");
    Ok(())
}

#[test]
fn a_restart_keeps_disk_mac_address_and_ports() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["--name", "web", "-p", "8080:80"])?;
    vm.exec(&["sh", "-c", "echo kept > /kept; sync"]).ok()?;
    let of = |vm: &Vm<'_>| -> Result<_> {
        let interface = vm.inspect()?["status"]["network"]["interfaces"][0].clone();
        Ok((interface["mac"].clone(), interface["addresses"].clone()))
    };
    let (before, booted) = (of(&vm)?, vm.status("startTime")?);
    let slot = boot::slot()?;
    let told = host
        .ignite(["restart", "-t", "5s", "we"])
        .deadline(BOOT)
        .output()?;
    ensure!(told.stderr.contains("restarted VM web"), "{}", told.stderr);
    assert_eq!(told.ok()?, vm.uid);
    assert_eq!(of(&vm)?, before);
    ensure!(
        vm.status("startTime")? != booted,
        "it was not started again"
    );
    assert_eq!(vm.exec(&["cat", "/kept"]).ok()?, "kept");
    wait_until("its port", SOON, || host.get("127.0.0.1:8080"))?;
    vm.verb("kill")?;
    // One that does not run is started.
    host.ignite(["restart", "web"]).deadline(BOOT).ok()?;
    drop(slot);
    assert_eq!(of(&vm)?, before);
    Ok(())
}

#[test]
fn ports_are_told_one_by_one_and_all() -> Result<()> {
    let host = Host::new("alpha")?;
    let ports = ["-p", "8080:80", "-p", "127.0.0.1:5353:53/udp"];
    let image = place::image("busy")?;
    let create = ["create", "--name", "web"].into_iter().chain(ports);
    host.ignite(create.chain([image.as_str()])).ok()?;
    let port = |words: &[&str]| host.ignite(["port", "web"].iter().chain(words).copied());
    assert_eq!(
        port(&[]).ok()?,
        "80/tcp -> 0.0.0.0:8080\n53/udp -> 127.0.0.1:5353"
    );
    assert_eq!(port(&["80"]).ok()?, "0.0.0.0:8080");
    assert_eq!(port(&["53/udp"]).ok()?, "127.0.0.1:5353");
    port(&["53"]).output()?.refused(1, &["53/tcp"])?;
    port(&["http"]).output()?.refused(2, &["http"])?;
    let told = json(&host, &["port", "web"])?;
    assert_eq!(told[0]["hostPort"], 8080);
    ensure!(
        port(&[]).output()?.stderr.contains("does not run"),
        "nobody answers there"
    );
    Ok(())
}
