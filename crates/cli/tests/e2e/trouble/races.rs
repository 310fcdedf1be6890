//! Commands that want the same thing at the same time.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, Output, boot, place, wait_until};
use rustix::process::Signal;

use super::gate::{self, Gate};
use crate::support::{BOOT, SOON, Vm, nothing_left};

const PORT: [&str; 2] = ["-p", "8080:80"];

/// A VM that is not started.
fn create<'h>(host: &'h Host, options: &[&str]) -> Result<Vm<'h>> {
    let image = place::image("busy")?;
    let mut words = vec!["create", "--memory", crate::support::SMALL];
    words.extend(options);
    words.push(&image);
    let uid = host.ignite(words).ok()?;
    Ok(Vm { host, uid })
}

#[test]
fn of_many_who_want_a_port_one_has_it() -> Result<()> {
    let host = Host::new("alpha")?;
    gate::install(&host)?;
    let _slot = boot::slot()?;
    let image = place::image("busy")?;
    let vms: Vec<Vm<'_>> = (0..3)
        .map(|_| create(&host, &PORT))
        .collect::<Result<_>>()?;
    let gate = Gate::close(&host, "bridge-ADD-before")?;
    let start = |vm: &Vm<'_>| host.ignite(["start", &vm.uid]).start();
    let run = |name| Vm::invocation(&host, &["--name", name, "-p", "8080:80"], &image, &[]);
    // Lined up, so that none comes late.
    let mut line = host
        .sh("mkdir -p /run/ignite; exec flock /run/ignite/ports.lock sh -c 'echo held; cat'")
        .start()?;
    line.wait_for("held", SOON)?;
    let mut commands = vms.iter().map(start).collect::<Result<Vec<_>>>()?;
    commands.push(run("runs").start()?);
    gate::waiting(&host, commands.len())?;
    drop(line.take_stdin());

    // One is on its way: whoever comes now is told, though nothing listens yet.
    gate.reached()?;
    run("late")
        .output()?
        .refused(1, &["8080", "published by VM"])?;
    gate.open()?;

    let ended: Vec<Output> = commands
        .into_iter()
        .map(|command| command.wait(BOOT))
        .collect::<Result<_>>()?;
    let (won, lost): (Vec<_>, Vec<_>) = ended.into_iter().partition(|output| output.code == 0);
    ensure!(won.len() == 1, "they won: {won:?}");
    for output in lost {
        output.refused(1, &["8080", "published by VM"])?;
    }
    let uid = won[0].stdout.trim().to_owned();
    let winner = Vm { host: &host, uid };
    let name = winner.hostname()?;
    let answer = wait_until("the winner's service", SOON, || host.get("127.0.0.1:8080"))?;
    ensure!(answer.starts_with(&name), "{answer}, not {name}");

    host.ignite(["rm", "-f", &winner.uid]).ok()?;
    for loser in vms.iter().filter(|vm| vm.uid != winner.uid) {
        assert_eq!(loser.status("state")?, "created");
        host.ignite(["rm", &loser.uid]).ok()?;
    }
    assert_eq!(
        host.ignite(["ps", "-a", "-q"]).ok()?,
        "",
        "run undid itself"
    );
    nothing_left(&host)
}

#[test]
fn a_slow_release_is_waited_for() -> Result<()> {
    let host = Host::new("alpha")?;
    gate::install(&host)?;
    let vm = Vm::run(&host, &PORT)?;
    let address = vm.address()?;
    let gate = Gate::close(&host, "portmap-DEL-before")?;
    let kill = host.ignite(["kill", &vm.uid]).start()?;
    gate.reached()?;

    // Its end is known, while its network still goes.
    assert_eq!(vm.status("end")?, "killed");
    let _slot = boot::slot()?;
    let start = host.ignite(["start", &vm.uid]).start()?;
    // The supervisor's release has the lock, the other two wait for it.
    gate::waiting(&host, 2)?;
    host.ignite(["ps", "-a"])
        .deadline(Duration::from_secs(5))
        .ok()?;
    gate.open()?;
    for command in [kill, start] {
        command.wait(BOOT)?.ok()?;
    }
    vm.serving().context("started after its release")?;
    assert_eq!(vm.address()?, address, "the address it had");
    wait_until("the port", SOON, || host.get("127.0.0.1:8080"))?;
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    nothing_left(&host)
}

#[test]
fn what_a_killed_gc_began_is_waited_for() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    gate::install(&host)?;
    let vm = create(&host, &[])?;
    for verb in ["start", "stop"] {
        host.ignite([verb, &vm.uid]).ok()?;
    }
    // An attachment the VM's record knows nothing of.
    host.sh("ip netns add stray").ok()?;
    host.ignite(["cni", "add", "ignite-cni-bridge", "/run/netns/stray"])
        .env("CNI_CONTAINERID", format!("ignite-{}", vm.uid))
        .ok()?;
    let gate = Gate::close(&host, "bridge-DEL-before")?;
    let gc = host.ignite(["network", "gc"]).start()?;
    gate.reached()?;
    gc.signal_alone(Signal::KILL)?;
    gc.wait(SOON)?;

    let start = host.ignite(["start", &vm.uid]).start()?;
    gate::waiting(&host, 1)?;
    gate.open()?;
    start.wait(BOOT)?.ok()?;
    host.ignite(["network", "check", &vm.uid]).ok()?;
    host.sh("ip netns del stray").ok()?;
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    nothing_left(&host)
}
