//! Reboots, kills, and verbs called once more.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, wait_until};
use rustix::process::Signal;

use super::stage::{SET_UP, Stage, leads_out, nothing_of_it, overlay, sound, status};
use crate::support::{SOON, Vm};

fn subnet(host: &Host) -> Result<String> {
    let file = host.read("/run/flannel/subnet.env")?;
    let line = file
        .lines()
        .find_map(|line| line.strip_prefix("FLANNEL_SUBNET="));
    Ok(line.context("a subnet")?.to_owned())
}

/// After a power cut every host has its subnet, and every VM its address.
#[test]
fn a_reboot_loses_nothing() -> Result<()> {
    let stage = Stage::new(2)?;
    stage.overlay(&[])?;
    let vms = [
        Vm::run(&stage.nodes[0], &[])?,
        Vm::run(&stage.nodes[1], &[])?,
    ];
    let mut before = Vec::new();
    for vm in &vms {
        before.push((subnet(vm.host)?, vm.address()?));
    }
    for node in &stage.nodes {
        node.reboot()?;
    }
    for node in &stage.nodes {
        leads_out(node)?;
        overlay(node, "start", &[])?;
    }
    for node in &stage.nodes {
        sound(node, 1)?;
    }
    for (vm, (subnet_before, address)) in vms.iter().zip(&before) {
        ensure!(subnet(vm.host)? == *subnet_before, "another subnet");
        vm.verb("start")?;
        ensure!(vm.address()? == *address, "another address than {address}");
    }
    vms[0]
        .wait_exec("the other VM", &["ping", "-c", "2", &before[1].1])
        .map(drop)
}

/// Ends processes of a host by their program's name, as a crash does.
fn kill(host: &Host, program: &str) -> Result<()> {
    let all = host.processes()?;
    let those: Vec<_> = all
        .iter()
        .filter(|process| format!("{} ", process.argv.join(" ")).contains(program))
        .collect();
    ensure!(!those.is_empty(), "no {program} among {all:?}");
    those
        .iter()
        .for_each(|process| process.signal(Signal::KILL));
    Ok(())
}

/// Whatever dies is there again, with the same subnet; what nobody starts again is told.
#[test]
fn agents_and_etcd_that_die_are_there_again() -> Result<()> {
    let stage = Stage::new(2)?;
    stage.overlay(&[])?;
    let before = subnet(&stage.nodes[1])?;
    for program in ["/ignite-overlay ", "/etcd "] {
        kill(&stage.nodes[0], program)?;
        sound(&stage.nodes[0], 1)?;
        sound(&stage.nodes[1], 1)?;
    }
    // The keeper itself, and so the agent.
    kill(&stage.nodes[1], "ignite internal keep")?;
    wait_until("the agent's absence", SOON, || {
        let status = status(&stage.nodes[1])?;
        let kind = &status["troubles"][0]["kind"];
        ensure!(kind == "agent-not-running", "{status:#}");
        let remedy = status["troubles"][0]["remedy"].as_str().unwrap_or_default();
        ensure!(remedy.contains("ignite overlay start"), "{remedy}");
        Ok(())
    })?;
    overlay(&stage.nodes[1], "start", &[])?;
    sound(&stage.nodes[1], 1)?;
    ensure!(subnet(&stage.nodes[1])? == before);
    Ok(())
}

/// `init` and `join` that are killed anywhere are called again and go on; `leave --all` of whatever
/// they left leaves nothing.
#[test]
fn killed_anywhere_they_go_on() -> Result<()> {
    let stage = Stage::new(1)?;
    let node = &stage.nodes[0];
    for moment in [5, 20, 60, 150, 300, 500, 800, 1200, 2000] {
        let script = format!(
            "timeout -s KILL {}.{:03} ignite overlay init >/dev/null 2>&1 || true",
            moment / 1000,
            moment % 1000
        );
        node.sh(&script).deadline(SET_UP).ok()?;
        if moment % 100 == 0 {
            // Half of them are taken away, the others gone on with.
            overlay(node, "leave", &["--all"])?;
            nothing_of_it(node).with_context(|| format!("killed after {moment} ms"))?;
        }
    }
    overlay(node, "init", &[])?;
    sound(node, 0)?;
    for moment in [5, 30, 100, 200, 400] {
        let script = format!(
            "timeout -s KILL 0.{moment:03} ignite overlay leave --all >/dev/null 2>&1 || true"
        );
        node.sh(&script).deadline(SET_UP).ok()?;
        overlay(node, "leave", &["--all"])?;
        nothing_of_it(node).with_context(|| format!("leave killed after {moment} ms"))?;
        overlay(node, "init", &[])?;
    }
    sound(node, 0)
}

/// A host that left comes back with the subnet it had, unless it gave it back.
#[test]
fn leaving_and_coming_back() -> Result<()> {
    let stage = Stage::new(2)?;
    stage.overlay(&["--insecure"])?;
    let node = &stage.nodes[1];
    let before = subnet(node)?;
    overlay(node, "leave", &[])?;
    ensure!(
        node.command(["ip", "link", "show", "flannel.1"])
            .ok()
            .is_ok()
    );
    ensure!(!node.has("/etc/cni/net.d/10-flannel.conflist")?);
    overlay(node, "join", &["192.0.2.1"])?;
    ensure!(subnet(node)? == before, "another subnet");

    overlay(node, "reserve", &[])?;
    overlay(node, "leave", &["--all"])?;
    nothing_of_it(node)?;
    let reserved = overlay(&stage.nodes[0], "reserve", &["ls"])?;
    ensure!(reserved.contains("192.0.2.2"), "{reserved}");
    overlay(node, "join", &["192.0.2.1"])?;
    ensure!(subnet(node)? == before, "the reservation was of no use");
    let listed = overlay(node, "reserve", &["ls", "-o", "json"])?;
    let listed: serde_json::Value = serde_json::from_str(&listed)?;
    let reserved = listed[0]["subnet"].as_str().context("a reservation")?;
    ensure!(before.replace(".1/", ".0/") == reserved, "{listed}");
    overlay(node, "reserve", &["rm", reserved])?;
    wait_until("the reservation's end", Duration::from_secs(30), || {
        let listed = overlay(node, "reserve", &["ls", "-o", "json"])?;
        ensure!(listed.trim() == "[]", "{listed}");
        Ok(())
    })?;

    // What the first call left, the second takes.
    overlay(node, "leave", &[])?;
    ensure!(
        node.command(["ip", "link", "show", "flannel.1"])
            .ok()
            .is_ok()
    );
    overlay(node, "leave", &["--all"])?;
    nothing_of_it(node)?;
    overlay(node, "join", &["192.0.2.1"])?;

    // The first host has what the others need.
    let refused = stage.nodes[0]
        .ignite(["overlay", "leave", "--all"])
        .deadline(SET_UP)
        .output()?;
    refused.refused(1, &["1 other hosts", "192.0.2.2", "--force"])?;
    overlay(&stage.nodes[0], "leave", &["--all", "--force"])?;
    nothing_of_it(&stage.nodes[0])?;
    // Without etcd, a host leaves all the same.
    overlay(node, "leave", &["--all"])?;
    nothing_of_it(node)
}

/// Another backend: the hosts follow it after a restart, and nothing of the one before is in its way.
#[test]
fn another_backend_takes_over_whole() -> Result<()> {
    let stage = Stage::new(2)?;
    stage.overlay(&[])?;
    sound(&stage.nodes[0], 1)?;
    let words = ["overlay", "init", "--replace", "--backend", "wireguard"];
    let told = stage.nodes[0].ignite(words).deadline(SET_UP).output()?;
    ensure!(told.stderr.contains("backend wireguard"), "{}", told.stderr);
    told.ok()?;
    overlay(&stage.nodes[1], "restart", &[])?;
    for node in &stage.nodes {
        sound(node, 1)?;
        let routes = node.command(["ip", "route"]).ok()?;
        ensure!(!routes.contains("flannel.1"), "{routes}");
        let device = node.command(["ip", "link", "show", "flannel.1"]).ok();
        ensure!(device.is_err(), "flannel.1 stays");
    }
    let log = stage.nodes[1]
        .sh("timeout 2 ignite overlay logs -f -n 3 || true")
        .ok()?;
    ensure!(log.lines().count() >= 3, "{log}");
    overlay(&stage.nodes[1], "leave", &["--all"])?;
    nothing_of_it(&stage.nodes[1])
}
