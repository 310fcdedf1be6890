//! Every process killed at every step.

use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use ignite_host::step::Step;
use ignite_testkit::Host;
use ignite_testkit::host::processes::Process;
use rustix::process::Signal;

use super::scenes::{Operation, UnderWay};
use super::{Scene, volumes};
use crate::docker;
use crate::support::SOON;

/// Hosts that work beside each other: much of a release is waiting for the
/// kernel.
const HOSTS: usize = 4;

/// An operation and a step of it; every process alive there is killed once.
pub type Moment = (Operation, &'static str);

#[derive(Default)]
struct Tally {
    kills: usize,
    faults: Vec<String>,
}

#[test]
fn every_process_killed_at_every_step() -> Result<()> {
    let moments: Vec<Moment> = Operation::ALL
        .into_iter()
        .flat_map(|operation| {
            operation
                .steps()
                .into_iter()
                .map(move |step| (operation, step))
        })
        .collect();
    // Those of Docker's bridge have a test of their own, and so has what only a disk or a directory that
    // is copied comes to.
    let ours = |step: &&Step| {
        !docker::crashes::OWN.contains(step) && ![Step::DiskPiece, volumes::OWN].contains(step)
    };
    for step in Step::ALL.iter().filter(ours) {
        let is_it = |(_, name): &Moment| name.split(':').next() == Some(step.name());
        ensure!(
            moments.iter().any(is_it),
            "no process is killed at {}",
            step.name()
        );
    }
    let own = docker::crashes::OWN.len();
    writeln!(
        std::io::stderr(),
        "crash matrix: {} steps",
        Step::ALL.len() - own
    )?;
    walk(moments, HOSTS, Scene::new)
}

/// Kills every process once that is there at each of the moments, on so many hosts.
pub fn walk(
    moments: Vec<Moment>,
    hosts: usize,
    make: impl Fn() -> Result<Scene> + Sync,
) -> Result<()> {
    let (count, began) = (moments.len(), Instant::now());
    let queue = Mutex::new(moments.into_iter());
    let tally = Mutex::new(Tally::default());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..hosts)
            .map(|_| scope.spawn(|| work(&queue, &tally, &make)))
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker panicked"))?)
    })?;
    let Tally { kills, faults } = tally.into_inner().map_err(|_| anyhow!("poisoned"))?;
    writeln!(
        std::io::stderr(),
        "crash matrix: {count} moments, {kills} kills, {} faults, {:.0} s",
        faults.len(),
        began.elapsed().as_secs_f32(),
    )?;
    ensure!(faults.is_empty(), "{}", faults.join("\n\n"));
    Ok(())
}

fn work(
    queue: &Mutex<impl Iterator<Item = Moment>>,
    tally: &Mutex<Tally>,
    make: &impl Fn() -> Result<Scene>,
) -> Result<()> {
    let poisoned = || anyhow!("another worker panicked");
    let mut scene = make()?;
    loop {
        let next = queue.lock().map_err(|_| poisoned())?.next();
        let Some((operation, step)) = next else {
            return Ok(());
        };
        let mut number = 0;
        loop {
            let (victims, fault) = kill_one(&scene, operation, step, number);
            let mut tally = tally.lock().map_err(|_| poisoned())?;
            tally.kills += 1;
            number += 1;
            if let Err(fault) = fault {
                tally
                    .faults
                    .push(format!("{operation:?} {step}: {fault:?}"));
                drop(tally);
                scene = make()?;
            }
            if number >= victims {
                break;
            }
        }
    }
}

/// Kills the process `number` of those that are there at the step. How many there
/// were, and whether all went on well.
fn kill_one(scene: &Scene, operation: Operation, step: &str, number: usize) -> (usize, Result<()>) {
    let brought = operation.begin(scene, step).and_then(|under_way| {
        let all = match halted(&scene.host, step) {
            Ok(all) => all,
            Err(fault) => return Err(fault.context(said(under_way))),
        };
        operation.keeps_gift(&scene.host, step)?;
        Ok((under_way, all))
    });
    let (under_way, all) = match brought {
        Ok(brought) => brought,
        Err(fault) => return (0, Err(fault)),
    };
    let victim = all[number.min(all.len() - 1)].clone();
    let fault = kill_and_go_on(scene, operation, under_way, &victim);
    (
        all.len(),
        fault.with_context(|| format!("{} killed", victim.argv.join(" "))),
    )
}

/// What a command said that never came to its step.
fn said(under_way: UnderWay) -> String {
    let output = under_way.command.wait(Duration::from_secs(1));
    output.map_or_else(|error| format!("{error:#}"), |output| output.to_string())
}

/// Waits until a process has stopped itself; all that are there then.
pub fn halted(host: &Host, step: &str) -> Result<Vec<Process>> {
    let end = Instant::now() + SOON;
    loop {
        let all = host.processes()?;
        if all.iter().any(|process| process.stopped) {
            return Ok(all);
        }
        if Instant::now() > end {
            bail!("nobody gets to {step}: {all:?}");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn kill_and_go_on(
    scene: &Scene,
    operation: Operation,
    under_way: UnderWay,
    victim: &Process,
) -> Result<()> {
    let over = AtomicBool::new(false);
    victim.signal(Signal::KILL);
    thread::scope(|scope| {
        scope.spawn(|| keep_going(&scene.host, &over));
        let went_on = go_on(scene, operation, under_way);
        over.store(true, Ordering::Relaxed);
        went_on
    })
}

/// Lets everything go on that stops: more than one process may get to the step.
fn keep_going(host: &Host, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let all = host.processes().unwrap_or_default();
        for process in all.iter().filter(|process| process.stopped) {
            process.signal(Signal::CONT);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn go_on(scene: &Scene, operation: Operation, under_way: UnderWay) -> Result<()> {
    let UnderWay { mut command, uid } = under_way;
    while !command.is_over()? {
        command.resume();
        thread::sleep(Duration::from_millis(5));
    }
    let ended = command.wait(SOON)?;
    let uid = match uid {
        Some(uid) => uid,
        None => scene.host.ignite(["ps", "-a", "-q"]).ok()?,
    };
    let went_on = if uid.is_empty() {
        Ok(())
    } else {
        scene.goes_on(&uid, operation.fate())
    };
    went_on
        .and_then(|()| scene.nothing_left())
        .with_context(|| format!("the operation: {ended}"))
}
