//! A host that loses all but its disk: VMs that ran are stopped, and start again
//! with the MAC and the address they had.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::host::halting::HALT_AT;
use ignite_testkit::{Host, wait_until};
use serde_json::Value;

use super::{Scene, create, state, steps};
use crate::support::{SOON, Vm, nothing_left};

#[test]
fn vms_come_back_after_a_reboot() -> Result<()> {
    let scene = Scene::new()?;
    let host = &scene.host;
    // One runs, one has run, one is cut off while it is attached.
    let running = create(host, &["-p", "8080:80"])?.ok()?;
    host.ignite(["start", &running]).ok()?;
    let stopped = create(host, &["-p", "8081:80"])?.ok()?;
    host.ignite(["start", &stopped]).ok()?;
    let before = [interface(host, &running)?, interface(host, &stopped)?];
    host.ignite(["stop", &stopped]).ok()?;
    let cut_off = create(host, &["-p", "8082:80"])?.ok()?;
    let _start = host
        .ignite(["start", &cut_off])
        .env(HALT_AT, "add.answered:2")
        .start()?;
    steps::halted(host, "add.answered:2")?;

    host.reboot()?;
    let told = |uid: &str| -> Result<String> { state(host, uid)?.context("it is gone") };
    assert_eq!(told(&running)?, "stopped");
    assert_eq!(told(&stopped)?, "stopped");
    assert_eq!(told(&cut_off)?, "created");
    for uid in [&stopped, &running, &cut_off] {
        host.ignite(["start", uid]).ok()?;
        host.ignite(["exec", uid, "--", "true"]).ok()?;
    }
    let after = [interface(host, &running)?, interface(host, &stopped)?];
    assert_eq!(before, after);
    host.ignite(["rm", "-f", &running, &stopped, &cut_off])
        .ok()?;
    scene.nothing_left()
}

#[test]
fn a_guest_is_reached_again_after_a_reboot() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["-p", "8080:80"])?;
    let before = interface(&host, &vm.uid)?;
    vm.exec(&["sh", "-c", "echo data > /data; sync"]).ok()?;
    host.reboot()?;
    host.sh("ip link set lo up").ok()?;
    assert_eq!(
        (vm.status("state")?, vm.status("end")?),
        ("stopped".into(), "lost".into())
    );
    vm.verb("start")?;
    vm.serving()?;
    assert_eq!(interface(&host, &vm.uid)?, before);
    let addresses = vm.exec(&["ip", "addr", "show", "eth0"]).ok()?;
    ensure!(
        addresses.contains(&before.0) && addresses.contains(&before.1),
        "{addresses}"
    );
    assert_eq!(vm.exec(&["cat", "/data"]).ok()?, "data");
    wait_until("the port", SOON, || host.get("127.0.0.1:8080"))?;
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    nothing_left(&host)
}

/// MAC and address of a VM's first interface, as its network gave them.
pub fn interface(host: &Host, uid: &str) -> Result<(String, String)> {
    let text = host.read(&format!("/var/lib/ignite/vm/{uid}/network.json"))?;
    let record: Value = serde_json::from_str(&text)?;
    let made = &record["attachments"][0];
    let address = made["addresses"][0].as_str().context("no address")?;
    let mac = made["mac"].as_str().context("no MAC")?;
    let address = address.split('/').next().unwrap_or(address);
    Ok((mac.to_owned(), address.to_owned()))
}
