//! `update` killed while it gives a VM that runs other rates: what runs and what is recorded are the
//! same after the next command.

use anyhow::{Result, ensure};
use ignite_testkit::Host;
use ignite_testkit::host::halting::HALT_AT;
use rustix::process::Signal;

use super::steps::halted;
use super::{Scene, create};
use crate::support::SOON;

/// Whether the kernel bounds the VM's network.
fn is_bounded(host: &Host, uid: &str) -> Result<bool> {
    let shown = format!("ip netns exec ignite-{uid} tc qdisc show dev tap0");
    Ok(host.sh(&shown).ok()?.contains("tbf"))
}

#[test]
fn rates_that_were_never_recorded_do_not_hold() -> Result<()> {
    let scene = Scene::new()?;
    let host = &scene.host;
    for (step, was_asked) in [("update.intended", false), ("update.answered", true)] {
        let uid = create(host, &[])?.ok()?;
        host.ignite(["start", &uid]).ok()?;
        let update = host.ignite(["update", &uid, "--net-rate", "8Mbit"]);
        let cut_off = update.env(HALT_AT, step).start()?;
        let all = halted(host, step)?;
        let stopped = all.iter().filter(|process| process.stopped);
        stopped.for_each(|process| process.signal(Signal::KILL));
        cut_off.resume();
        cut_off.wait(SOON)?;
        ensure!(
            is_bounded(host, &uid)? == was_asked,
            "killed elsewhere than at {step}"
        );
        let told = host.ignite(["inspect", "vm", &uid]).ok()?;
        ensure!(!told.contains("8Mbit"), "{told}");
        ensure!(
            !is_bounded(host, &uid)?,
            "after {step} it has what is not recorded"
        );
        host.ignite(["rm", "-f", &uid]).ok()?;
        scene.nothing_left()?;
    }
    Ok(())
}
