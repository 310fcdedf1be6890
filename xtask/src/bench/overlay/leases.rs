//! Leases of others until the kernel has their entries.
//!
//! The kernel is looked at by dumps of its tables, again and again ([`until`]). Its own word of changes
//! would be there sooner, but could be lost among thousands, and a change that was taken back would
//! count. So what is measured is late by a pause and a look at most, and never early.

use std::fs;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ignite_host::link::{Change, Netlink};
use ignite_testkit::Running;

use super::lab::{Health, Lab, Node, PROGRAM, is_ready, milliseconds, until};
use super::peers::{CONFIG, DEVICE, Entries, PREFIX, Peer, change, damage, put_all, settings};
use super::{Case, Unit, case};

/// Peers of a node that is started again.
const PEERS: u16 = 100;
const RESTARTS: usize = 7;
/// The most that may take, in milliseconds.
const RESTART_LIMIT: f64 = 1000.0;

/// Leases that appear one by one.
const APPEAR: u16 = 41;
/// The most that may take, in milliseconds.
const APPEAR_LIMIT: f64 = 20.0;

/// Leases that are there when a node first starts.
const MANY: u16 = 1000;
const MANY_RUNS: usize = 5;
/// The most that may take, in milliseconds, and in KiB of memory.
const MANY_LIMIT: f64 = 1000.0;
const MEMORY_LIMIT: f64 = 20.0 * 1024.0;

/// The same with more of them, for each thousand: at most so many times as long. The kernel alone is not
/// linear, which is measured beside it: all routes by one device are in one list (`fib_create_info`),
/// which is searched for every new one.
const MORE: u16 = 5000;
const MORE_RUNS: usize = 3;
const GROWTH: f64 = 1.5;

/// All of it with one etcd, whose leases only grow.
pub fn run() -> Result<Vec<Case>> {
    let lab = Lab::new()?;
    lab.configure(PREFIX, CONFIG)?;
    let node = lab.node("bench-node", "192.0.2.11/24")?;
    let mut cases = vec![restart(&lab, &node)?, appear(&lab, &node)?];
    lab.etcd(async |client| put_all(client, PEERS + APPEAR..MANY).await)??;
    let many = starts(&node, MANY, MANY_RUNS)?;
    lab.etcd(async |client| put_all(client, MANY..MORE).await)??;
    let more = starts(&node, MORE, MORE_RUNS)?;
    let [first, each] = grown("first start", &many.milliseconds, &more.milliseconds);
    let [alone, alone_each] = grown("netlink alone", &many.alone, &more.alone);
    cases.extend([
        first.clone().at_most(MANY_LIMIT),
        each.against(&first, GROWTH),
        alone.clone(),
        alone_each.against(&alone, None),
    ]);
    cases.extend([
        memory("resident", MANY, &many.resident).at_most(MEMORY_LIMIT),
        memory("resident at the peak", MANY, &many.peak),
        memory("resident", MORE, &more.resident),
        memory("resident at the peak", MORE, &more.peak),
    ]);
    Ok(cases)
}

/// Milliseconds with many leases, and for each as many where there are more.
fn grown(what: &str, many: &[f64], more: &[f64]) -> [Case; 2] {
    let parts = f64::from(MORE / MANY);
    let each: Vec<f64> = more.iter().map(|all| all / parts).collect();
    [
        (format!("{what}, {MANY} leases"), many),
        (format!("{what}, {MORE} leases, for each {MANY}"), &each[..]),
    ]
    .map(|(name, values)| case(&name, Unit::Milliseconds, values))
}

fn memory(what: &str, leases: u16, values: &[f64]) -> Case {
    case(
        &format!("{what} with {leases} leases"),
        Unit::Kibibytes,
        values,
    )
}

/// From the start of a killed agent's successor until it is ready and all entries are right, of which
/// many were not.
fn restart(lab: &Lab, node: &Node) -> Result<Case> {
    lab.etcd(async |client| put_all(client, 0..PEERS).await)??;
    let (_, mut agent) = start(node, 0..PEERS)?;
    let netlink = Netlink::open_in(&node.namespace)?;
    let all = Entries::of(0..PEERS);
    let mut times = Vec::new();
    for _ in 0..RESTARTS {
        node.kill(agent, PROGRAM, PREFIX)?;
        damage(&netlink, 0..PEERS)?;
        ensure!(!all.are_all(&netlink)?, "nothing is damaged");
        let (took, next) = start(node, 0..PEERS)?;
        times.push(took);
        agent = next;
    }
    node.kill(agent, PROGRAM, PREFIX)?;
    let name = format!("restart with {PEERS} peers until all is right");
    Ok(case(&name, Unit::Milliseconds, &times).at_most(RESTART_LIMIT))
}

/// From etcd's answer to a write until the kernel has the peer's route, neighbour and FDB entry.
fn appear(lab: &Lab, node: &Node) -> Result<Case> {
    let (_, agent) = start(node, 0..PEERS)?;
    let netlink = Netlink::open_in(&node.namespace)?;
    let times = lab.etcd(async move |client| -> Result<Vec<f64>> {
        let mut times = Vec::new();
        for number in PEERS..PEERS + APPEAR {
            let wanted = Entries::of(0..number + 1);
            Peer(number).put(&client).await?;
            let answered = Instant::now();
            until("a peer's entries", || {
                Ok(wanted.are_all(&netlink)?.then_some(()))
            })?;
            times.push(milliseconds(answered));
            // Not in the wake of the one before.
            thread::sleep(Duration::from_millis(20));
        }
        Ok(times)
    })?;
    let times = node.explain(PREFIX, times)?;
    node.kill(agent, PROGRAM, PREFIX)?;
    let name = "a lease in etcd until the kernel has its entries";
    Ok(case(name, Unit::Milliseconds, &times).at_most(APPEAR_LIMIT))
}

/// What starts of an agent took.
#[derive(Debug, Default)]
struct Starts {
    milliseconds: Vec<f64>,
    /// Milliseconds the kernel takes for the same entries, without an agent.
    alone: Vec<f64>,
    /// KiB, when all was done.
    resident: Vec<f64>,
    /// KiB, at any time.
    peak: Vec<f64>,
}

/// Starts the agent again and again where no agent was before.
fn starts(node: &Node, leases: u16, runs: usize) -> Result<Starts> {
    let netlink = Netlink::open_in(&node.namespace)?;
    let mut starts = Starts::default();
    for _ in 0..runs {
        if let Some(device) = netlink.link(DEVICE)? {
            netlink.delete(device.index)?;
        }
        let (took, agent) = start(node, 0..leases)?;
        starts.milliseconds.push(took);
        // What is done once in the beginning is done by then: files, rules.
        thread::sleep(Duration::from_millis(500));
        let pid = node.pid(PROGRAM, PREFIX)?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        starts.resident.push(kibibytes(&status, "VmRSS:")?);
        starts.peak.push(kibibytes(&status, "VmHWM:")?);
        node.kill(agent, PROGRAM, PREFIX)?;
        starts.alone.push(alone(&netlink, 0..leases)?);
    }
    Ok(starts)
}

/// Milliseconds for all entries that are there, taken away and set anew.
fn alone(netlink: &Netlink, peers: Range<u16>) -> Result<f64> {
    let settings = settings(netlink, peers)?;
    let undone: Vec<Change> = settings.iter().filter_map(Change::undo).collect();
    change(netlink, &undone)?;
    let begun = Instant::now();
    change(netlink, &settings)?;
    Ok(milliseconds(begun))
}

fn kibibytes(status: &str, field: &str) -> Result<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().next());
    let number = number.with_context(|| format!("no {field} in:\n{status}"))?;
    Ok(number.parse()?)
}

/// Starts the agent; milliseconds until it is ready and the kernel has the entries of these peers and
/// no others. What enters the host counts as well.
fn start(node: &Node, peers: Range<u16>) -> Result<(f64, Running)> {
    let wanted = Entries::of(peers);
    let begun = Instant::now();
    let agent = node.agent(PREFIX, Health::Told)?;
    let took = node.namespace.run(|| {
        let netlink = Netlink::open()?;
        until("all entries, and readiness", || {
            let so = wanted.are_all(&netlink)? && is_ready();
            Ok(so.then(|| milliseconds(begun)))
        })
    })?;
    Ok((node.explain(PREFIX, took)?, agent))
}
