//! The network of a host that has none, and of one that has.

use anyhow::Result;
use ignite_testkit::{Host, wait_until};
use serde_json::{Value, json};

use crate::support::{SOON, Vm, nothing_left};

const FILE: &str = "/etc/cni/net.d/10-ignite.conflist";

#[test]
fn a_host_without_networks_gets_the_default_one() -> Result<()> {
    let host = Host::new("alpha")?;
    assert!(!host.has("/etc/cni")?);
    let vm = Vm::run(&host, &["--name", "web"])?;

    let file: Value = serde_json::from_str(&host.read(FILE)?)?;
    assert_eq!(
        (&file["name"], &file["cniVersion"]),
        (&json!("ignite-cni-bridge"), &json!("0.4.0"))
    );
    let plugins = file["plugins"].as_array().expect("a list");
    let kinds: Vec<&str> = plugins
        .iter()
        .filter_map(|plugin| plugin["type"].as_str())
        .collect();
    assert_eq!(kinds, ["bridge", "portmap", "firewall"]);
    let bridge = &plugins[0];
    assert_eq!(bridge["bridge"], "ignite0");
    for flag in ["isGateway", "isDefaultGateway", "promiscMode", "ipMasq"] {
        assert_eq!(bridge[flag], true, "{flag}");
    }
    assert_eq!(
        bridge["ipam"],
        json!({ "type": "host-local", "subnet": "10.61.0.0/16" })
    );
    assert_eq!(bridge["capabilities"], json!({ "ips": true, "mac": true }));
    assert_eq!(host.sh(&format!("stat -c %a {FILE}")).ok()?, "644");

    let address = vm.address()?;
    assert!(address.starts_with("10.61."), "{address}");
    assert!(
        vm.exec(&["ip", "-4", "-o", "address"])
            .ok()?
            .contains(&format!("{address}/16"))
    );
    assert!(
        vm.exec(&["ip", "route"])
            .ok()?
            .contains("default via 10.61.0.1")
    );
    assert!(host.ignite(["ps"]).ok()?.contains(&address));
    assert_eq!(
        host.get(&format!("{address}:80"))?,
        format!("{} 80 10.61.0.1", vm.hostname()?)
    );

    // The sandbox is where `ip netns` shows it, and bears the container's id.
    assert!(
        host.sh("ip netns")
            .ok()?
            .contains(&format!("ignite-{}", vm.uid))
    );
    host.ignite(["rm", "-f", "web"]).ok()?;
    nothing_left(&host)
}

#[test]
fn a_host_with_a_network_keeps_it_and_nothing_is_written() -> Result<()> {
    let host = Host::new("alpha")?;
    let network = json!({
        "cniVersion": "0.4.0", "name": "theirs", "plugins": [{
            "type": "bridge", "bridge": "theirs0", "isGateway": true, "ipMasq": true,
            "ipam": { "type": "host-local", "subnet": "10.88.0.0/24", "routes": [{ "dst": "0.0.0.0/0" }] },
        }],
    });
    host.write("/etc/cni/net.d/50-theirs.conflist", network.to_string())?;
    let vm = Vm::run(&host, &[])?;
    let address = vm.address()?;
    assert!(address.starts_with("10.88.0."), "{address}");
    assert_eq!(host.sh("ls /etc/cni/net.d").ok()?, "50-theirs.conflist");
    assert_eq!(
        host.get(&format!("{address}:80"))?,
        format!("{} 80 10.88.0.1", vm.hostname()?)
    );
    vm.verb("stop")?;
    vm.verb("rm")
}

#[test]
fn a_named_network_is_taken_whatever_else_is_there() -> Result<()> {
    let host = Host::new("alpha")?;
    let network = |name: &str, bridge: &str, subnet: &str| {
        json!({
            "cniVersion": "1.0.0", "name": name, "plugins": [{
                "type": "bridge", "bridge": bridge, "isGateway": true,
                "ipam": { "type": "host-local", "subnet": subnet },
            }],
        })
        .to_string()
    };
    host.write(
        "/etc/cni/net.d/10-first.conflist",
        network("first", "one0", "10.71.0.0/24"),
    )?;
    host.write(
        "/etc/cni/net.d/20-second.conflist",
        network("second", "two0", "10.72.0.0/24"),
    )?;
    let vm = Vm::run(&host, &["--network", "second"])?;
    assert!(vm.address()?.starts_with("10.72.0."));
    Ok(())
}

#[test]
fn addresses_macs_and_names_are_kept_over_stop_and_start() -> Result<()> {
    let host = Host::new("alpha")?;
    // The first address is another's, so that "the same" is not "the lowest".
    let other = Vm::run(&host, &[])?;
    let vm = Vm::run(&host, &[])?;
    let mac = || vm.exec(&["cat", "/sys/class/net/eth0/address"]).ok();
    let before = (vm.address()?, mac()?, vm.hostname()?);
    vm.verb("stop")?;
    other.verb("kill")?;
    other.verb("rm")?;
    vm.verb("start")?;
    wait_until("its service", SOON, || {
        host.get(&format!("{}:80", before.0))
    })?;
    assert_eq!((vm.address()?, mac()?, vm.hostname()?), before);
    Ok(())
}
