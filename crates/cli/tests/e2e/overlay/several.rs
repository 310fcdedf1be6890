//! Several overlays beside each other.

use anyhow::{Result, ensure};
use ignite_testkit::wait_until;

use super::stage::{SET_UP, Stage, nothing_of_it, overlay};
use crate::support::{SOON, Vm};

/// Two overlays on the same two hosts and in one etcd: a VM may be on both, and neither leads to the
/// other.
#[test]
fn two_overlays_share_hosts_and_etcd() -> Result<()> {
    let stage = Stage::new(2)?;
    let (first, second) = (&stage.nodes[0], &stage.nodes[1]);
    stage.overlay(&[])?;
    let blue = ["--name", "blue", "--network", "10.80.0.0/16"];
    let clash = [&["overlay", "init"], &blue[..2]].concat();
    first
        .ignite(clash)
        .output()?
        .refused(1, &["overlay flannel", "overlap", "--network"])?;
    // One etcd serves both: as it is.
    let insecure = [&["overlay", "init", "--insecure"], &blue[..]].concat();
    first
        .ignite(insecure)
        .output()?
        .refused(1, &["overlay flannel", "with TLS"])?;
    let join = overlay(first, "init", &blue)?;
    ensure!(join.contains("--name blue"), "{join}");
    stage.join_all(&join)?;
    for node in &stage.nodes {
        for device in ["flannel.1", "flannel.2"] {
            node.command(["ip", "link", "show", device]).ok()?;
        }
    }
    let listed = first.ignite(["network", "ls", "--quiet"]).ok()?;
    ensure!(listed.lines().eq(["cbr0", "blue"]), "{listed}");

    let both = ["--network", "cbr0", "--network", "blue"];
    let one = Vm::run(first, &both)?;
    let two = Vm::run(second, &both)?;
    let addresses = |vm: &Vm<'_>| -> Result<Vec<String>> {
        let vm = vm.inspect()?;
        let all = vm["status"]["network"]["ipAddresses"].as_array().cloned();
        let all = all.unwrap_or_default();
        Ok(all
            .iter()
            .filter_map(|ip| ip.as_str().map(str::to_owned))
            .collect())
    };
    let there = addresses(&two)?;
    ensure!(
        there.len() == 2 && there[0].starts_with("10.50.") && there[1].starts_with("10.80."),
        "{there:?}"
    );
    for address in &there {
        one.wait_exec("the other VM", &["ping", "-c", "2", address])?;
    }
    for vm in [&one, &two] {
        vm.host.ignite(["rm", "-f", &vm.uid]).ok()?;
    }
    overlay(second, "leave", &["--all", "--name", "blue"])?;
    // The other one is as it was.
    let status = overlay(second, "status", &["--name", "flannel"])?;
    ensure!(status.contains("flannel.1"), "{status}");
    overlay(second, "leave", &["--all"])?;
    nothing_of_it(second)?;
    overlay(first, "leave", &["--all"])?;
    // etcd is still that of the other one, whose agent takes over the port to join.
    wait_until("a sound overlay blue", SOON, || {
        overlay(first, "status", &["--name", "blue"])
    })?;
    overlay(first, "leave", &["--all", "--name", "blue"])?;
    nothing_of_it(first)
}

/// An etcd that is there, named by files of the working directory; the network of whoever wrote it; and
/// a network of both families.
#[test]
fn an_etcd_that_is_there_serves_as_well() -> Result<()> {
    let stage = Stage::new(2)?;
    stage.overlay(&[])?;
    for (number, node) in (1..).zip(&stage.nodes) {
        let six = format!(
            "ip address add 2001:db8::{number}/64 dev eth0 nodad; ip route add default via 2001:db8::100"
        );
        node.sh(&six).ok()?;
    }
    let files = "cd /var/lib/ignite/overlay/flannel; ignite overlay init --name green \
        --etcd https://192.0.2.1:2379 --etcd-cafile ca.crt --etcd-certfile node.crt --etcd-keyfile node.key";
    let network = "--network 10.90.0.0/16 --ipv6-network fd00:90::/48";
    let (first, second) = (&stage.nodes[0], &stage.nodes[1]);
    first
        .sh(&format!("{files} {network}"))
        .deadline(SET_UP)
        .ok()?;
    second
        .sh(&format!("{files} --keep"))
        .deadline(SET_UP)
        .ok()?;
    let one = Vm::run(first, &["--network", "green"])?;
    let two = Vm::run(second, &["--network", "green"])?;
    let all = two.inspect()?["status"]["network"]["ipAddresses"].clone();
    let all: Vec<String> = serde_json::from_value(all)?;
    ensure!(
        all.len() == 2 && all.iter().any(|ip| ip.starts_with("fd00:90:")),
        "{all:?}"
    );
    for address in &all {
        one.wait_exec("the other VM", &["ping", "-c", "2", address])?;
    }
    for vm in [&one, &two] {
        vm.host.ignite(["rm", "-f", &vm.uid]).ok()?;
    }
    // The etcd is somebody's: it stays, and the other overlay with it.
    for node in [second, first] {
        overlay(node, "leave", &["--all", "--name", "green"])?;
        overlay(node, "status", &["--name", "flannel"])?;
    }
    Ok(())
}
