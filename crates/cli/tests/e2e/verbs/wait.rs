//! `wait`: the exit codes of VMs that end one way or the other.

use anyhow::{Result, ensure};
use ignite_testkit::Host;

use crate::support::{SOON, Vm};

#[test]
fn each_end_has_its_code() -> Result<()> {
    let host = Host::new("alpha")?;
    let until_told = |code: &str| format!("while [ ! -e /go ]; do sleep 0.1; done; {code}");
    let vm = |name: &str, code: &str| Vm::run_script(&host, &["--name", name], &until_told(code));
    let zero = vm("zero", "exit 0")?;
    let three = vm("three", "exit 3")?;
    let signal = vm("signal", "kill -9 $$")?;
    let killed = vm("killed", "exit 0")?;
    let mut waiting = host
        .ignite(["wait", "killed", "three", "zero", "signal", "three"])
        .start()?;
    for vm in [&zero, &three, &signal] {
        vm.exec(&["touch", "/go"]).ok()?;
        vm.ended()?;
    }
    // In the order they were named: nothing is told before the first has ended.
    ensure!(waiting.said().is_empty(), "{}", waiting.said());
    killed.verb("kill")?;
    let told = waiting.wait(SOON)?.ok()?;
    assert_eq!(told, "137\n3\n0\n137\n3");
    // What has ended is not waited for.
    assert_eq!(host.ignite(["wait", "zer", "three"]).ok()?, "0\n3");
    host.ignite(["wait", "nobody"])
        .output()?
        .refused(1, &["nobody"])
}

#[test]
fn a_vm_that_removes_itself_and_one_whose_supervisor_is_killed() -> Result<()> {
    let host = Host::new("alpha")?;
    let script = "while [ ! -e /go ]; do sleep 0.1; done; exit 7";
    let gone = Vm::run_script(&host, &["--name", "gone", "--rm"], script)?;
    let waiting = host.ignite(["wait", "gone"]).start()?;
    gone.exec(&["touch", "/go"]).ok()?;
    assert_eq!(waiting.wait(SOON)?.ok()?, "7");

    let killed = Vm::run_script(&host, &["--name", "killed", "--rm"], "sleep 1000")?;
    let waiting = host.ignite(["wait", "killed"]).start()?;
    killed.verb("kill")?;
    assert_eq!(waiting.wait(SOON)?.ok()?, "137");

    let lost = Vm::run_script(&host, &["--name", "lost"], "sleep 1000")?;
    let mut waiting = host.ignite(["wait", "lost"]).start()?;
    let supervisors = host.processes()?;
    for supervisor in supervisors.iter().filter(|it| it.name() == "ignite-spawn") {
        supervisor.signal(rustix::process::Signal::KILL);
    }
    waiting.wait_for("255", SOON)?;
    let shown = host.ignite(["stats", "-a", "--no-stream"]).ok()?;
    ensure!(shown.contains(&lost.uid), "{shown}");
    Ok(())
}

#[test]
fn ctrl_c_ends_it() -> Result<()> {
    let host = Host::new("alpha")?;
    let _vm = Vm::run_script(&host, &["--name", "long"], "sleep 1000")?;
    let mut waiting = host.ignite(["wait", "long"]).start()?;
    ensure!(!waiting.is_over()?, "it did not wait");
    waiting.signal(rustix::process::Signal::INT)?;
    let ended = waiting.wait(SOON)?;
    ensure!(ended.code != 0 && ended.stdout.is_empty(), "{ended}");
    Ok(())
}
