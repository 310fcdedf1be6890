//! The CNI runtime's own share of ADD and DEL: everything but the plugins' processes.
//!
//! The real plugins of the default network run in a host of its own, into which this program starts
//! itself once more: first with nothing else attached, then with a thousand attachments of another
//! network beside it. The same commands by a driver over libcni are measured with a plugin that does
//! next to nothing, so that the difference is the runtimes'. And `network gc` of what many vanished
//! VMs have left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ignite_cni::capability::{Capabilities, PortMapping, Protocol};
use ignite_cni::{Attachment, NetworkConfig, Runtime, args, default};
use ignite_testkit::{Host, place};
use serde::{Deserialize, Serialize};

use super::{Case, Unit};

const RUNS: usize = 41;

/// Longer than the plugins of [`PRESENT`] attachments take on a slow machine.
const LONG: Duration = Duration::from_secs(900);

/// Attachments that are there when the second half is measured.
const PRESENT: usize = 1000;

/// The most the runtime itself may take, in milliseconds.
const LIMIT: f64 = 1.5;

/// With many attachments present at most so many times as long.
const GROWTH: f64 = 1.2;

/// The network of the attachments that are only there: an interface and an address each.
const CROWD: &str = r#"{"cniVersion": "1.0.0", "name": "crowd", "plugins": [
    {"type": "bridge", "bridge": "crowd0",
     "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]]}}]}"#;

/// One plugin that only sets the loopback interface up.
const SMALL: &str =
    r#"{"cniVersion": "1.0.0", "name": "small", "plugins": [{"type": "loopback"}]}"#;

/// Attachments of vanished VMs that are collected.
const LEAKS: usize = 100;

/// The most `gc` itself may take for each of them, in milliseconds.
const LEAK_LIMIT: f64 = 0.5;

/// What was measured of one command, in milliseconds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Share {
    own: Vec<f64>,
    plugins: Vec<f64>,
}

/// ADD and DEL, alone and in the crowd.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Shares {
    add: Share,
    del: Share,
    crowded_add: Share,
    crowded_del: Share,
    /// Whole commands: ours and the driver's.
    tool: Vec<f64>,
    driver: Vec<f64>,
}

/// ADD, DEL and GC against their limits.
pub fn run() -> Result<Vec<Case>> {
    let host = Host::new("bench-cni")?;
    let shares: Shares = serde_json::from_str(&inner(&host, "share")?)?;
    let mut cases = shares.cases();
    drop(host);
    let host = Host::new("bench-gc")?;
    cases.extend(garbage(&host)?);
    Ok(cases)
}

/// Runs the half of this program that is inside the host.
fn inner(host: &Host, half: &str) -> Result<String> {
    let program = std::env::current_exe().context("this program's path")?;
    host.sh(&format!("{} bench-cni {half}", program.display()))
        .deadline(LONG)
        .ok()
}

impl Shares {
    fn cases(&self) -> Vec<Case> {
        let crowded =
            |command: &str| format!("{command}, own share, {PRESENT} attachments present");
        let add = case("ADD, own share", &self.add.own);
        let del = case("DEL, own share", &self.del.own);
        let driver = case(
            "ADD and DEL of loopback by a driver over libcni",
            &self.driver,
        );
        let tool = case("ADD and DEL of loopback by ignite cni", &self.tool).against(&driver, 1.0);
        vec![
            case("ADD, plugins' processes", &self.add.plugins),
            case("DEL, plugins' processes", &self.del.plugins),
            case(&crowded("ADD"), &self.crowded_add.own).against(&add, GROWTH),
            case(&crowded("DEL"), &self.crowded_del.own).against(&del, GROWTH),
            add.at_most(LIMIT),
            del.at_most(LIMIT),
            driver,
            tool,
        ]
    }
}

fn case(name: &str, values: &[f64]) -> Case {
    Case::new("cni", name, Unit::Milliseconds, values)
}

/// Leaves attachments behind and collects them.
fn garbage(host: &Host) -> Result<Vec<Case>> {
    inner(host, "leak")?;
    let output = host.ignite(["network", "gc"]).output()?;
    // "N released: plugins took X ms, iptables and nft Y ms, everything else Z ms"
    let line = output
        .stderr
        .lines()
        .find(|line| line.contains(" released: "));
    let line = line.with_context(|| format!("nothing collected: {}", output.stderr))?;
    let numbers: Vec<f64> = line
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [released, plugins, filters, own] = numbers[..] else {
        anyhow::bail!("no four numbers in: {line}");
    };
    ensure!(released >= LEAKS as f64, "too few collected: {line}");
    let each = |all: f64| [all / LEAKS as f64];
    Ok(vec![
        case("gc, plugins' processes for each leak", &each(plugins)),
        case("gc, iptables and nft for each leak", &each(filters)),
        case("gc, own share for each leak", &each(own)).at_most(LEAK_LIMIT),
    ])
}

/// The halves that run inside the host.
pub fn inside(half: &str) -> Result<()> {
    match half {
        "share" => {
            let mut shares = Shares::default();
            let network = NetworkConfig::parse(default::CONFLIST.as_bytes())?;
            measure(&network, &mut shares.add, &mut shares.del)?;
            compare(&mut shares)?;
            gather()?;
            measure(&network, &mut shares.crowded_add, &mut shares.crowded_del)?;
            println!("{}", serde_json::to_string(&shares)?);
            Ok(())
        }
        "leak" => leak(),
        _ => anyhow::bail!("no such half: {half}"),
    }
}

/// The same attachment made and released by both, in turns.
fn compare(shares: &mut Shares) -> Result<()> {
    let file = Path::new("/etc/cni/net.d/50-small.conflist");
    fs::create_dir_all(file.parent().expect("it has one"))?;
    fs::write(file, SMALL)?;
    let netns = namespace("compared")?.display().to_string();
    let file = file.display().to_string();
    let driver = place::built("tools/libcni-driver")?.display().to_string();
    let ignite = place::built("bin/ignite")?.display().to_string();
    for round in 0..=RUNS {
        let by_tool = |verb| time(&[&ignite, "cni", verb, "small", &netns]);
        let tool = by_tool("add")? + by_tool("del")?;
        let by_driver = |verb| time(&[&driver, verb, &file, "driver", &netns, "lo"]);
        let driver = by_driver("add")? + by_driver("del")?;
        if round > 0 {
            shares.tool.push(tool);
            shares.driver.push(driver);
        }
    }
    Ok(())
}

/// Milliseconds a command takes that must succeed.
fn time(argv: &[&str]) -> Result<f64> {
    let begun = Instant::now();
    let status = Command::new(argv[0])
        .args(&argv[1..])
        .env("CNI_PATH", "/usr/lib/cni:/opt/cni/bin")
        .env("CNI_IFNAME", "lo")
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {}", argv[0]))?;
    ensure!(status.success(), "{argv:?} failed");
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

/// Attaches what VMs of no record would have, and takes their namespace away.
fn leak() -> Result<()> {
    let network = NetworkConfig::parse(default::CONFLIST.as_bytes())?;
    let path = namespace("leaked")?;
    for number in 0..LEAKS {
        let id = format!("ignite-{number:016}");
        let attachment = Attachment::new(id, path.clone(), format!("e{number}"));
        Runtime::default().add(&network, &attachment)?;
    }
    let gone = Command::new("ip")
        .args(["netns", "del", "leaked"])
        .status()?;
    ensure!(gone.success(), "cannot remove the namespace");
    Ok(())
}

fn measure(network: &NetworkConfig, add: &mut Share, del: &mut Share) -> Result<()> {
    // What was made before is not written to the disk meanwhile.
    ensure!(Command::new("sync").status()?.success(), "sync failed");
    let runtime = Runtime::default();
    let path = namespace("measured")?;
    for round in 0..=RUNS {
        let attachment = asked(&format!("ignite-{round:016}"), path.clone());
        let begun = Instant::now();
        let added = runtime.add(network, &attachment)?;
        let add_took = (begun.elapsed(), added.plugin_time());
        let begun = Instant::now();
        let runs = runtime.del(network, &attachment)?;
        let del_took = (begun.elapsed(), runs.iter().map(|run| run.elapsed).sum());
        // The first one makes the bridge and the shared chains.
        if round > 0 {
            add.note(add_took);
            del.note(del_took);
        }
    }
    Ok(())
}

/// Attaches the crowd, all in one namespace.
fn gather() -> Result<()> {
    let network = NetworkConfig::parse(CROWD.as_bytes())?;
    let runtime = Runtime::default();
    let path = namespace("crowd")?;
    for number in 0..PRESENT {
        let attachment = Attachment::new(
            format!("crowd-{number}"),
            path.clone(),
            format!("c{number}"),
        );
        runtime.add(&network, &attachment)?;
    }
    Ok(())
}

fn asked(container: &str, netns: PathBuf) -> Attachment {
    let port = PortMapping {
        host_port: 8080,
        container_port: 80,
        protocol: Protocol::Tcp,
        host_ip: None,
    };
    Attachment {
        args: args::request(None, None),
        capabilities: Capabilities::new().port_mappings(&[port]).build(),
        ..Attachment::new(container, netns, "eth0")
    }
}

/// A named namespace, made if it is not there.
fn namespace(name: &str) -> Result<PathBuf> {
    let path = PathBuf::from("/run/netns").join(name);
    if !path.exists() {
        let made = Command::new("ip")
            .args(["netns", "add", name])
            .status()
            .context("cannot start ip")?;
        ensure!(made.success(), "cannot make namespace {name}");
    }
    fs::metadata(&path).with_context(|| format!("no {}", path.display()))?;
    Ok(path)
}

impl Share {
    fn note(&mut self, (all, plugins): (Duration, Duration)) {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        self.own.push(milliseconds(all.saturating_sub(plugins)));
        self.plugins.push(milliseconds(plugins));
    }
}
