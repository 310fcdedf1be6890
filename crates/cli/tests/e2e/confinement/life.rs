//! A confined VMM from its start to its end, whoever else ends first.

use anyhow::{Result, ensure};
use ignite_testkit::{Host, host::halting::HALT_AT, wait_until};
use rustix::process::Signal;

use super::{Place, mischief, run};
use crate::crashes::scenes::kill_supervisor;
use crate::crashes::steps::halted;
use crate::support::{SOON, Vm, nothing_left};

#[test]
fn each_vm_is_told_to_be_confined_as_another_user() -> Result<()> {
    let host = Host::new("alpha")?;
    let start = || run(&host, Place::Qemu, &[], "quiet");
    let (one, two) = (start()?, start()?);
    let confinement = |vm: &Vm<'_>| anyhow::Ok(vm.inspect()?["status"]["confinement"].clone());
    let (first, second) = (confinement(&one)?, confinement(&two)?);
    assert_eq!(first["cgroup"], format!("ignite/{}", one.uid));
    assert!(first.get("missing").is_none(), "{first}");
    assert!(first["user"].as_u64() >= Some(2_080_374_784), "{first}");
    assert_ne!(first["user"], second["user"]);
    one.verb("stop")?;
    assert!(one.inspect()?["status"].get("confinement").is_none());
    one.verb("start")?;
    assert_eq!(confinement(&one)?["user"], first["user"], "for life");
    Ok(())
}

#[test]
fn a_vmm_ends_with_its_supervisor_and_its_vm_is_removed() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = run(&host, Place::Qemu, &[], "standin.outlives")?;
    kill_supervisor(&host)?;
    wait_until("the VMM's end", SOON, || {
        let all = host.processes()?;
        let is_vmm = |name: &str| name == Place::Qemu.program();
        ensure!(
            !all.iter().any(|process| is_vmm(process.name())),
            "it is there still"
        );
        Ok(())
    })?;
    host.ignite(["stop", &vm.uid]).ok()?;
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    nothing_left(&host)
}

#[test]
fn a_vmm_without_its_supervisor_is_gone_and_its_group_after_the_next_command() -> Result<()> {
    let host = Host::new("alpha")?;
    for step in ["supervise.grouped", "supervise.started"] {
        let run = mischief(&host, Place::Qemu, &["--name", "web"], "quiet")?;
        let starting = run.env(HALT_AT, step).start()?;
        // Nobody is left who would undo the start; the VMM ends by itself.
        let all = halted(&host, step)?;
        let vmm = Place::Qemu.program();
        let others = all.iter().filter(|process| process.name() != vmm);
        others.for_each(|process| process.signal(Signal::KILL));
        starting.wait(SOON)?;
        host.ignite(["rm", "-f", "web"]).ok()?;
        nothing_left(&host)?;
    }
    Ok(())
}
