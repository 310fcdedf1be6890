//! Every process of a start and of a stop killed at the steps that Docker's
//! bridge adds: the next command works, and nothing is left. The VMM is the
//! stand-in.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use ignite_host::step::Step;
use ignite_testkit::host::halting::HALT_AT;
use ignite_testkit::{Host, Running, place, wait_until};
use rustix::process::Signal;

use super::{PLUGIN, Stage};
use crate::support::{BOOT, SOON};

/// Steps that only this plugin has.
pub(crate) const OWN: [Step; 3] = [
    Step::HolderCreated,
    Step::HolderStarted,
    Step::HolderRemoved,
];

/// In a start, from the intent on.
const STARTING: [&str; 8] = [
    "start.reserved",
    "attach.intended",
    "holder.created",
    "holder.started",
    "sandbox.made",
    "sandbox.silent",
    "attach.recorded",
    "supervise.begun",
];

/// In an end.
const ENDING: [&str; 5] = [
    "supervise.stopped",
    "release.intended",
    "holder.removed",
    "release.cleared",
    "release.unnamed",
];

/// Kills whatever has stopped itself at the step; fails if nothing does.
fn kill_at(host: &Host, step: &str) -> Result<()> {
    wait_until(step, SOON, || {
        let all = host.processes()?;
        let Some(stopped) = all.iter().find(|process| process.stopped) else {
            bail!("nobody gets to {step}");
        };
        stopped.signal(Signal::KILL);
        Ok(())
    })
}

fn over(command: Running) -> Result<()> {
    command.resume();
    command.wait(BOOT).map(drop)
}

/// The VM runs at the end, whatever it is in the middle of; then it is removed.
fn goes_on(stage: &Stage<'_>, uid: &str) -> Result<()> {
    let started = stage.host.ignite(["start", uid]).output()?;
    ensure!(
        started.code == 0 || started.stderr.contains("is running"),
        "it cannot be started: {started}"
    );
    wait_until("the VM to run", Duration::from_secs(10), || {
        stage.host.ignite(["exec", uid, "--", "true"]).ok()
    })?;
    stage.host.ignite(["rm", "-f", uid]).ok()?;
    stage.nothing_left()
}

#[test]
fn killed_at_any_step_the_next_command_works() -> Result<()> {
    for step in OWN.map(Step::name) {
        let is_there = STARTING.contains(&step) || ENDING.contains(&step);
        ensure!(is_there, "no process is killed at {step}");
    }
    let host = Host::with_stand_in("alpha")?;
    let stage = Stage::new(&host)?;
    let image = place::image("busy")?;
    for (index, step) in STARTING.into_iter().chain(ENDING).enumerate() {
        let words = ["create", "--memory=128MB", "-p=8080:80", PLUGIN, &image];
        let uid = host.ignite(words).ok()?;
        let start = host.ignite(["start", &uid]).env(HALT_AT, step).start()?;
        if index < STARTING.len() {
            kill_at(&host, step)?;
            over(start)?;
        } else {
            start.wait(BOOT)?.ok()?;
            let stop = host.ignite(["stop", &uid]).start()?;
            kill_at(&host, step)?;
            over(stop)?;
        }
        goes_on(&stage, &uid).with_context(|| format!("killed at {step}"))?;
    }
    Ok(())
}

#[test]
fn a_container_nobody_knows_of_is_collected() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let stage = Stage::new(&host)?;
    let image = place::image("busy")?;
    let uid = host
        .ignite(["run", "--memory=128MB", PLUGIN, &image])
        .ok()?;
    // Its records are lost, as by a disk that was exchanged.
    host.sh(&format!(
        "pkill -KILL ignite-spawn; rm -r /var/lib/ignite/vm/{uid} /run/ignite/vm/{uid}"
    ))
    .ok()?;
    let found = wait_until("the VM to end", SOON, || {
        let found = host.ignite(["network", "gc", "--dry-run"]).ok()?;
        ensure!(found.contains("container"), "{found}");
        Ok(found)
    })?;
    ensure!(found.contains(&format!("ignite-{uid}")), "{found}");
    host.ignite(["network", "gc"]).ok()?;
    stage.nothing_left()
}

#[test]
fn a_container_that_an_earlier_start_left_is_replaced() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let stage = Stage::new(&host)?;
    stage.peer("peer")?;
    let image = place::image("busy")?;
    let uid = host
        .ignite(["create", "--memory=128MB", PLUGIN, &image])
        .ok()?;
    // As if Docker had made it after whoever asked for it was killed, and repaired after.
    let (name, label) = (format!("ignite-{uid}"), format!("--label=ignite.uid={uid}"));
    let data = "--label=ignite.data-id=0123456789abcdef";
    host.write("/var/lib/ignite/identity", "0123456789abcdef")?;
    let words = ["create", "--name", &name, &label, data, "busy", "true"];
    let left = stage.ask(&words)?;
    host.ignite(["start", &uid]).ok()?;
    let now = stage.ask(&["inspect", "--format={{.Id}} {{.State.Running}}", &name])?;
    ensure!(!now.contains(&left) && now.ends_with("true"), "{now}");
    host.ignite(["rm", "-f", &uid]).ok()?;
    stage.ask(&["rm", "-f", "peer"])?;
    stage.nothing_left()
}
