//! Addresses and MACs: asked for, kept, lost to another, refused.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, Output, place};
use serde_json::{Value, json};

use crate::support::{SMALL, Vm, nothing_left};

/// `run` of a VM that is not expected to start.
fn run(host: &Host, options: &[&str]) -> Result<Output> {
    Vm::invocation(host, options, &place::image("busy")?, &[]).output()
}

/// A host whose VMs are nothing but their networks, with one VM on it.
fn stand_in(options: &[&str]) -> Result<(Host, String)> {
    let host = Host::with_stand_in("alpha")?;
    let mut words = vec!["run", "--memory", SMALL];
    words.extend(options);
    let image = place::image("busy")?;
    words.push(&image);
    let uid = host.ignite(words).ok()?;
    Ok((host, uid))
}

fn interface(host: &Host, uid: &str, index: usize) -> Result<Value> {
    let vm: Value = serde_json::from_str(&host.ignite(["inspect", "vm", uid]).ok()?)?;
    let interface = vm["status"]["network"]["interfaces"][index].clone();
    ensure!(interface.is_object(), "no interface {index} in {vm:#}");
    Ok(interface)
}

/// The leases of a network's `host-local`.
fn leases(host: &Host, network: &str) -> Result<String> {
    host.sh(&format!(
        "cd /var/lib/cni/networks/{network} 2>/dev/null && ls | grep '^[0-9]' || true"
    ))
    .ok()
}

fn network(name: &str, plugin: Value) -> String {
    json!({ "cniVersion": "1.0.0", "name": name, "plugins": [plugin] }).to_string()
}

#[test]
fn an_address_and_a_mac_that_are_asked_for() -> Result<()> {
    let host = Host::new("alpha")?;
    let (ip, mac) = ("10.61.0.50", "02:00:00:00:00:50");
    let vm = Vm::run(&host, &["--ip", ip, "--mac", mac, "--name", "fixed"])?;
    assert_eq!(vm.address()?, ip);
    assert_eq!(vm.exec(&["cat", "/sys/class/net/eth0/address"]).ok()?, mac);
    let shown = vm.exec(&["ip", "-4", "address", "show", "eth0"]).ok()?;
    assert!(shown.contains("inet 10.61.0.50/16"), "{shown}");
    assert!(host.get("10.61.0.50:80")?.starts_with("fixed "));
    let listed: Value = serde_json::from_str(&host.ignite(["ps", "-o", "json"]).ok()?)?;
    let interface = &listed[0]["interfaces"][0];
    assert_eq!(
        interface,
        &json!({
            "name": "eth0", "network": "ignite-cni-bridge", "mac": mac,
            "addresses": ["10.61.0.50/16"], "gateway": "10.61.0.1",
        })
    );

    // Somebody has both now.
    run(&host, &["--ip", ip])?.refused(1, &["10.61.0.50", "ignite-cni-bridge", "hint"])?;
    run(&host, &["--mac", mac])?.refused(1, &[mac, "fixed"])?;
    // The network decides on the prefix length, and on which addresses it has.
    run(&host, &["--ip", "10.61.0.51/24"])?
        .refused(1, &["10.61.0.51/24", "10.61.0.51/16", "10.61.0.51 alone"])?;
    run(&host, &["--ip", "192.0.2.9"])?.refused(1, &["192.0.2.9"])?;
    assert_eq!(leases(&host, "ignite-cni-bridge")?, ip);
    vm.verb("stop")?;
    vm.verb("rm")?;
    nothing_left(&host)
}

#[test]
fn everything_wrong_with_the_interfaces_at_once() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let faults = run(
        &host,
        &[
            "--network",
            "../x:ipp=1,mac=01:00:5e:00:00:01",
            "--network",
            "lan:ip=300.1.1.1,ifname=a/b",
        ],
    )?;
    faults.refused(
        2,
        &[
            "../x",
            "ipp",
            "did you mean ip?",
            "01:00:5e:00:00:01",
            "300.1.1.1",
            "a/b",
        ],
    )?;
    run(&host, &["--network", "a:ifname=eth1", "--network", "b"])?
        .refused(2, &["spec.network.interfaces[1].name", "eth1"])?;
    run(&host, &["--network", "a:ip=10.0.0.2", "--ip", "10.0.0.3"])?.refused(2, &["--ip"])?;
    run(&host, &["--ip", "10.61.0.0/16"])?.refused(2, &["10.61.0.0/16"])?;
    run(&host, &["--mac", "ff:ff:ff:ff:ff:ff"])?.refused(2, &["ff:ff:ff:ff:ff:ff"])?;
    nothing_left(&host)
}

#[test]
fn mac_and_address_survive_stop_and_start() -> Result<()> {
    let (host, uid) = stand_in(&[])?;
    let first = interface(&host, &uid, 0)?;
    assert_eq!(first["addresses"], json!(["10.61.0.2/16"]));
    // Others come and go: the next free address is never the same twice.
    for round in 0..10 {
        host.ignite(["stop", &uid]).ok()?;
        assert_eq!(leases(&host, "ignite-cni-bridge")?, "");
        host.ignite(["start", &uid]).ok()?;
        assert_eq!(interface(&host, &uid, 0)?, first, "round {round}");
    }
    host.ignite(["rm", "-f", &uid]).ok()?;
    nothing_left(&host)
}

#[test]
fn an_address_that_another_took_is_given_up_aloud() -> Result<()> {
    let (host, uid) = stand_in(&[])?;
    let first = interface(&host, &uid, 0)?;
    host.ignite(["stop", &uid]).ok()?;
    host.write(
        "/var/lib/cni/networks/ignite-cni-bridge/10.61.0.2",
        "somebody\r\neth0",
    )?;
    let said = host.ignite(["start", &uid]).output()?;
    ensure!(said.code == 0, "{said}");
    let second = interface(&host, &uid, 0)?;
    let now = second["addresses"][0].as_str().context("an address")?;
    assert!(
        said.stderr.contains("10.61.0.2/16") && said.stderr.contains(now),
        "{said}"
    );
    assert_ne!(now, "10.61.0.2/16");
    assert_eq!(second["mac"], first["mac"]);
    // From now on this is the VM's.
    host.ignite(["stop", &uid]).ok()?;
    let said = host.ignite(["start", &uid]).output()?;
    assert!(!said.stderr.contains("no longer"), "{said}");
    assert_eq!(interface(&host, &uid, 0)?, second);

    // An address that was asked for is not given up.
    let image = place::image("busy")?;
    let fixed = ["create", "--memory", SMALL, "--ip", "10.61.0.77", &image];
    let fixed = host.ignite(fixed).ok()?;
    host.write(
        "/var/lib/cni/networks/ignite-cni-bridge/10.61.0.77",
        "somebody\r\neth0",
    )?;
    host.ignite(["start", &fixed])
        .output()?
        .refused(1, &["10.61.0.77"])?;
    Ok(())
}

#[test]
fn two_interfaces_on_one_network_keep_an_address_each() -> Result<()> {
    let (host, uid) = stand_in(&[
        "--network",
        "ignite-cni-bridge",
        "--network",
        "ignite-cni-bridge",
    ])?;
    let both =
        |uid: &str| Ok::<_, anyhow::Error>([interface(&host, uid, 0)?, interface(&host, uid, 1)?]);
    let first = both(&uid)?;
    assert_eq!(first[0]["addresses"], json!(["10.61.0.2/16"]));
    assert_eq!(first[1]["addresses"], json!(["10.61.0.3/16"]));
    host.ignite(["stop", &uid]).ok()?;
    let said = host.ignite(["start", &uid]).output()?;
    assert!(!said.stderr.contains("no longer"), "{said}");
    assert_eq!(both(&uid)?, first);
    host.ignite(["rm", "-f", &uid]).ok()?;
    nothing_left(&host)
}

/// A plugin in place of an address plugin, or of all: it prints this result.
fn plugin(host: &Host, name: &str, result: &Value) -> Result<()> {
    host.sh("mountpoint -q /opt || mount -t tmpfs tmpfs /opt; mkdir -p /opt/cni/bin")
        .ok()?;
    host.write(&format!("/opt/cni/bin/{name}.json"), result.to_string())?;
    let script = format!(
        "#!/bin/sh\ncat > /dev/null\necho \"$CNI_COMMAND\" >> /run/calls\ncase $CNI_COMMAND in\n\
         VERSION) echo '{{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"1.0.0\"]}}';;\n\
         ADD) cat /opt/cni/bin/{name}.json;;\nesac\n"
    );
    host.write(&format!("/opt/cni/bin/{name}"), script)?;
    host.sh(&format!("chmod +x /opt/cni/bin/{name}"))
        .ok()
        .map(drop)
}

#[test]
fn a_network_that_gives_another_address() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let bridge = json!({ "type": "bridge", "bridge": "cni1", "ipam": { "type": "stubborn" } });
    host.write(
        "/etc/cni/net.d/10-stubborn.conflist",
        network("stubborn", bridge),
    )?;
    let result = json!({ "cniVersion": "1.0.0", "ips": [{ "address": "10.77.0.5/24" }] });
    plugin(&host, "stubborn", &result)?;
    let refused = run(&host, &["--network", "stubborn:ip=10.77.0.9"])?;
    refused.refused(1, &["eth0", "10.77.0.9", "stubborn", "10.77.0.5/24"])?;
    let calls = host.read("/run/calls")?;
    assert!(calls.ends_with("ADD\nDEL\n"), "{calls}");
    crate::support::nothing_left_but(&host, &["cni1"])?;
    // The address it gives anyhow is fine.
    run(&host, &["--network", "stubborn:ip=10.77.0.5/24"])?
        .ok()
        .map(drop)
}

#[test]
fn the_static_plugin_takes_the_address_it_is_given() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let bridge = json!({
        "type": "bridge", "bridge": "cni1",
        "ipam": { "type": "static" },
    });
    host.write(
        "/etc/cni/net.d/10-written.conflist",
        network("written", bridge),
    )?;
    let options = ["--network", "written:ip=10.88.0.9/24,ip=fd00:88::9/64"];
    let uid = run(&host, &options)?.ok()?;
    let addresses = interface(&host, &uid, 0)?["addresses"].clone();
    assert_eq!(addresses, json!(["10.88.0.9/24", "fd00:88::9/64"]));
    run(&host, &["--network", "written:ip=10.88.0.10"])?
        .refused(1, &["10.88.0.10", "prefix length"])?;
    Ok(())
}

#[test]
fn results_that_lie() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    host.write(
        "/etc/cni/net.d/10-liar.conflist",
        network("liar", json!({ "type": "liar" })),
    )?;
    let many: Vec<Value> = (0..10_000)
        .map(|_| json!({ "dst": "10.0.0.0/8" }))
        .collect();
    let ip = |address: &str, gateway: &str| json!([{ "address": address, "gateway": gateway }]);
    let sane = ip("10.99.0.2/24", "10.99.0.1");
    let lies = [
        (ip("10.99.0.2/24", "10.98.0.1"), json!([]), "10.98.0.1"),
        (
            ip("10.99.0.255/24", "10.99.0.1"),
            json!([]),
            "10.99.0.255/24",
        ),
        (
            json!([{ "address": "10.99.0.2/24", "interface": 7 }]),
            json!([]),
            "7",
        ),
        (sane.clone(), json!(many), "10000 routes"),
        (
            sane.clone(),
            json!([{ "dst": "0.0.0.0/0", "gw": "192.0.2.1" }]),
            "192.0.2.1",
        ),
        (
            sane.clone(),
            json!([{ "dst": "0.0.0.0/0", "gw": "10.99.0.2" }]),
            "own address",
        ),
        (
            sane,
            json!([{ "dst": "0.0.0.0/0", "gw": "fd00::1" }]),
            "fd00::1",
        ),
    ];
    for (ips, routes, word) in lies {
        let result = json!({ "cniVersion": "1.0.0", "ips": ips, "routes": routes });
        plugin(&host, "liar", &result)?;
        run(&host, &[])?
            .refused(1, &["liar", word])
            .with_context(|| format!("{:.200}", result.to_string()))?;
        let calls = host.read("/run/calls")?;
        assert!(calls.ends_with("ADD\nDEL\n"), "{calls}");
        nothing_left(&host)?;
    }
    Ok(())
}
