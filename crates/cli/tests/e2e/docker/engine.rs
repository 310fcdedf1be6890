//! What happens to VMs when Docker, or somebody with Docker's tools, takes the
//! container away.

use std::time::Instant;

use anyhow::{Result, ensure};
use ignite_testkit::{Host, wait_until};
use rustix::process::Signal;

use super::{PLUGIN, Stage, line};
use crate::support::{BOOT, SOON, Vm};

/// The VM was shut down because its network went, and it is said.
fn network_lost(vm: &Vm<'_>) -> Result<()> {
    ensure!(vm.ended()? == "network-lost", "{:#}", vm.inspect()?);
    let message = vm.status("message")?;
    for word in ["Docker container", "ignite start"] {
        ensure!(message.contains(word), "{message}");
    }
    let shown = vm.host.ignite(["ps", "-a"]).ok()?;
    ensure!(shown.contains("Network lost"), "{shown}");
    Ok(())
}

/// It starts again and works.
fn starts_again(vm: &Vm<'_>) -> Result<()> {
    vm.verb("start")?;
    vm.serving()?;
    let answer = vm.host.get(&format!("{}:80", vm.address()?))?;
    ensure!(
        answer.starts_with(&format!("{} 80 ", vm.hostname()?)),
        "{answer}"
    );
    ensure!(line(vm.host, &vm.uid)?["addresses"][0] == vm.address()?.as_str());
    Ok(())
}

#[test]
fn a_container_taken_away_ends_its_vm_by_name() -> Result<()> {
    let host = Host::new("alpha")?;
    let stage = Stage::new(&host)?;
    let vm = stage.run(&["-p", "8080:80"])?;
    for words in [&["rm", "-f"][..], &["stop"], &["restart"]] {
        let container = stage.container(&vm)?;
        stage.ask(&[words, &[&container]].concat())?;
        network_lost(&vm)?;
        stage.nothing_left_but_records()?;
        starts_again(&vm)?;
    }
    // Its image taken away too, and whatever else Docker thinks unused.
    vm.verb("stop")?;
    stage.ask(&["system", "prune", "--all", "--force"])?;
    starts_again(&vm)?;
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    stage.nothing_left()
}

#[test]
fn an_engine_that_crashes_takes_the_vm_along_when_it_is_back() -> Result<()> {
    let host = Host::new("alpha")?;
    let mut stage = Stage::new(&host)?;
    let vm = stage.run(&[])?;
    stage.docker.kill()?;
    let service = format!("{}:80", vm.address()?);
    ensure!(host.get(&service).is_ok(), "the VM went with the engine");
    assert_eq!(host.ignite(["network", "check"]).output()?.code, 0);
    // An engine that comes back ends the containers it finds.
    stage.docker.up()?;
    network_lost(&vm)?;
    stage.nothing_left_but_records()?;
    starts_again(&vm)?;
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    stage.nothing_left()
}

#[test]
fn without_its_engine_a_vm_is_ended_and_given_up_and_finished_later() -> Result<()> {
    let host = Host::new("alpha")?;
    let mut stage = Stage::new(&host)?;
    let [one, two, three] = [stage.run(&[])?, stage.run(&[])?, stage.run(&[])?];
    // One ends while nobody could remove its container, the others with the engine.
    stage.docker.kill()?;
    let stopped = host.ignite(["stop", &one.uid]).deadline(BOOT).output()?;
    let name = format!("ignite-{}", one.uid);
    stopped.refused(1, &[&name, "network gc", "rm -f"])?;
    assert_eq!(one.status("state")?, "stopped");
    stage.docker.up()?;
    stage.docker.stop()?;
    for vm in [&two, &three] {
        network_lost(vm)?;
    }

    // Told what is missing, by each who needs it.
    let start = host.ignite(["start", &one.uid]).deadline(BOOT).output()?;
    start.refused(1, &["docker.sock"])?;
    let image = ignite_testkit::place::image("busy")?;
    let run = Vm::invocation(&host, &[PLUGIN], &image, &[]).output()?;
    run.refused(
        1,
        &[
            "docker.sock",
            "systemctl start docker",
            "--network-plugin cni",
        ],
    )?;
    host.ignite(["rm", &one.uid])
        .output()?
        .refused(1, &["rm -f"])?;
    let gc = host.ignite(["network", "gc"]).output()?;
    ensure!(gc.code == 1 && gc.stderr.contains("docker.sock"), "{gc}");
    // Nobody has to wait for Docker, who does without it.
    host.ignite(["rm", "-f", &one.uid]).ok()?;
    let moved = host.ignite(["start", "--network-plugin=cni", &two.uid]);
    moved.deadline(BOOT).ok()?;
    two.serving()?;

    // Back, all of it is found, and nobody who moved is in the way.
    stage.docker.up()?;
    host.ignite(["network", "gc"]).ok()?;
    let left = stage.ask(&["ps", "-aq", "--filter", "label=ignite.uid"])?;
    ensure!(left.is_empty(), "{left}");
    two.serving()?;
    host.ignite(["rm", "-f", &two.uid]).ok()?;
    stage.nothing_left_but_records()?;
    starts_again(&three)?;
    host.ignite(["rm", "-f", &three.uid]).ok()?;
    stage.nothing_left()
}

#[test]
fn an_engine_that_hangs_holds_nobody_up_for_ever() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let stage = Stage::new(&host)?;
    let image = ignite_testkit::place::image("busy")?;
    let uid = host
        .ignite(["run", "--memory=128MB", PLUGIN, &image])
        .ok()?;
    let engine = host.processes()?;
    let engine = engine.iter().find(|process| process.name() == "dockerd");
    let engine = engine.ok_or_else(|| anyhow::anyhow!("there is no engine"))?;
    engine.signal(Signal::STOP);
    let begun = Instant::now();
    let removed = host.ignite(["rm", "-f", &uid]).deadline(BOOT).output()?;
    let took = begun.elapsed();
    engine.signal(Signal::CONT);
    ensure!(removed.code == 0, "{removed}");
    ensure!(took.as_secs() < 60, "rm took {took:?}");
    wait_until("gc to find the container", SOON, || {
        host.ignite(["network", "gc"]).ok()?;
        stage.nothing_left()
    })
}
