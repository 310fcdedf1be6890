//! Sessions whose other end is lost, silent, or says too much.

use anyhow::{Result, ensure};
use ignite_testkit::Host;
use rustix::process::Signal;

use super::{LEAVE, ask, attach, exec, with_shell};
use crate::support::{SOON, Vm, nothing_left};

/// Sends a signal to the host's processes of this program.
fn signal(host: &Host, program: &str, signal: Signal) -> Result<()> {
    let all = host.processes()?;
    let found: Vec<_> = all
        .iter()
        .filter(|it| it.name().starts_with(program))
        .collect();
    ensure!(!found.is_empty(), "no {program} runs");
    for process in found {
        process.signal(signal);
    }
    Ok(())
}

#[test]
fn a_supervisor_or_vmm_that_is_killed_ends_every_session() -> Result<()> {
    let host = Host::new("alpha")?;
    for program in ["ignite-spawn", "qemu-system"] {
        let vm = with_shell(&host, &[])?;
        let mut shell = exec(&vm, &["sh"])?;
        ask(&mut shell, "echo up-$((1+1))", "up-2")?;
        let mut seat = attach(&vm)?;
        ask(&mut seat, "echo up-$((1+1))", "up-2")?;
        signal(&host, program, Signal::KILL)?;
        for mut session in [shell, seat] {
            session.ends_with(125, SOON)?;
            let shown = session.shown();
            ensure!(shown.matches("error:").count() == 1, "{shown}");
        }
        host.ignite(["rm", "-f", &vm.uid]).ok()?;
    }
    nothing_left(&host)
}

#[test]
fn an_agent_that_is_killed_in_the_guest_ends_every_session() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = with_shell(&host, &[])?;
    let mut other = exec(&vm, &["sh"])?;
    ask(&mut other, "echo up-$((1+1))", "up-2")?;
    let mut shell = exec(&vm, &["sh"])?;
    ask(&mut shell, "echo up-$((1+1))", "up-2")?;
    // Who started the shell is the agent.
    shell.type_in("kill -9 $PPID\r")?;
    for mut session in [shell, other] {
        session.ends_with(125, SOON)?;
        let shown = session.shown();
        ensure!(shown.matches("error:").count() == 1, "{shown}");
    }
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    nothing_left(&host)
}

#[test]
fn a_vm_that_stands_still_keeps_nobody() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = with_shell(&host, &[])?;
    let mut leaves = exec(&vm, &["sh"])?;
    ask(&mut leaves, "echo up-$((1+1))", "up-2")?;
    let mut ended = exec(&vm, &["sh"])?;
    ask(&mut ended, "echo up-$((1+1))", "up-2")?;
    let mut seat = attach(&vm)?;
    ask(&mut seat, "echo up-$((1+1))", "up-2")?;
    host.ignite(["pause", &vm.uid]).ok()?;
    // More than any window, and the keys are seen all the same.
    for session in [&mut leaves, &mut seat] {
        for _ in 0..100 {
            session.type_in(vec![b'x'; 4000])?;
        }
        session.type_in(LEAVE)?;
        session.ends_with(0, SOON)?;
    }
    ended.signal(Signal::TERM)?;
    ended.ends_with(143, SOON)?;
    host.ignite(["unpause", &vm.uid]).ok()?;
    vm.wait_exec("its agent", &["true"]).map(drop)
}

#[test]
fn a_program_that_floods_can_be_left_and_ended() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let flood = ["sh", "-c", "echo flood; exec cat /dev/zero"];
    let mut left = exec(&vm, &flood)?;
    left.wait_for("flood", SOON)?;
    left.type_in(LEAVE)?;
    left.ends_with(0, SOON)?;
    let mut ended = exec(&vm, &flood)?;
    ended.wait_for("flood", SOON)?;
    ended.signal(Signal::HUP)?;
    ended.ends_with(129, SOON)?;
    ensure!(vm.exec(&["echo", "well"]).ok()? == "well");
    Ok(())
}

#[test]
fn killed_and_stopped_vms_tell_those_at_their_console() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = with_shell(&host, &[])?;
    let mut seat = attach(&vm)?;
    ask(&mut seat, "echo up-$((1+1))", "up-2")?;
    vm.verb("kill")?;
    seat.ends_with(137, SOON)
}
