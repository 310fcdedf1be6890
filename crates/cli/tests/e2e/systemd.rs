//! A Debian with systemd: it boots as on any machine, and its own DHCP client
//! finds what the guest was given already.

use std::time::Duration;

use anyhow::{Result, ensure};
use ignite_testkit::{Host, place, wait_until};

use crate::support::{Vm, nothing_left};

/// Much longer than it takes without virtualisation beside another VM's boot.
const UP: Duration = Duration::from_secs(240);

/// Units that may fail, and why.
const KNOWN: &[&str] = &[
    // Name servers come with the guest's configuration; the image has no resolved.
    "systemd-networkd-wait-online.service",
];

#[test]
fn systemd_boots_gets_the_same_address_and_stops_in_order() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run_image(
        &host,
        &["--memory", "256MB", "--cpus", "2", "-p", "8080:80"],
        &place::image("systemd")?,
        &[],
    )?;
    let state = wait_until("systemd", UP, || {
        // It answers once there is something to answer: to be asked again and again takes the
        // processor from what is awaited.
        let answer = vm
            .exec(&["systemctl", "is-system-running", "--wait"])
            .deadline(UP)
            .output()?;
        let state = answer.stdout.trim();
        ensure!(
            state == "running" || state == "degraded",
            "it is {state:?} {:?}",
            answer.stderr
        );
        Ok(state.to_owned())
    })?;
    if state == "degraded" {
        let failed = vm
            .exec(&["systemctl", "--failed", "--plain", "--no-legend"])
            .ok()?;
        for line in failed.lines() {
            assert!(KNOWN.iter().any(|unit| line.contains(unit)), "{failed}");
        }
    }
    let address = vm.address()?;
    let lease = wait_until("the guest's own lease", UP, || {
        vm.exec(&["sh", "-c", "cat /run/systemd/netif/leases/*"])
            .ok()
    })?;
    assert!(lease.contains(&format!("ADDRESS={address}")), "{lease}");
    let addresses = vm
        .exec(&["ip", "-4", "-o", "address", "show", "dev", "eth0"])
        .ok()?;
    assert_eq!(addresses.lines().count(), 1, "{addresses}");
    assert!(addresses.contains(&format!("{address}/16")), "{addresses}");
    let answer = wait_until("its service", UP, || host.get("127.0.0.1:8080"))?;
    assert!(
        answer.starts_with(&format!("{} 80", vm.hostname()?)),
        "{answer}"
    );

    // With much else to do, the machine needs more than the usual time for it.
    host.ignite(["stop", "--time", "150s", &vm.uid])
        .deadline(UP)
        .ok()?;
    assert_eq!(vm.status("end")?, "powered-off");
    vm.verb("start")?;
    let mark = wait_until("the mark", UP, || {
        vm.exec(&["cat", "/var/lib/shutdown-mark"]).ok()
    })?;
    assert_eq!(mark, "in order");
    wait_until("its service", UP, || host.get("127.0.0.1:8080"))?;

    let _ = vm.exec(&["systemctl", "poweroff"]).output();
    wait_until("the guest to power itself off", UP, || {
        let state = vm.status("state")?;
        ensure!(state == "stopped", "it is {state}");
        Ok(())
    })?;
    assert_eq!(vm.status("end")?, "powered-off");
    assert!(host.get("127.0.0.1:8080").is_err());
    vm.verb("rm")?;
    nothing_left(&host)
}
