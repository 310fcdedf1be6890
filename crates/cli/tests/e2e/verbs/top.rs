//! `top`: a VM's processes, whatever they call themselves, and a VM that does not answer.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, wait_until};
use serde_json::Value;

use super::json;
use crate::support::{SOON, Vm};

/// A shell whose first argument would clear a terminal and begin a line.
const HOSTILE: &str = "x=$(printf 'a\\033[2J\\nb'); exec sh -c 'while :; do sleep 1; done' \"$x\"";

#[test]
fn processes_are_shown_with_their_users() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run_script(&host, &["--name", "web"], HOSTILE)?;
    let _other = host
        .ignite(["exec", "--user", "7", "web", "--", "sleep", "4242"])
        .start()?;
    let sleeps = |all: &Value| -> Option<Value> {
        let all = all.as_array()?;
        let found = all.iter().find(|it| it["command"] == "sleep 4242");
        found.cloned()
    };
    let sleep = wait_until("the other user's process", SOON, || {
        sleeps(&json(&host, &["top", "web"])?).context("it is not there")
    })?;
    assert_eq!(
        (&sleep["user"], &sleep["kernel"]),
        (&"7".into(), &false.into())
    );
    ensure!(sleep["memory"].as_u64() > Some(0), "{sleep:#}");
    ensure!(sleep["cpuPercent"].as_f64().is_some(), "{sleep:#}");
    let pid = sleep["pid"].to_string();
    let shown = vm.exec(&["cat", &format!("/proc/{pid}/cmdline")]).ok()?;
    ensure!(shown.starts_with("sleep"), "{pid} is {shown:?}");

    let text = host.ignite(["top", "web"]).ok()?;
    let header: Vec<&str> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    assert_eq!(header, ["PID", "USER", "%CPU", "TIME", "MEMORY", "COMMAND"]);
    ensure!(
        text.contains(r"a\u{1b}[2J\nb") && !text.contains('\u{1b}'),
        "{text:?}"
    );
    ensure!(
        !text.contains("kthreadd") && !text.contains("@ignite-tool"),
        "{text}"
    );
    let all = host.ignite(["vm", "top", "-a", &vm.uid[..6]]).ok()?;
    ensure!(all.contains("[kthreadd]"), "{all}");
    Ok(())
}

#[test]
fn a_vm_that_does_not_answer_is_not_waited_for() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run_script(&host, &["--name", "web"], "sleep 1000")?;
    // One that is paused is not even asked.
    host.ignite(["pause", "web"]).ok()?;
    host.ignite(["top", "--timeout", "1000", "web"])
        .deadline(SOON)
        .output()?
        .refused(1, &["the VM is paused", "ignite unpause"])?;
    host.ignite(["unpause", "web"]).ok()?;
    // One whose VMM stands still is waited for as long as was said.
    let processes = host.processes()?;
    let vmm = processes
        .iter()
        .find(|it| it.name().starts_with("qemu-system"));
    let vmm = vmm.context("its VMM")?;
    vmm.signal(rustix::process::Signal::STOP);
    let asked = host.ignite(["top", "--timeout", "1", "web"]).output();
    vmm.signal(rustix::process::Signal::CONT);
    asked?.refused(1, &["said nothing for 1 s", "paused"])?;
    ensure!(host.ignite(["top", "web"]).ok()?.contains("sleep 1000"));
    // Without /proc there is nothing to read, and it says so.
    vm.exec(&["umount", "-l", "/proc"]).ok()?;
    host.ignite(["top", "web"])
        .output()?
        .refused(1, &["cannot read /proc", "mount -t proc"])?;
    vm.verb("kill")?;
    host.ignite(["top", "web"]).output()?.refused(1, &["web"])?;
    host.ignite(["top", "nobody"])
        .output()?
        .refused(1, &["nobody"])
}
