//! `--hostname` and `--add-host`: what a guest is called, and whom it knows by name.

use anyhow::{Result, ensure};
use ignite_testkit::Host;

use crate::support::{Vm, nothing_left};

/// A network that leads nowhere.
const ISLAND: &str = r#"{ "cniVersion": "0.4.0", "name": "island", "plugins": [
    { "type": "bridge", "bridge": "island0", "ipam": { "type": "host-local", "subnet": "10.99.0.0/24" } }
] }"#;

/// What the guest says of itself, and whom it knows.
fn look(vm: &Vm<'_>) -> Result<()> {
    assert_eq!(vm.hostname()?, "Front.example");
    assert_eq!(vm.exec(&["cat", "/etc/hostname"]).ok()?, "Front.example");
    let hosts = vm.exec(&["cat", "/etc/hosts"]).ok()?;
    let own = format!("{}\tFront.example\n", vm.address()?);
    for line in [
        &own,
        "10.9.9.9\tdb cache\n",
        "fd00::9\tsix\n",
        "10.61.0.1\tgate",
    ] {
        ensure!(hosts.contains(line), "{line:?} is not in {hosts}");
    }
    // The gateway of the default network is the host. (A static BusyBox looks no names up.)
    vm.exec(&["ping", "-c", "1", "10.61.0.1"]).ok().map(drop)
}

#[test]
fn a_guest_has_its_host_name_and_further_hosts_for_life() -> Result<()> {
    let host = Host::new("alpha")?;
    let options = [
        "--name",
        "web",
        "--hostname",
        "Front.example",
        "--add-host",
        "db:10.9.9.9",
        "--add-host",
        "six=[fd00::9]",
        "--add-host",
        "gate:host-gateway",
        "--add-host",
        "cache:10.9.9.9",
    ];
    let vm = Vm::run(&host, &options)?;
    look(&vm)?;
    let template = "{{.Spec.Hostname}} {{.Spec.ExtraHosts}}";
    let shown = host.ignite(["inspect", "vm", "web", "-t", template]).ok()?;
    assert_eq!(
        shown,
        "Front.example db:10.9.9.9, six:fd00::9, gate:host-gateway, cache:10.9.9.9"
    );
    vm.verb("stop")?;
    host.ignite(["rename", "web", "other"]).ok()?;
    vm.verb("start")?;
    look(&vm)
}

#[test]
fn what_is_no_host_is_refused() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    host.write("/etc/cni/net.d/20-island.conflist", ISLAND)?;
    let create = |flag: &str, value: &str| host.ignite(["create", flag, value, "busy"]).output();
    let long = "a".repeat(64);
    for name in ["", "a b", "-x", "a\nb", "a#", "x\u{1b}[2J", &long] {
        create("--hostname", name)?.refused(2, &["host name"])?;
    }
    // More than a kernel keeps.
    create("--hostname", &["abcdefghi"; 7].join("."))?.complains(&["spec.hostname", "64"])?;
    for entry in [
        "db",
        "db:",
        "db:nowhere",
        "db:10.0.0.7/8",
        "db:10.0.0.7\n10.0.0.8 bank",
        "a b:::1",
    ] {
        create("--add-host", entry)?.refused(2, &["host"])?;
    }
    let words = [
        "run",
        "--network",
        "island",
        "--add-host",
        "gate:host-gateway",
        "busy",
    ];
    host.ignite(words)
        .output()?
        .refused(1, &["host gate", "gateway", "--add-host gate:ADDRESS"])?;
    host.ignite(["ps", "-aq"])
        .ok()?
        .lines()
        .try_for_each(|uid| host.ignite(["rm", uid]).ok().map(drop))?;
    // The plugin's own bridge, which stays.
    host.sh("ip link del island0").ok()?;
    nothing_left(&host)
}
