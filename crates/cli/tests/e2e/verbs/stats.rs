//! `stats`: what VMs use, once and live.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, place, wait_until};

use super::json;
use crate::support::{SOON, Vm};

#[test]
fn what_a_vm_uses_is_counted() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["--name", "web"])?;
    vm.exec(&["sh", "-c", "head -c 3000000 /dev/urandom > /big; sync"])
        .ok()?;
    let size = vm.exec(&["testkit-helper", "get", "127.0.0.1:80"]).ok()?;
    ensure!(!size.is_empty(), "its service is silent");
    host.get(&format!("{}:80", vm.address()?))?;
    let all = json(&host, &["stats"])?;
    let line = &all[0];
    assert_eq!(
        (&line["name"], &line["state"]),
        (&"web".into(), &"running".into())
    );
    let number = |field: &str| {
        line[field]
            .as_u64()
            .with_context(|| format!("no {field} in {line:#}"))
    };
    ensure!(number("diskWrittenBytes")? >= 3_000_000, "{line:#}");
    ensure!(
        number("diskReads")? > 0 && number("cpuNanos")? > 0,
        "{line:#}"
    );
    let (memory, limit) = (number("memory")?, number("memoryLimit")?);
    ensure!(memory > 1 << 20 && memory <= limit, "{line:#}");
    ensure!(line["cpuPercent"].as_f64().is_some(), "{line:#}");
    let eth0 = &line["interfaces"][0];
    assert_eq!(eth0["interface"], "eth0");
    ensure!(
        eth0["rxBytes"].as_u64() > Some(0) && eth0["txBytes"].as_u64() > Some(0),
        "{eth0:#}"
    );
    Ok(())
}

#[test]
fn only_those_that_run_are_shown_unless_all_are_asked_for() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["--name", "web"])?;
    host.ignite(["create", "--name", "idle", &place::image("busy")?])
        .ok()?;
    let shown = host.ignite(["stats"]).ok()?;
    ensure!(shown.contains("web") && !shown.contains("idle"), "{shown}");
    let all = host.ignite(["stats", "-a", "--no-stream"]).ok()?;
    ensure!(all.contains("web") && all.contains("idle"), "{all}");
    let named = host.ignite(["stats", "idle"]).ok()?;
    ensure!(named.contains("--") && !named.contains("web"), "{named}");
    host.ignite(["stats", "nobody"])
        .output()?
        .refused(1, &["nobody"])?;
    vm.verb("kill")
}

/// On a terminal it is drawn again, and VMs come and go.
#[test]
fn it_is_live_on_a_terminal() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["--name", "web"])?;
    let ignite = place::build("bin/ignite");
    let command = format!("stty cols 60 rows 10; exec {} stats", ignite.display());
    let mut screen = host
        .command(["script", "-qfec", &command, "/dev/null"])
        .start()?;
    for _ in 0..3 {
        screen.wait_for("web", SOON)?;
    }
    vm.verb("kill")?;
    wait_until("the VM to leave the screen", SOON, || {
        let said = screen.said();
        let last = said.rsplit("\u{1b}[H").next().unwrap_or_default();
        ensure!(last.contains("VM ID") && !last.contains("web"), "{last:?}");
        Ok(())
    })?;
    let widest = screen.said().lines().map(|line| line.chars().count()).max();
    ensure!(widest < Some(80), "wider than the screen: {widest:?}");
    screen.signal(rustix::process::Signal::INT)?;
    screen.wait(SOON).map(drop)
}
