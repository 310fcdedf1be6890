//! `ptp`: every VM has a link of its own to the host, which routes.

use anyhow::Result;
use serde_json::json;

use super::{Idle, network};
use crate::support::{Vm, two_hosts};

#[test]
fn the_host_routes_between_vms() -> Result<()> {
    let (_lan, alpha, world) = two_hosts()?;
    let plugins = json!([
        {
            "type": "ptp", "ipMasq": true, "mtu": 1400,
            "ipam": { "type": "host-local", "subnet": "10.81.0.0/24", "routes": [{ "dst": "0.0.0.0/0" }] },
            "dns": { "nameservers": ["192.0.2.53"] },
        },
        { "type": "portmap", "capabilities": { "portMappings": true } },
        { "type": "firewall" },
    ]);
    network(&alpha, "10-links.conflist", "links", "1.0.0", &plugins)?;
    let idle = Idle::after_use_of(&alpha, &["links"])?;
    let _web = world.serve(&[8000])?;
    let one = Vm::run(&alpha, &["-p", "8080:80"])?;
    let two = Vm::run(&alpha, &["--ip", "10.81.0.77"])?;
    let (one_name, two_name) = (one.hostname()?, two.hostname()?);
    let one_address = one.address()?;
    assert_eq!(two.address()?, "10.81.0.77");

    // To the host, each other and the world; and from them.
    let get = |vm: &Vm<'_>, server: &str| vm.exec(&["testkit-helper", "get", server]).ok();
    one.exec(&["ping", "-c", "1", "-W", "2", "10.81.0.1"])
        .ok()?;
    assert_eq!(
        get(&one, "10.81.0.77:80")?,
        format!("{two_name} 80 {one_address}")
    );
    assert_eq!(
        get(&two, &format!("{one_address}:80"))?,
        format!("{one_name} 80 10.81.0.77")
    );
    assert_eq!(get(&one, "192.0.2.2:8000")?, "world 8000 192.0.2.1");
    assert!(alpha.get("10.81.0.77:80")?.starts_with(&two_name));
    assert!(world.get("192.0.2.1:8080")?.starts_with(&one_name));

    assert_eq!(one.exec(&["cat", "/sys/class/net/eth0/mtu"]).ok()?, "1400");
    let listed = alpha.ignite(["ps"]).ok()?;
    assert!(
        listed.contains(&one_address) && listed.contains("10.81.0.77"),
        "{listed}"
    );
    idle.again_without(&[&one.uid, &two.uid])
}
