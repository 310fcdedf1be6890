//! Commands and supervisors that are killed where it hurts; the next command repairs.

use anyhow::{Result, ensure};
use ignite_testkit::{Host, Running, boot, place, vmm, wait_until};
use rustix::process::Signal;

use super::gate::{self, Gate};
use crate::support::{BOOT, SOON, Vm, nothing_left};

/// A `run` that stands at a gate, and the VM's name.
fn run_to(host: &Host, gate: &Gate<'_>) -> Result<Running> {
    let options = ["--name", "victim", "-p", "8080:80"];
    let run = Vm::invocation(host, &options, &place::image("busy")?, &[]).start()?;
    gate.reached()?;
    Ok(run)
}

/// Kills the supervisor of the only VM, and sees the VMM die with it.
fn kill_supervisor(host: &Host) -> Result<()> {
    host.sh("pkill -KILL ignite-spawn").ok()?;
    wait_until("the VMM to end", SOON, || {
        host.sh(&format!("! pgrep {}", vmm::process())).ok()
    })
    .map(drop)
}

#[test]
fn run_killed_while_a_plugin_attaches() -> Result<()> {
    let host = Host::new("alpha")?;
    gate::install(&host)?;
    // Before the first plugin, between two of them, and after the last.
    for moment in [
        "bridge-ADD-before",
        "bridge-ADD-after",
        "portmap-ADD-before",
        "portmap-ADD-after",
        "firewall-ADD-after",
    ] {
        let gate = Gate::close(&host, moment)?;
        let run = run_to(&host, &gate)?;
        run.signal_alone(Signal::KILL)?;
        run.wait(SOON)?;
        // The plugin goes on, and nobody touches the VM before it has ended.
        let rm = host.ignite(["rm", "victim"]).start()?;
        gate::waiting(&host, 1)?;
        assert_eq!(host.ignite(["ps", "-a", "-q"]).ok()?.lines().count(), 1);
        gate.open()?;
        rm.wait(SOON)?.ok().map_err(|error| error.context(moment))?;
        nothing_left(&host).map_err(|error| error.context(moment))?;
    }

    // What was cut off can be started as well.
    let gate = Gate::close(&host, "portmap-ADD-after")?;
    let run = run_to(&host, &gate)?;
    run.signal_alone(Signal::KILL)?;
    gate.open()?;
    let _slot = boot::slot()?;
    let uid = host.ignite(["start", "victim"]).deadline(BOOT).ok()?;
    let vm = Vm { host: &host, uid };
    vm.serving()?;
    wait_until("the port", SOON, || host.get("127.0.0.1:8080"))?;
    host.ignite(["rm", "-f", "victim"]).ok()?;
    nothing_left(&host)
}

#[test]
fn a_vm_to_be_removed_goes_though_its_supervisor_was_killed() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["--rm", "-p", "8080:80"])?;
    kill_supervisor(&host)?;
    // The next one wants its port, and repairs what died.
    let _slot = boot::slot()?;
    let options = ["--name", "second", "-p", "8080:80"];
    let mut run = Vm::invocation(&host, &options, &place::image("busy")?, &[]).start()?;
    let second = run.wait_for("", BOOT)?;
    // Ctrl-C, when the VM runs and `run` is about to end.
    run.signal(Signal::INT)?;
    let output = run.wait(SOON)?;
    ensure!(
        output.code != 0 && output.stderr.contains("interrupted"),
        "{second}, of {output}"
    );
    let left = host.ignite(["ps", "-a"]).ok()?;
    ensure!(!left.contains(&vm.uid) && !left.contains(&second), "{left}");
    nothing_left(&host)
}

#[test]
fn rm_killed_while_it_releases_and_while_it_removes() -> Result<()> {
    let host = Host::new("alpha")?;
    gate::install(&host)?;
    let vm = Vm::run(&host, &["-p", "8080:80"])?;
    kill_supervisor(&host)?;
    for moment in ["portmap-DEL-before", "bridge-DEL-after"] {
        let gate = Gate::close(&host, moment)?;
        let rm = host.ignite(["rm", "-f", &vm.uid]).start()?;
        gate.reached()?;
        rm.signal_alone(Signal::KILL)?;
        rm.wait(SOON)?;
        assert_eq!(
            (vm.status("state")?, vm.status("end")?),
            ("stopped".into(), "lost".into())
        );
        gate.open()?;
    }

    // So many files take a moment to be removed.
    let script = format!(
        "cd /var/lib/ignite/vm/{0}; mkdir many; (cd many; seq 30000 | xargs touch)
         cd ..; ignite rm {0} & until [ -e .removing-{0} ]; do :; done
         kill -KILL $!; wait $! || true
         test -e .removing-{0} && test ! -e {0}",
        vm.uid
    );
    host.sh(&script).ok()?;
    assert_eq!(host.ignite(["ps", "-a", "-q"]).ok()?, "");
    host.ignite(["rm", &vm.uid])
        .output()?
        .refused(1, &[&vm.uid])?;
    nothing_left(&host)
}
