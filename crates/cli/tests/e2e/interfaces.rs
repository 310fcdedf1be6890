//! VMs on several networks, and on networks of both address families.

use anyhow::Result;
use ignite_testkit::Host;
use serde_json::{Value, json};

use crate::support::{Vm, nothing_left_but, two_hosts};

/// A name server nobody asks.
const SERVER: &str = "192.0.2.53";

fn bridge(host: &Host, file: &str, name: &str, ipam: Value) -> Result<()> {
    let plugin = json!({
        "type": "bridge", "bridge": format!("{name}0"), "isGateway": true, "ipMasq": true, "ipam": ipam,
        "capabilities": { "ips": true, "mac": true },
        "dns": { "nameservers": [SERVER], "search": [format!("{name}.example")] },
    });
    let list = json!({ "cniVersion": "1.0.0", "name": name, "plugins": [plugin] });
    host.write(&format!("/etc/cni/net.d/{file}"), list.to_string())
}

fn get(vm: &Vm<'_>, server: &str) -> Result<String> {
    vm.exec(&["testkit-helper", "get", server]).ok()
}

#[test]
fn two_networks_on_one_vm() -> Result<()> {
    let host = Host::new("alpha")?;
    let range = |subnet: &str| {
        json!({
            "type": "host-local", "ranges": [[{ "subnet": subnet }]],
            "routes": [{ "dst": "0.0.0.0/0" }],
        })
    };
    bridge(&host, "10-front.conflist", "front", range("10.71.0.0/24"))?;
    bridge(&host, "20-back.conflist", "back", range("10.72.0.0/24"))?;
    // Nobody asks for it, neither here nor, as a link, in a sandbox.
    bridge(&host, "30-idle.conflist", "idle", range("10.74.0.0/24"))?;
    let both = |last: &str| {
        [
            "--network".to_owned(),
            format!("front:ip=10.71.0.{last}"),
            "--network".to_owned(),
            format!("back:ip=10.72.0.{last}/24,mac=02:00:00:00:72:{last},ifname=data"),
            "--network".to_owned(),
            format!("front:ip=10.71.0.2{last}"),
        ]
    };
    let (one, two) = (both("11"), both("12"));
    let one = Vm::run(&host, &one.each_ref().map(String::as_str))?;
    let two = Vm::run(&host, &two.each_ref().map(String::as_str))?;
    let (one_name, two_name) = (one.hostname()?, two.hostname()?);

    let sandbox = format!("ignite-{}", one.uid);
    host.sh(&format!(
        "ip -n {sandbox} link add baz type veth peer name baz-peer"
    ))
    .ok()?;
    // What was asked for is there, and nothing else.
    let there = one.exec(&["ls", "/sys/class/net"]).ok()?;
    assert_eq!(there, "data\neth0\neth2\nlo");
    let no_more = one.exec(&["cat", "/sys/class/net/eth3/address"]).output()?;
    assert_eq!(no_more.code, 1, "{no_more}");

    // Each network carries its own traffic, both ways, from the host too.
    assert_eq!(
        get(&one, "10.71.0.12:80")?,
        format!("{two_name} 80 10.71.0.11")
    );
    assert_eq!(
        get(&one, "10.72.0.12:80")?,
        format!("{two_name} 80 10.72.0.11")
    );
    assert_eq!(
        get(&two, "10.72.0.11:80")?,
        format!("{one_name} 80 10.72.0.12")
    );
    assert!(host.get("10.71.0.11:80")?.starts_with(&one_name));
    assert!(host.get("10.72.0.11:80")?.starts_with(&one_name));

    // The second address on one network answers too, whichever interface that is by.
    assert_eq!(
        get(&two, "10.71.0.211:80")?,
        format!("{one_name} 80 10.71.0.12")
    );
    assert!(host.get("10.71.0.211:80")?.starts_with(&one_name));

    // The default route is the first network's; the other waits behind it.
    let routes = one.exec(&["ip", "route"]).ok()?;
    assert!(
        routes.contains("default via 10.71.0.1 dev eth0"),
        "{routes}"
    );
    assert!(
        routes.contains("default via 10.72.0.1 dev data") && routes.contains("metric 100"),
        "{routes}"
    );
    assert_eq!(
        one.exec(&["cat", "/sys/class/net/data/address"]).ok()?,
        "02:00:00:00:72:11"
    );
    let names = one.exec(&["cat", "/etc/resolv.conf"]).ok()?;
    assert_eq!(
        names,
        format!("search front.example back.example\nnameserver {SERVER}")
    );

    let shown = one.inspect()?["status"]["network"].clone();
    assert_eq!(
        shown["ipAddresses"],
        json!(["10.71.0.11", "10.72.0.11", "10.71.0.211"])
    );
    assert_eq!(shown["interfaces"][1]["name"], "data");
    assert_eq!(shown["interfaces"][1]["network"], "back");
    for vm in [one, two] {
        host.ignite(["rm", "-f", &vm.uid]).ok()?;
    }
    nothing_left_but(&host, &["front0", "back0"])
}

#[test]
fn a_dual_stack_bridge() -> Result<()> {
    let (_lan, host, world) = two_hosts()?;
    for (host, address) in [(&host, "fd00:2::1/64"), (&world, "fd00:2::2/64")] {
        host.command(["ip", "address", "add", address, "dev", "eth0", "nodad"])
            .ok()?;
    }
    let _web = world.serve(&[8000])?;
    let ipam = json!({
        "type": "host-local",
        "ranges": [[{ "subnet": "10.73.0.0/24" }], [{ "subnet": "fd00:73::/64" }]],
        "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }],
    });
    bridge(&host, "10-dual.conflist", "dual", ipam)?;
    let one = Vm::run(&host, &["--ip", "10.73.0.50", "--ip", "fd00:73::50"])?;
    let two = Vm::run(&host, &[])?;
    let addresses = |vm: &Vm<'_>| {
        Ok::<_, anyhow::Error>(vm.inspect()?["status"]["network"]["ipAddresses"].clone())
    };
    assert_eq!(addresses(&one)?, json!(["10.73.0.50", "fd00:73::50"]));
    let other = addresses(&two)?[1].as_str().unwrap_or_default().to_owned();
    assert!(other.starts_with("fd00:73::"), "{other}");

    one.exec(&["ping", "-6", "-c", "2", &other]).ok()?;
    two.exec(&["ping", "-6", "-c", "2", "fd00:73::50"]).ok()?;
    one.exec(&["ping", "-6", "-c", "2", "fd00:73::1"]).ok()?;
    host.command(["ping", "-6", "-c", "2", "fd00:73::50"])
        .ok()?;
    let name = two.hostname()?;
    assert_eq!(
        get(&one, &format!("[{other}]:80"))?,
        format!("{name} 80 fd00:73::50")
    );
    assert!(host.get("[fd00:73::50]:80")?.starts_with(&one.hostname()?));
    assert!(host.get("10.73.0.50:80")?.starts_with(&one.hostname()?));
    assert_eq!(get(&one, "[fd00:2::2]:8000")?, "world 8000 fd00:2::1");
    assert_eq!(get(&one, "192.0.2.2:8000")?, "world 8000 192.0.2.1");
    let routes = one.exec(&["ip", "-6", "route"]).ok()?;
    assert!(
        routes.contains("default via fd00:73::1 dev eth0"),
        "{routes}"
    );

    // Both are asked for again.
    let had = addresses(&two)?;
    two.verb("stop")?;
    two.verb("start")?;
    assert_eq!(addresses(&two)?, had);
    Ok(())
}

#[test]
fn an_address_configured_inside_is_used_where_it_is_allowed() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(
        &host,
        &["--network", "ignite-cni-bridge:allow=10.61.9.0/24"],
    )?;
    for address in ["10.61.9.5", "10.61.8.5"] {
        vm.exec(&["ip", "address", "add", address, "dev", "eth0"])
            .ok()?;
    }
    assert!(host.get("10.61.9.5:80")?.starts_with(&vm.hostname()?));
    assert!(host.get("10.61.8.5:80").is_err());
    assert!(host.get(&format!("{}:80", vm.address()?)).is_ok());
    Ok(())
}
