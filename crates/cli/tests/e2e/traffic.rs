//! Traffic between a VM, its host, other VMs, containers and the world.

use anyhow::{Context as _, Result};
use ignite_testkit::{Host, wait_until};
use serde_json::Value;

use crate::support::{SOON, Vm, two_hosts};

/// A plain network namespace attached to the default network as a container
/// runtime does it: `CNI ADD` of its plugins, one after the other.
fn container(host: &Host, name: &str) -> Result<String> {
    host.command(["ip", "netns", "add", name]).ok()?;
    let file = host.read("/etc/cni/net.d/10-ignite.conflist")?;
    let list: Value = serde_json::from_str(&file)?;
    let mut result = Value::Null;
    for plugin in list["plugins"].as_array().context("a list of plugins")? {
        let mut config = plugin.clone();
        config["name"] = list["name"].clone();
        config["cniVersion"] = list["cniVersion"].clone();
        if !result.is_null() {
            config["prevResult"] = result;
        }
        let kind = plugin["type"].as_str().context("a plugin's type")?;
        let answer = host
            .command([format!("/usr/lib/cni/{kind}")])
            .env("CNI_COMMAND", "ADD")
            .env("CNI_CONTAINERID", name)
            .env("CNI_NETNS", format!("/run/netns/{name}"))
            .env("CNI_IFNAME", "eth0")
            .env("CNI_PATH", "/usr/lib/cni")
            .stdin(config.to_string())
            .ok()?;
        result = serde_json::from_str(&answer)?;
    }
    let address = result["ips"][0]["address"].as_str().context("an address")?;
    Ok(address.split('/').next().unwrap_or(address).to_owned())
}

#[test]
fn host_vms_and_a_container_reach_each_other() -> Result<()> {
    let host = Host::new("alpha")?;
    let (one, two) = (Vm::run(&host, &[])?, Vm::run(&host, &[])?);
    let peer = container(&host, "peer")?;
    let _service = host.serve(&[80])?;
    let in_peer = |words: &[&str]| -> Result<String> {
        let helper = ignite_testkit::place::helper()?.display().to_string();
        host.command(
            ["ip", "netns", "exec", "peer", &helper]
                .iter()
                .chain(words)
                .copied(),
        )
        .ok()
    };
    let (one_address, two_address) = (
        format!("{}:80", one.address()?),
        format!("{}:80", two.address()?),
    );
    let (one_name, two_name) = (one.hostname()?, two.hostname()?);
    assert_ne!(one_name, two_name);

    // From everywhere to the VMs.
    assert!(host.get(&one_address)?.starts_with(&format!("{one_name} ")));
    assert!(host.ask(&two_address)?.starts_with(&format!("{two_name} ")));
    assert_eq!(
        in_peer(&["get", &one_address])?,
        format!("{one_name} 80 {peer}")
    );
    assert_eq!(
        one.exec(&["testkit-helper", "get", &two_address]).ok()?,
        format!("{two_name} 80 {}", one.address()?)
    );
    assert_eq!(
        two.exec(&["testkit-helper", "ask", &one_address]).ok()?,
        format!("{one_name} 80 {}", two.address()?)
    );

    // From a VM to the host and to the container.
    assert_eq!(
        one.exec(&["testkit-helper", "get", "10.61.0.1:80"]).ok()?,
        format!("alpha 80 {}", one.address()?)
    );
    let helper = ignite_testkit::place::helper()?.display().to_string();
    let mut service = host
        .command(["ip", "netns", "exec", "peer", &helper, "serve", "8000"])
        .start()?;
    service.wait_for("serving", SOON)?;
    let answer = two
        .exec(&["testkit-helper", "get", &format!("{peer}:8000")])
        .ok()?;
    assert_eq!(answer, format!("alpha 8000 {}", two.address()?));

    // And by ping, with nobody answering in another's place.
    one.exec(&["ping", "-c", "2", "10.61.0.1"]).ok()?;
    one.exec(&["ping", "-c", "2", &two.address()?]).ok()?;
    host.command(["ping", "-c", "2", &one.address()?]).ok()?;
    two.verb("kill")?;
    assert!(
        host.command([
            "ping",
            "-c",
            "1",
            "-W",
            "2",
            two_address.trim_end_matches(":80")
        ])
        .ok()
        .is_err()
    );
    Ok(())
}

#[test]
fn no_neighbour_sees_the_guests_dhcp() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    container(&host, "peer")?;
    let helper = ignite_testkit::place::helper()?.display().to_string();
    let mut neighbour = host
        .command(["ip", "netns", "exec", "peer", &helper, "sniff"])
        .start()?;
    let mut bridge = host.helper(&["sniff"])?.start()?;
    neighbour.wait_for("sniffing", SOON)?;
    bridge.wait_for("sniffing", SOON)?;

    let said = vm
        .exec(&[
            "sh",
            "-c",
            "udhcpc -i eth0 -f -q -n -t 5 -s /bin/true -O 121 -O 26 -O 12 2>&1",
        ])
        .ok()?;
    let address = vm.address()?;
    assert!(
        said.contains(&format!("lease of {address} obtained")),
        "{said}"
    );

    // The sniffers do see DHCP where there is any: a neighbour's.
    host.sh("ip netns exec peer busybox udhcpc -i eth0 -n -q -t 1 -T 1 -s /bin/true || true")
        .ok()?;
    let own = host
        .sh("ip netns exec peer cat /sys/class/net/eth0/address")
        .ok()?;
    let seen = bridge.wait_for("dhcp", SOON)?;
    assert!(seen.contains(&own), "{seen}");
    let mac = vm.exec(&["cat", "/sys/class/net/eth0/address"]).ok()?;
    assert!(!bridge.said().contains(&mac), "{}", bridge.said());
    assert!(!neighbour.said().contains(&mac), "{}", neighbour.said());
    Ok(())
}

#[test]
fn the_dhcp_server_answers_with_all_a_guest_needs() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["--dns", "192.0.2.53"])?;
    // busybox hands the lease to its script as variables.
    vm.exec(&[
        "sh",
        "-c",
        "printf '#!/bin/sh\\nset > /tmp/lease\\n' > /tmp/s; chmod +x /tmp/s",
    ])
    .ok()?;
    vm.exec(&[
        "udhcpc",
        "-i",
        "eth0",
        "-f",
        "-q",
        "-n",
        "-s",
        "/tmp/s",
        "-O",
        "mtu",
        "-O",
        "staticroutes",
    ])
    .ok()?;
    let lease = vm.exec(&["cat", "/tmp/lease"]).ok()?;
    let hostname = vm.hostname()?;
    for expected in [
        format!("ip='{}'", vm.address()?),
        "subnet='255.255.0.0'".into(),
        "router='10.61.0.1'".into(),
        "dns='192.0.2.53'".into(),
        format!("hostname='{hostname}'"),
        "mtu='1500'".into(),
        "serverid='10.61.0.1'".into(),
        "lease=".into(),
        "staticroutes='0.0.0.0/0 10.61.0.1".into(),
    ] {
        assert!(lease.contains(&expected), "{expected} is not in\n{lease}");
    }
    Ok(())
}

#[test]
fn the_world_sees_the_hosts_address_and_names_resolve() -> Result<()> {
    let (_lan, alpha, world) = two_hosts()?;
    let _web = world.serve(&[8000])?;
    let mut names = world
        .helper(&["dns", "192.0.2.2", "web.example=192.0.2.2"])?
        .start()?;
    names.wait_for("serving", SOON)?;
    let vm = Vm::run(&alpha, &["--dns", "192.0.2.2"])?;
    assert_eq!(
        vm.exec(&["testkit-helper", "get", "192.0.2.2:8000"]).ok()?,
        "world 8000 192.0.2.1"
    );
    assert_eq!(
        vm.exec(&["testkit-helper", "ask", "192.0.2.2:8000"]).ok()?,
        "world 8000 192.0.2.1"
    );
    assert!(
        vm.exec(&["cat", "/etc/resolv.conf"])
            .ok()?
            .contains("nameserver 192.0.2.2")
    );
    let answer = vm.exec(&["nslookup", "web.example"]).ok()?;
    assert!(answer.contains("192.0.2.2"), "{answer}");
    names.wait_for("asked for web.example", SOON)?;
    assert!(vm.exec(&["nslookup", "absent.example"]).ok().is_err());
    Ok(())
}

#[test]
fn without_dns_of_its_own_a_vm_takes_the_hosts() -> Result<()> {
    let host = Host::new("alpha")?;
    host.write(
        "/etc/resolv.conf",
        "nameserver 127.0.0.53\nnameserver 192.0.2.77\nsearch example.org\n",
    )?;
    let vm = Vm::run(&host, &[])?;
    let resolv = vm.exec(&["cat", "/etc/resolv.conf"]).ok()?;
    assert!(
        resolv.contains("nameserver 192.0.2.77") && !resolv.contains("127.0.0.53"),
        "{resolv}"
    );
    assert!(resolv.contains("search example.org"), "{resolv}");
    Ok(())
}

#[test]
fn forwarding_works_with_a_drop_policy() -> Result<()> {
    let (_lan, alpha, world) = two_hosts()?;
    alpha.sh("iptables -P FORWARD DROP").ok()?;
    let _web = world.serve(&[8000])?;
    let (one, two) = (Vm::run(&alpha, &[])?, Vm::run(&alpha, &[])?);
    assert_eq!(
        one.exec(&["testkit-helper", "get", "192.0.2.2:8000"])
            .ok()?,
        "world 8000 192.0.2.1"
    );
    let two_address = format!("{}:80", two.address()?);
    wait_until("the other VM", SOON, || {
        one.exec(&["testkit-helper", "get", &two_address]).ok()
    })?;
    assert_eq!(
        alpha.sh("iptables -S FORWARD | head -n 1").ok()?,
        "-P FORWARD DROP"
    );
    Ok(())
}

#[test]
fn a_hosts_routes_are_not_taken_away() -> Result<()> {
    let host = Host::new("alpha")?;
    host.sh("ip link add lan type bridge; ip link set lan up; ip address add 10.61.7.1/24 dev lan")
        .ok()?;
    let output =
        Vm::invocation(&host, &[], &ignite_testkit::place::image("busy")?, &[]).output()?;
    output.refused(1, &["10.61.7.0/24", "lan", "ignite0"])?;
    assert!(!host.has("/etc/cni/net.d/10-ignite.conflist")?);
    crate::support::nothing_left_but(&host, &["lan"])
}

/// A gateway's own address is no VM's, and is answered by the gateway alone.
#[test]
fn a_silent_sandbox_answers_nothing_itself() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let sandbox = format!("ignite-{}", vm.uid);
    // A service in the sandbox, which has the VM's address, is reached by nobody.
    let helper = ignite_testkit::place::helper()?.display().to_string();
    let mut service = host
        .command(["ip", "netns", "exec", &sandbox, &helper, "serve", "8123"])
        .start()?;
    service.wait_for("serving", SOON)?;
    assert!(host.get(&format!("{}:8123", vm.address()?)).is_err());
    assert!(
        vm.exec(&["testkit-helper", "get", &format!("{}:8123", vm.address()?)])
            .ok()
            .is_err()
    );
    assert_eq!(
        host.sh(&format!(
            "ip netns exec {sandbox} cat /proc/sys/net/ipv4/ip_forward"
        ))
        .ok()?,
        "0"
    );
    // Exactly one answer to an ARP request: the guest's.
    let replies = host
        .sh(&format!(
            "busybox arping -c 3 -w 4 -I ignite0 {} | grep -c 'reply from'",
            vm.address()?
        ))
        .ok()?;
    assert_eq!(replies, "3");
    Ok(())
}
