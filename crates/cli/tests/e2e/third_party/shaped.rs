//! `bridge` with `static`, `tuning` and `bandwidth` behind it.

use std::time::Instant;

use anyhow::Result;
use ignite_testkit::Host;
use serde_json::json;

use super::{Idle, network};
use crate::support::Vm;

/// What the network lets through each way, in bits a second.
const RATE: u32 = 8_000_000;

/// Two seconds of it, in bytes.
const AMOUNT: u32 = RATE / 8 * 2;

/// Transfers on a machine with much to do, of which the fastest one counts.
const TRIES: u32 = 5;

/// Bits a second of a transfer, by the host's clock: a guest's stands still now and then on a machine
/// with much to do. None is faster than the network lets it be, and one comes near to that.
fn rate(transfer: impl Fn() -> Result<String>) -> Result<f64> {
    let mut fastest = 0.0_f64;
    for _ in 0..TRIES {
        let begun = Instant::now();
        transfer()?;
        fastest = fastest.max(f64::from(AMOUNT) * 8.0 / begun.elapsed().as_secs_f64());
        if fastest >= f64::from(RATE) / 1.5 {
            break;
        }
    }
    Ok(fastest)
}

#[test]
fn what_plugins_behind_a_bridge_say_holds() -> Result<()> {
    let host = Host::new("alpha")?;
    let plugins = json!([
        {
            "type": "bridge", "bridge": "shaped0", "isGateway": true,
            "ipam": {
                "type": "static",
                "addresses": [{ "address": "10.82.0.9/24", "gateway": "10.82.0.1" }],
                "routes": [{ "dst": "0.0.0.0/0" }],
            },
            "dns": { "nameservers": ["192.0.2.53"], "search": ["site.example"] },
        },
        {
            "type": "tuning", "mtu": 1300, "capabilities": { "mac": true },
            "sysctl": { "net.ipv4.conf.IFNAME.arp_filter": "1" },
        },
        {
            "type": "bandwidth",
            "ingressRate": RATE, "ingressBurst": 262_144, "egressRate": RATE, "egressBurst": 262_144,
        },
    ]);
    network(&host, "10-shaped.conflist", "shaped", "1.0.0", &plugins)?;
    let idle = Idle::after_use_of(&host, &["shaped"])?;
    let mac = "02:00:00:00:00:82";
    let vm = Vm::run(&host, &["--mac", mac])?;
    assert_eq!(vm.address()?, "10.82.0.9");
    assert!(host.get("10.82.0.9:80")?.starts_with(&vm.hostname()?));
    let names = vm.exec(&["cat", "/etc/resolv.conf"]).ok()?;
    assert_eq!(names, "search site.example\nnameserver 192.0.2.53");

    // Of `tuning`, the guest has what is its interface's; a sysctl is the sandbox's.
    let of_eth0 = "cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu";
    assert_eq!(
        vm.exec(&["sh", "-c", of_eth0]).ok()?,
        format!("{mac}\n1300")
    );
    let sandbox = format!(
        "ip netns exec ignite-{} cat /proc/sys/net/ipv4/conf/eth0/arp_filter",
        vm.uid
    );
    assert_eq!(host.sh(&sandbox).ok()?, "1");

    // Each end fetches a file from the other.
    let offer = format!("mkdir /run/www; head -c {AMOUNT} /dev/zero > /run/www/data");
    let fetch = |server: &str| format!("busybox wget -q -O /dev/null http://{server}:5000/data");
    host.sh(&offer).ok()?;
    vm.exec(&["sh", "-c", &format!("{offer}; httpd -p 5000 -h /run/www")])
        .ok()?;
    let _server = host
        .sh("exec busybox httpd -f -p 5000 -h /run/www")
        .start()?;
    let from_host = fetch("10.82.0.1");
    vm.wait_exec("the host's server", &["sh", "-c", &from_host])?;
    let ingress = rate(|| vm.exec(&["sh", "-c", &from_host]).ok())?;
    let egress = rate(|| host.sh(&fetch("10.82.0.9")).ok())?;
    println!("{RATE} bit/s configured, {ingress:.0} in, {egress:.0} out");
    for measured in [ingress, egress] {
        let factor = measured / f64::from(RATE);
        assert!((1.0 / 1.5..1.5).contains(&factor), "{measured} bit/s");
    }

    idle.again_without(&[&vm.uid])
}
