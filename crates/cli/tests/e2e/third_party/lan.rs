//! `macvlan`: VMs on the LAN of the host, with addresses of a range of it or from
//! its DHCP server.

use anyhow::Result;
use ignite_testkit::{Host, Running};
use serde_json::{Value, json};

use super::{Idle, network};
use crate::support::{SOON, Vm, two_hosts};

/// Short enough to see it renewed.
const LEASE_SECONDS: u32 = 20;

/// A DHCP server of the LAN.
fn dhcp_server(host: &Host) -> Result<Running> {
    let configuration = format!(
        "interface eth0\nstart 192.0.2.100\nend 192.0.2.109\nmax_leases 10\nauto_time 0\n\
         lease_file /run/leases\npidfile /run/udhcpd.pid\n\
         option subnet 255.255.255.0\noption router 192.0.2.2\noption lease {LEASE_SECONDS}\n"
    );
    host.write("/etc/udhcpd.conf", configuration)?;
    host.sh("touch /run/leases; exec busybox udhcpd -f /etc/udhcpd.conf 2>&1")
        .start()
}

/// The daemon of the plugin `dhcp`, which keeps leases.
fn dhcp_daemon(host: &Host) -> Result<Running> {
    let daemon = host
        .sh("mkdir -p /run/cni; exec /usr/lib/cni/dhcp daemon 2>&1")
        .start()?;
    ignite_testkit::wait_until("the daemon's socket", SOON, || {
        host.sh("test -S /run/cni/dhcp.sock").ok()
    })?;
    Ok(daemon)
}

/// How long each lease is still good for, as the server says.
fn leases(server: &Host) -> Result<Vec<String>> {
    server
        .sh("kill -USR1 $(cat /run/udhcpd.pid); sleep 0.2")
        .ok()?;
    let listed = server.sh("busybox dumpleases -f /run/leases").ok()?;
    let last = |line: &str| {
        line.split_whitespace()
            .last()
            .unwrap_or_default()
            .to_owned()
    };
    Ok(listed.lines().skip(1).map(last).collect())
}

fn macvlan(ipam: Value) -> Value {
    json!([{ "type": "macvlan", "master": "eth0", "mode": "bridge", "ipam": ipam }])
}

#[test]
fn vms_on_the_lan_of_another_host() -> Result<()> {
    let (_lan, alpha, world) = two_hosts()?;
    let mut server = dhcp_server(&world)?;
    let mut daemon = dhcp_daemon(&alpha)?;
    network(
        &alpha,
        "10-lan.conflist",
        "lan",
        "1.0.0",
        &macvlan(json!({ "type": "dhcp" })),
    )?;
    let range = json!({
        "type": "host-local", "routes": [{ "dst": "0.0.0.0/0" }],
        "ranges": [[{
            "subnet": "192.0.2.0/24", "gateway": "192.0.2.2",
            "rangeStart": "192.0.2.200", "rangeEnd": "192.0.2.209",
        }]],
    });
    network(
        &alpha,
        "20-range.conflist",
        "range",
        "1.0.0",
        &macvlan(range),
    )?;
    let idle = Idle::after_use_of(&alpha, &["lan", "range"])?;
    assert_eq!(leases(&world)?, ["expired"]);

    let _web = world.serve(&[8000])?;
    let leased = Vm::run(&alpha, &[])?;
    let ranged = Vm::run(&alpha, &["--network", "range:ip=192.0.2.205"])?;
    let address = leased.address()?;
    assert!(address.starts_with("192.0.2.10"), "{address}");
    assert_eq!(ranged.address()?, "192.0.2.205");
    let (leased_name, ranged_name) = (leased.hostname()?, ranged.hostname()?);

    // With the LAN and with each other, both ways, under their own addresses and MACs.
    let get = |vm: &Vm<'_>, server: &str| vm.exec(&["testkit-helper", "get", server]).ok();
    assert_eq!(
        get(&leased, "192.0.2.2:8000")?,
        format!("world 8000 {address}")
    );
    assert_eq!(get(&ranged, "192.0.2.2:8000")?, "world 8000 192.0.2.205");
    let of_leased = format!("{address}:80");
    assert_eq!(
        world.get(&of_leased)?,
        format!("{leased_name} 80 192.0.2.2")
    );
    assert_eq!(
        get(&ranged, &of_leased)?,
        format!("{leased_name} 80 192.0.2.205")
    );
    assert_eq!(
        get(&leased, "192.0.2.205:80")?,
        format!("{ranged_name} 80 {address}")
    );
    let mac = leased.exec(&["cat", "/sys/class/net/eth0/address"]).ok()?;
    assert_eq!(
        leased.inspect()?["status"]["network"]["interfaces"][0]["mac"],
        mac
    );
    let neighbours = world.sh("ip neighbour").ok()?;
    assert!(
        neighbours.contains(&format!("{address} dev eth0 lladdr {mac}")),
        "{neighbours}"
    );
    let routes = leased.exec(&["ip", "route"]).ok()?;
    assert!(routes.contains("default via 192.0.2.2"), "{routes}");
    // A macvlan never talks with the interface it is on.
    assert!(alpha.get(&of_leased).is_err());

    // The daemon renews the lease while the guest has the interface, and is heard.
    let renewed = format!("sending ACK to {address}");
    for _at_first_and_again in 0..3 {
        server.wait_for(&renewed, SOON)?;
    }
    let said = daemon.said().to_owned();
    assert!(
        said.contains("renewing lease") && !said.contains("no DHCP packet"),
        "{said}"
    );
    assert_eq!(
        world.get(&of_leased)?,
        format!("{leased_name} 80 192.0.2.2")
    );

    // The server knows it again.
    leased.verb("stop")?;
    assert_eq!(leases(&world)?, ["expired", "expired"]);
    leased.verb("start")?;
    assert_eq!(leased.address()?, address);
    leased.serving()?;
    assert_eq!(
        world.get(&of_leased)?,
        format!("{leased_name} 80 192.0.2.2")
    );

    idle.again_without(&[&leased.uid, &ranged.uid])?;
    // Released, not just no longer renewed.
    assert_eq!(leases(&world)?, ["expired", "expired"]);
    Ok(())
}
