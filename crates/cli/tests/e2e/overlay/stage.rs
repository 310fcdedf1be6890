//! Hosts on one segment, and what every overlay has to do for them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, Lan, Running, wait_until};
use serde_json::Value;

use crate::support::{SOON, Vm};

/// `init` and `join` wait for etcd and the agent.
pub const SET_UP: Duration = Duration::from_secs(120);

/// Bytes of the transfer that must not stall.
const MANY: &str = "100000000";

/// The hosts of a test: `node1` has 192.0.2.1, and so on; `world` is on the segment and in no overlay.
pub struct Stage {
    pub nodes: Vec<Host>,
    _world: Host,
    _lan: Lan,
    _service: Running,
}

impl Stage {
    pub fn new(nodes: usize) -> Result<Self> {
        let lan = Lan::new()?;
        let world = Host::bare("world")?;
        lan.join(&world, "eth0", "192.0.2.100/24")?;
        let nodes = (1..=nodes)
            .map(|number| {
                let host = Host::new(&format!("node{number}"))?;
                plug(&lan, &host, number)?;
                Ok(host)
            })
            .collect::<Result<_>>()?;
        let service = world.serve(&[80])?;
        Ok(Self {
            nodes,
            _world: world,
            _lan: lan,
            _service: service,
        })
    }

    /// Sets up the overlay on all hosts; `init` are flags of the first. Gives what `init` printed.
    pub fn overlay(&self, init: &[&str]) -> Result<String> {
        let command = overlay(&self.nodes[0], "init", init)?;
        self.join_all(&command)?;
        Ok(command)
    }

    /// All others join, each with a token of its own if the first one's command has any.
    pub fn join_all(&self, command: &str) -> Result<()> {
        let mut command = command.to_owned();
        for node in &self.nodes[1..] {
            node.sh(&command).deadline(SET_UP).ok()?;
            if command.contains("--token") {
                command = overlay(&self.nodes[0], "token", &["new"])?;
            }
        }
        Ok(())
    }
}

/// An interface on the segment with the node's address, and the way out of it.
fn plug(lan: &Lan, host: &Host, number: usize) -> Result<()> {
    lan.join(host, "eth0", &format!("192.0.2.{number}/24"))?;
    leads_out(host)
}

/// The default route, which a reboot takes away.
pub fn leads_out(host: &Host) -> Result<()> {
    let route = ["ip", "route", "replace", "default", "via", "192.0.2.100"];
    host.command(route).ok().map(drop)
}

/// `ignite overlay VERB FLAG...`: what it prints.
pub fn overlay(host: &Host, verb: &str, flags: &[&str]) -> Result<String> {
    let words = ["overlay", verb].into_iter().chain(flags.iter().copied());
    host.ignite(words).deadline(SET_UP).ok()
}

/// `ignite overlay status`, of the only overlay, whatever it exits with.
pub fn status(host: &Host) -> Result<Value> {
    let words = ["overlay", "status", "-o", "json"];
    let output = host.ignite(words).deadline(SET_UP).output()?;
    let all: Value = serde_json::from_str(&output.stdout)
        .with_context(|| format!("status printed {:?}, {:?}", output.stdout, output.stderr))?;
    Ok(all[0].clone())
}

/// Waits until status has no trouble and all peers answer.
pub fn sound(host: &Host, peers: usize) -> Result<()> {
    wait_until("a sound overlay", Duration::from_secs(60), || {
        let status = status(host)?;
        let all = status["peers"].as_array().context("peers")?;
        // By plain routes there is nobody to ask before there is a VM.
        let reached = |peer: &&Value| {
            let silent = peer["backend"] == "host-gw" && peer["reachable"] == "unknown";
            peer["reachable"] == "yes" || silent
        };
        let reachable = all.iter().filter(reached).count();
        let troubles = status["troubles"].as_array().context("troubles")?;
        ensure!(
            reachable == peers && all.len() == peers && troubles.is_empty(),
            "on {}: {status:#}",
            host.name()
        );
        Ok(())
    })
}

/// The MTU of the overlay, as VMs have it.
pub fn mtu(host: &Host) -> Result<usize> {
    let file = host.read("/run/flannel/subnet.env")?;
    let line = file
        .lines()
        .find_map(|line| line.strip_prefix("FLANNEL_MTU="));
    Ok(line.context("an MTU")?.parse()?)
}

/// A VM on each of two hosts reaches everybody that it should, in every way.
pub fn reaches_everybody(stage: &Stage, one: &Vm<'_>, two: &Vm<'_>) -> Result<()> {
    let (first, second) = (one.address()?, two.address()?);
    let mtu = mtu(one.host)?;
    let payload = (mtu - 28).to_string();
    for (from, to) in [(one, &second), (two, &first)] {
        // Linux sends an echo that fits its MTU with the don't-fragment bit.
        from.wait_exec("the other VM", &["ping", "-c", "3", "-s", &payload, to])?;
        let whole = ["ping", "-q", "-M", "do", "-c", "3", "-s", &payload, to];
        wait_until("the other host's VM", SOON, || {
            from.host.command(whole).ok()
        })?;
        let larger = (mtu - 27).to_string();
        let larger = [
            "ping", "-q", "-M", "do", "-c", "1", "-W", "1", "-s", &larger, to,
        ];
        ensure!(
            from.host.command(larger).output()?.code != 0,
            "more than the MTU of {mtu} passes"
        );
    }
    // Inside, everybody is seen as who they are; outside, as the host.
    let seen = two
        .exec(&["testkit-helper", "get", &format!("{first}:80")])
        .ok()?;
    ensure!(
        seen == format!("{} 80 {second}", one.hostname()?),
        "inside: {seen}"
    );
    for (vm, host) in [(one, "192.0.2.1"), (two, "192.0.2.2")] {
        let seen = vm.exec(&["testkit-helper", "get", "192.0.2.100:80"]).ok()?;
        ensure!(seen == format!("world 80 {host}"), "outside: {seen}");
    }
    let port = stage.nodes[0].get("192.0.2.2:8080")?;
    ensure!(
        port.starts_with(&format!("{} 80 ", two.hostname()?)),
        "the published port answered {port}"
    );
    let taken = two
        .exec(&["testkit-helper", "take", &format!("{first}:80"), MANY])
        .deadline(Duration::from_secs(300))
        .ok()?;
    println!("100 MB from VM to VM: {taken}");
    let pause: u64 = taken
        .rsplit(' ')
        .nth(1)
        .context("a pause")?
        .parse()
        .with_context(|| taken.clone())?;
    ensure!(pause < 5_000, "it stalled: {taken}");
    Ok(())
}

/// A VM that publishes a port on the second host, and one on the first.
pub fn vms(stage: &Stage) -> Result<(Vm<'_>, Vm<'_>)> {
    let one = Vm::run(&stage.nodes[0], &[])?;
    let two = Vm::run(&stage.nodes[1], &["-p", "8080:80"])?;
    Ok((one, two))
}

/// Stopped and started, a VM has its address again.
pub fn keeps_its_address(vm: &Vm<'_>) -> Result<()> {
    let before = vm.address()?;
    vm.verb("stop")?;
    vm.verb("start")?;
    let after = vm.address()?;
    ensure!(before == after, "{before} became {after}");
    vm.serving()
}

/// Nothing of an overlay is on the host.
pub fn nothing_of_it(host: &Host) -> Result<()> {
    let left = host.sh(TRACES).ok()?;
    ensure!(left.is_empty(), "left on {}:\n{left}", host.name());
    Ok(())
}

/// Prints whatever an overlay could have left.
const TRACES: &str = r"
ls -d /var/lib/ignite/overlay/*/ /var/lib/ignite/etcd /var/lib/ignite/authority 2>/dev/null || true
find /run/flannel /run/ignite/overlay /etc/cni/net.d -type f 2>/dev/null || true
ls /sys/class/net | grep -Ev '^(lo|eth[0-9]+)$' || true
ip route show | grep -Ev 'default|192.0.2.0/24' || true
iptables-save 2>/dev/null | grep -Ei 'flannel|10\.50\.' || true
nft list tables | grep ignite-overlay || true
ps -e -o args= | grep -E '^[^ ]*(etcd|ignite-overlay|ignite internal keep)' | grep -v grep || true
";
