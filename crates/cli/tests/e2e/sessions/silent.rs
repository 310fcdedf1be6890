//! Who says nothing: a guest's agent, one that only stands still, and clients of a supervisor.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, wait_until};
use rustix::process::Signal;

use super::{ask, exec, with_shell};
use crate::support::{SOON, Vm};

/// How long a supervisor waits for a silent agent.
const PATIENCE: Duration = Duration::from_secs(60);

/// What those hear who waited.
const WORDS: &[&str] = &["has not answered for 60 s", "ignite logs", "ignite kill"];

fn is_left(vm: &Vm<'_>, program: &str) -> Result<bool> {
    Ok(vm.exec(&["pidof", program]).output()?.code == 0)
}

#[test]
fn a_vmm_that_was_stopped_keeps_nobody_and_its_programs_end() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = with_shell(&host, &[])?;
    let open = vm.exec(&["sleep", "4242"]).start()?;
    wait_until("the program to run", SOON, || {
        ensure!(is_left(&vm, "sleep")?, "it does not");
        Ok(())
    })?;
    let processes = host.processes()?;
    let mut found = processes.iter();
    let vmm = found.find(|it| it.name().starts_with("qemu-system"));
    let vmm = vmm.context("its VMM")?;
    vmm.signal(Signal::STOP);
    // Who was there, who comes to a silent agent, and who comes when it is known to be silent.
    let late = vm.exec(&["touch", "/late"]).start()?;
    open.wait(PATIENCE + SOON)?.refused(125, WORDS)?;
    late.wait(PATIENCE)?.refused(125, WORDS)?;
    let known = vm.exec(&["touch", "/late"]).deadline(SOON).output();
    vmm.signal(Signal::CONT);
    known?.refused(125, WORDS)?;
    vm.wait_exec("programs to run again", &["true"])?;
    wait_until("what nobody listens to to end", SOON, || {
        ensure!(!is_left(&vm, "sleep")?, "it runs");
        Ok(())
    })?;
    vm.verb("stop")
}

#[test]
fn an_agent_that_hangs_keeps_nobody() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = with_shell(&host, &["--name", "web"])?;
    // Who started the shell is the agent, which is let go on after the bound.
    let hang = "(sleep 80; kill -CONT $PPID) & kill -STOP $PPID; exec sleep 4242";
    let open = vm.exec(&["sh", "-c", hang]).start()?;
    open.wait(PATIENCE + SOON)?
        .refused(125, &["VM web has not answered"])?;
    vm.exec(&["true"]).output()?.refused(125, WORDS)?;
    host.ignite(["top", "web"]).output()?.refused(1, WORDS)?;
    wait_until("programs to run again", PATIENCE, || {
        vm.exec(&["true"]).ok()
    })?;
    wait_until("what nobody listens to to end", SOON, || {
        ensure!(!is_left(&vm, "sleep")?, "it runs");
        Ok(())
    })
}

#[test]
fn a_vm_that_is_paused_for_longer_keeps_its_programs() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = with_shell(&host, &[])?;
    let mut shell = exec(&vm, &["sh"])?;
    ask(&mut shell, "echo up-$((1+1))", "up-2")?;
    host.ignite(["pause", &vm.uid]).ok()?;
    std::thread::sleep(PATIENCE + Duration::from_secs(5));
    host.ignite(["unpause", &vm.uid]).ok()?;
    ask(&mut shell, "echo on-$((1+2))", "on-3")?;
    shell.type_in("exit 3\r")?;
    shell.ends_with(3, SOON)
}

#[test]
fn clients_that_ask_for_nothing_keep_nobody_out_for_long() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = with_shell(&host, &[])?;
    let socket = format!(
        "/proc/{}/root/run/ignite/vm/{}/control.sock",
        host.pid(),
        vm.uid
    );
    let fill = |most: usize| -> Result<Vec<UnixStream>> {
        let clients = (0..most).map(|_| UnixStream::connect(&socket));
        Ok(clients.collect::<Result<_, _>>()?)
    };
    let _sessions = fill(70)?;
    let words = ["as many sessions as it may", "try again"];
    vm.exec(&["true"]).output()?.refused(125, &words)?;
    // Those that are too many go at once, so it is full after each.
    let words = ["serves 80 clients", "try again"];
    let _more = fill(80)?;
    vm.exec(&["true"]).output()?.refused(125, &words)?;
    let _more = fill(80)?;
    host.ignite(["pause", &vm.uid])
        .output()?
        .refused(1, &words)?;
    assert_eq!(vm.status("state")?, "running");
    vm.wait_exec("their time to be over", &["true"])?;
    // Who ends the VM waits for room.
    let _more = fill(80)?;
    host.ignite(["kill", &vm.uid]).deadline(SOON).ok()?;
    assert_eq!(vm.status("end")?, "killed");
    Ok(())
}
