//! How fast a VM may be: from its start on, as changed while it runs, and after its next start.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::Host;

use crate::support::{Vm, nothing_left};

/// Two seconds of 8 Mbit.
const AMOUNT: &str = "2000000";

/// Two seconds, but for the burst, and for what a busy machine's clock is worth.
const LEAST: Duration = Duration::from_millis(1500);

fn timed(work: impl FnOnce() -> Result<String>) -> Result<Duration> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed())
}

/// How long a stream takes to the guest, and from it.
fn both_ways(vm: &Vm<'_>) -> Result<[Duration; 2]> {
    let (theirs, ours) = (format!("{}:80", vm.address()?), "10.61.0.1:80");
    let host = vm.host;
    Ok([
        timed(|| vm.exec(&["testkit-helper", "take", ours, AMOUNT]).ok())?,
        timed(|| host.helper(&["take", &theirs, AMOUNT])?.ok())?,
    ])
}

fn is_slow(vm: &Vm<'_>) -> Result<()> {
    let took = both_ways(vm)?;
    ensure!(took.iter().all(|it| *it > LEAST), "{took:?}");
    Ok(())
}

/// One that is not bounded comes through in less, some time.
fn is_quick(vm: &Vm<'_>) -> Result<()> {
    let mut took = [Duration::MAX; 2];
    for _ in 0..5 {
        let now = both_ways(vm)?;
        took = [took[0].min(now[0]), took[1].min(now[1])];
        if took.iter().all(|it| *it < LEAST) {
            return Ok(());
        }
    }
    anyhow::bail!("{took:?}")
}

#[test]
fn a_network_is_as_fast_as_it_may_be_each_way() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["--net-rate", "eth0=8Mbit"])?;
    let _service = host.serve(&[80])?;
    is_slow(&vm)?;
    let update = |rate: &str| host.ignite(["update", &vm.uid, "--net-rate", rate]);
    update("none").ok()?;
    is_quick(&vm)?;
    update("eth0=8M:64KB").ok()?;
    is_slow(&vm)?;
    update("eth1=8M")
        .output()?
        .refused(2, &["no interface eth1", "are: eth0"])?;
    update("8mbps").output()?.refused(2, &["bits or bytes"])?;
    let rate = vm.inspect()?["spec"]["network"]["rate"].clone();
    assert_eq!(rate, "8Mbit:64KB");

    vm.verb("stop")?;
    vm.verb("start")?;
    vm.serving()?;
    is_slow(&vm)?;
    vm.verb("stop")?;
    update("0").ok()?;
    vm.verb("start")?;
    vm.serving()?;
    is_quick(&vm)?;
    vm.verb("kill")?;
    vm.verb("rm")?;
    nothing_left(&host)
}

#[test]
fn a_disk_is_as_fast_as_it_may_be() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["--disk-rate", "1MB"])?;
    let write = |number: u32| {
        let script = format!("head -c 3500000 /dev/urandom > /big{number} && sync");
        timed(|| vm.exec(&["sh", "-c", &script]).ok())
    };
    // Three seconds and some, but for a tenth of one.
    let slow = write(1)?;
    assert!(slow > Duration::from_millis(2500), "{slow:?}");
    let update = |rate: &str| host.ignite(["update", &vm.uid, "--disk-rate", rate]).ok();
    update("none")?;
    let quick = (2..7).map(write).collect::<Result<Vec<_>>>()?;
    let quickest = quick.iter().min().context("five of them")?;
    assert!(*quickest < Duration::from_millis(2500), "{quick:?}");
    update("1MB")?;
    let slow = write(8)?;
    assert!(slow > Duration::from_millis(2500), "{slow:?}");
    Ok(())
}

/// What the network's own plugins bound is theirs.
#[test]
fn two_bounds_on_one_interface_are_refused() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let queue = format!(
        "ip netns exec ignite-{} tc qdisc add dev eth0 root tbf rate 1gbit burst 64kb latency 25ms",
        vm.uid
    );
    host.sh(&queue).ok()?;
    host.ignite(["update", &vm.uid, "--net-rate", "8Mbit"])
        .output()?
        .refused(1, &["stay as they were", "something else", "bandwidth"])?;
    assert!(vm.inspect()?["spec"]["network"]["rate"].is_null());
    let shown = format!("ip netns exec ignite-{} tc qdisc show dev eth0", vm.uid);
    let shown = host.sh(&shown).ok()?;
    ensure!(shown.contains("rate 1Gbit"), "{shown}");
    let tap = format!("ip netns exec ignite-{} tc qdisc show dev tap0", vm.uid);
    let tap = host.sh(&tap).ok()?;
    ensure!(!tap.contains("tbf"), "{tap}");
    Ok(())
}
