//! The walk of the guide, by every backend, by command and by script.

use anyhow::{Result, ensure};

use super::stage::{
    SET_UP, Stage, keeps_its_address, nothing_of_it, overlay, reaches_everybody, sound, vms,
};
use crate::support::{Vm, nothing_left_but};

/// The whole walk: set up, VMs, traffic, an address kept, everything taken away again.
fn walk(stage: &Stage, init: &[&str]) -> Result<()> {
    stage.overlay(init)?;
    for node in &stage.nodes {
        sound(node, stage.nodes.len() - 1)?;
    }
    let (one, two) = vms(stage)?;
    reaches_everybody(stage, &one, &two)?;
    keeps_its_address(&two)?;
    ended(stage, &[one, two])
}

fn ended(stage: &Stage, vms: &[Vm<'_>]) -> Result<()> {
    for vm in vms {
        vm.host.ignite(["rm", "-f", &vm.uid]).ok()?;
    }
    for node in stage.nodes.iter().rev() {
        overlay(node, "leave", &["--all"])?;
        nothing_of_it(node)?;
        nothing_left_but(node, &[])?;
    }
    Ok(())
}

#[test]
fn vxlan_with_tls_and_tokens_on_three_hosts() -> Result<()> {
    let stage = Stage::new(3)?;
    let join = stage.overlay(&[])?;
    ensure!(
        join.starts_with("ignite overlay join 192.0.2.1 --token "),
        "{join}"
    );
    for node in &stage.nodes {
        sound(node, 2)?;
    }
    let (one, two) = vms(&stage)?;
    let three = Vm::run(&stage.nodes[2], &[])?;
    reaches_everybody(&stage, &one, &two)?;
    for other in [&one, &two] {
        three.wait_exec("the third", &["ping", "-c", "2", &other.address()?])?;
    }
    keeps_its_address(&two)?;
    ended(&stage, &[one, two, three])
}

#[test]
fn wireguard_with_tls_where_forward_drops() -> Result<()> {
    let stage = Stage::new(2)?;
    drops_forward(&stage)?;
    walk(&stage, &["--backend", "wireguard"])
}

/// As Docker and firewalls have it.
fn drops_forward(stage: &Stage) -> Result<()> {
    for node in &stage.nodes {
        node.sh("iptables -P FORWARD DROP").ok()?;
    }
    Ok(())
}

#[test]
fn vxlan_with_direct_routing_where_forward_drops() -> Result<()> {
    let stage = Stage::new(2)?;
    drops_forward(&stage)?;
    walk(&stage, &["--insecure", "--direct-routing"])
}

#[test]
fn host_gw_with_tls() -> Result<()> {
    walk(&Stage::new(2)?, &["--backend", "host-gw"])
}

#[test]
fn udp_with_tls() -> Result<()> {
    walk(&Stage::new(2)?, &["--backend", "udp"])
}

#[test]
fn vxlan_without_tls() -> Result<()> {
    walk(&Stage::new(2)?, &["--insecure"])
}

/// The script people know, run directly.
#[test]
fn udp_by_the_script() -> Result<()> {
    let stage = Stage::new(2)?;
    let script = |node: usize, words: &[&str]| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/ignite-flannel.sh");
        let words = std::iter::once(script).chain(words.iter().copied());
        stage.nodes[node].command(words).deadline(SET_UP).output()
    };
    let told = script(0, &["init"])?.ok()?;
    for part in [
        "==> starting etcd",
        "==> network configuration set: {\"Network\":\"10.50.0.0/16\",\"SubnetMin\":\"10.50.10.0\"",
        "==> starting the overlay's agent",
        "==> Ready.",
    ] {
        ensure!(told.contains(part), "{part} is not in\n{told}");
    }
    let told = script(1, &["join", "192.0.2.1"])?.ok()?;
    ensure!(told.contains("ignite overlay logs"), "{told}");
    for (words, expected) in [
        (&[][..], "Usage:"),
        (&["join"], "join which host?"),
        (&["init", "cleanup"], "one action at a time"),
    ] {
        let output = script(0, words)?;
        ensure!(
            output.code == 1 && output.stderr.contains(expected),
            "{words:?}"
        );
    }
    let help = script(0, &["-h"])?.ok()?;
    ensure!(help.contains("8285/udp"), "{help}");

    for node in &stage.nodes {
        sound(node, 1)?;
    }
    let log = overlay(&stage.nodes[1], "logs", &[])?;
    for part in ["Using interface with name eth0", "Allocated lease", "udp"] {
        ensure!(log.contains(part), "{part} is not in\n{log}");
    }
    let (one, two) = vms(&stage)?;
    reaches_everybody(&stage, &one, &two)?;
    keeps_its_address(&two)?;
    for vm in [&one, &two] {
        vm.host.ignite(["rm", "-f", &vm.uid]).ok()?;
    }
    for node in [1, 0] {
        script(node, &["cleanup"])?.ok()?;
        // There is nothing left to clean up, which is fine.
        script(node, &["cleanup"])?.ok()?;
        let host = &stage.nodes[node];
        ensure!(!host.has("/etc/cni/net.d/10-flannel.conflist")?);
    }
    Ok(())
}
