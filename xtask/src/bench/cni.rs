//! The CNI runtime's own share of ADD and DEL: everything but the plugins' processes.
//!
//! The real plugins of the default network run in a host of its own, into which this program starts
//! itself once more: first with nothing else attached, then with a thousand attachments of another
//! network beside it.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ignite_cni::capability::{Capabilities, PortMapping, Protocol};
use ignite_cni::{Attachment, NetworkConfig, Runtime, args, default};
use ignite_testkit::Host;
use serde::{Deserialize, Serialize};

use super::{Case, Unit};

const RUNS: usize = 21;

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
}

/// ADD and DEL against their limits.
pub fn run() -> Result<Vec<Case>> {
    let host = Host::new("bench-cni")?;
    let program = std::env::current_exe().context("this program's path")?;
    let command = format!("{} bench-cni", program.display());
    let text = host.sh(&command).ok()?;
    let shares: Shares = serde_json::from_str(text.trim())?;
    let case = |name: &str, values: &[f64]| Case::new("cni", name, Unit::Milliseconds, values);
    let crowded = |command: &str| format!("{command}, own share, {PRESENT} attachments present");
    let add = case("ADD, own share", &shares.add.own);
    let del = case("DEL, own share", &shares.del.own);
    Ok(vec![
        case("ADD, plugins' processes", &shares.add.plugins),
        case("DEL, plugins' processes", &shares.del.plugins),
        case(&crowded("ADD"), &shares.crowded_add.own).against(&add, GROWTH),
        case(&crowded("DEL"), &shares.crowded_del.own).against(&del, GROWTH),
        add.at_most(LIMIT),
        del.at_most(LIMIT),
    ])
}

/// The half that runs inside the host: prints what it measured.
pub fn inside() -> Result<()> {
    let network = NetworkConfig::parse(default::CONFLIST.as_bytes())?;
    let mut shares = Shares::default();
    measure(&network, &mut shares.add, &mut shares.del)?;
    gather()?;
    measure(&network, &mut shares.crowded_add, &mut shares.crowded_del)?;
    println!("{}", serde_json::to_string(&shares)?);
    Ok(())
}

fn measure(network: &NetworkConfig, add: &mut Share, del: &mut Share) -> Result<()> {
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
        let made = std::process::Command::new("ip")
            .args(["netns", "add", name])
            .status()
            .context("cannot start ip")?;
        anyhow::ensure!(made.success(), "cannot make namespace {name}");
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
