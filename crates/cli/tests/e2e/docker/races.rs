//! A container that goes at the worst of moments, and a sandbox looked at
//! before there is a guest. The VMM is the stand-in.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::host::halting::HALT_AT;
use ignite_testkit::host::processes::Process;
use ignite_testkit::{Host, place, wait_until};
use rustix::process::Signal;

use super::{PLUGIN, Stage};
use crate::support::{BOOT, SOON};

fn stopped(host: &Host) -> Result<Process> {
    wait_until("a process to stop", SOON, || {
        let all = host.processes()?;
        let stopped = all.into_iter().find(|process| process.stopped);
        stopped.context("nobody has stopped")
    })
}

#[test]
fn a_container_that_ends_during_a_start_is_the_reason_given() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let stage = Stage::new(&host)?;
    let image = place::image("busy")?;
    let words = ["create", "--memory=128MB", "--name=web", PLUGIN, &image];
    let uid = host.ignite(words).ok()?;
    let container = format!("ignite-{uid}");
    // Before the supervisor knows the container's process; while it makes the tap; and after that.
    for step in ["start.planned", "supervise.begun", "supervise.joined"] {
        let start = host.ignite(["start", "web"]).env(HALT_AT, step).start()?;
        let halted = stopped(&host)?;
        stage.ask(&["rm", "-f", &container])?;
        halted.signal(Signal::CONT);
        start.resume();
        let output = start.wait(BOOT)?;
        let said = [container.as_str(), "has ended", "ignite start web"];
        output.refused(1, &said).context(step)?;
        let shown = host.ignite(["ps", "-a"]).ok()?;
        ensure!(shown.contains("Network lost"), "{step}: {shown}");
        stage.nothing_left_but_records()?;
    }
    host.ignite(["start", "web"]).ok()?;
    host.ignite(["rm", "-f", "web"]).ok()?;
    stage.nothing_left()
}

#[test]
fn nobody_answers_in_the_place_of_a_guest() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let stage = Stage::new(&host)?;
    let image = place::image("busy")?;
    let uid = host
        .ignite(["create", "--memory=128MB", PLUGIN, &image])
        .ok()?;
    let start = host.ignite(["start", &uid]).env(HALT_AT, "attach.recorded");
    let start = start.start()?;
    let halted = stopped(&host)?;
    let format = "{{.NetworkSettings.IPAddress}}";
    let address = stage.ask(&["inspect", "--format", format, &format!("ignite-{uid}")])?;
    let ping = host
        .command(["ping", "-c", "2", "-W", "1", &address])
        .output()?;
    ensure!(ping.code != 0, "somebody answers: {ping}");
    // Not even that it is there: no ARP.
    let neighbour = host.command(["ip", "neighbour", "show", &address]).ok()?;
    ensure!(!neighbour.contains("lladdr"), "{neighbour}");
    halted.signal(Signal::CONT);
    start.resume();
    start.wait(BOOT)?.ok()?;
    host.ignite(["rm", "-f", &uid]).ok()?;
    stage.nothing_left()
}
