//! Kills at instants nobody chose, while several VMs are made, started, used,
//! stopped and removed beside each other.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use ignite_testkit::{Host, boot};
use rustix::process::Signal;

use super::after::Fate;
use super::{Scene, create, creation};
use crate::support::BOOT;

/// Replays the choices of an earlier run.
pub const SEED: &str = "IGNITE_CRASH_SEED";

const VMS: u64 = 4;

/// After each the dust settles and everything is looked at.
const ROUNDS: u64 = 6;
const KILLS_IN_A_ROUND: u64 = 50;

/// Longest time between two kills, in ms.
const GAP: u64 = 200;

/// With real guests, which take longer.
const KILLS_OF_GUESTS: u64 = 10;
/// Longer than a boot mostly takes, in ms.
const BOOT_TIME: u64 = 3000;

#[test]
fn three_hundred_kills_at_random() -> Result<()> {
    let seed = seed()?;
    let (scene, began) = (Scene::new()?, Instant::now());
    for round in 0..ROUNDS {
        storm(&scene, &mut Dice::new(seed, round))
            .and_then(|()| settle(&scene))
            .with_context(|| format!("round {round}; again with {SEED}={seed}"))?;
    }
    writeln!(
        std::io::stderr(),
        "random crashes: {} kills, nothing left; {SEED}={seed}, {:.0} s",
        ROUNDS * KILLS_IN_A_ROUND,
        began.elapsed().as_secs_f32()
    )?;
    Ok(())
}

/// Kills one process after the other while the VMs are kept busy.
fn storm(scene: &Scene, dice: &mut Dice) -> Result<()> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..VMS)
            .map(|vm| (vm, Dice::new(dice.next(), vm)))
            .map(|(vm, mut dice)| {
                let over = &over;
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        act(&scene.host, vm, &mut dice)?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        let killed = kill(&scene.host, dice);
        over.store(true, Ordering::Relaxed);
        let worked = workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker panicked"))?);
        killed.and(worked)
    })
}

fn kill(host: &Host, dice: &mut Dice) -> Result<()> {
    let mut left = KILLS_IN_A_ROUND;
    while left > 0 {
        thread::sleep(Duration::from_millis(dice.below(GAP)));
        let all = host.processes()?;
        if let Some(victim) = dice.one_of(&all) {
            victim.signal(Signal::KILL);
            left -= 1;
        }
    }
    Ok(())
}

/// Something with one VM. It may fail: a part of it may have been killed.
fn act(host: &Host, vm: u64, dice: &mut Dice) -> Result<()> {
    let name = format!("vm{vm}");
    let port = format!("{}:80", 8080 + vm);
    let invocation = match dice.below(8) {
        0 | 1 => creation(host, &["--name", &name, "-p", &port])?,
        2 | 3 => host.ignite(["start", &name]),
        4 => host.ignite(["exec", &name, "--", "true"]),
        5 => host.ignite(["stop", &name]),
        6 => host.ignite(["exec", &name, "--", "poweroff"]),
        _ => host.ignite(["rm", "-f", &name]),
    };
    invocation.output().map(drop)
}

/// Everything goes on, and ends.
fn settle(scene: &Scene) -> Result<()> {
    let left = scene.host.ignite(["ps", "-a", "-q"]).ok()?;
    thread::scope(|scope| {
        let checks: Vec<_> = left
            .lines()
            .map(|uid| scope.spawn(move || scene.goes_on(uid, Fate::Lives)))
            .collect();
        checks
            .into_iter()
            .try_for_each(|check| check.join().map_err(|_| anyhow!("a check panicked"))?)
    })?;
    scene.nothing_left()
}

#[test]
fn ten_kills_of_real_guests_at_random() -> Result<()> {
    let seed = seed()?;
    let scene = Scene::upon(Host::new("alpha")?)?;
    for number in 0..KILLS_OF_GUESTS {
        kill_a_guest(&scene, &mut Dice::new(seed, number))
            .with_context(|| format!("kill {number}; again with {SEED}={seed}"))?;
    }
    writeln!(
        std::io::stderr(),
        "random crashes of real guests: {KILLS_OF_GUESTS} kills, nothing left; {SEED}={seed}"
    )?;
    Ok(())
}

fn kill_a_guest(scene: &Scene, dice: &mut Dice) -> Result<()> {
    let host = &scene.host;
    let uid = create(host, &["-p", "8080:80"])?.ok()?;
    let _slot = boot::slot()?;
    let verb = match dice.below(3) {
        0 => {
            host.ignite(["start", &uid]).deadline(BOOT).ok()?;
            "stop"
        }
        _ => "start",
    };
    let command = host.ignite([verb, &uid]).start()?;
    thread::sleep(Duration::from_millis(dice.below(BOOT_TIME)));
    let all = host.processes()?;
    if let Some(victim) = dice.one_of(&all) {
        victim.signal(Signal::KILL);
    }
    let ended = command.wait(BOOT)?;
    scene
        .goes_on(&uid, Fate::Lives)
        .and_then(|()| scene.nothing_left())
        .with_context(|| format!("of {all:?} one was killed; {ended}"))
}

pub fn seed() -> Result<u64> {
    match std::env::var(SEED) {
        Ok(text) => text.parse().context("the seed is a number"),
        Err(_) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
            Ok(now.as_nanos() as u64)
        }
    }
}

/// Numbers that look random: SplitMix64.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(all.len()).ok().filter(|count| *count > 0)?;
        all.get(usize::try_from(self.below(count)).ok()?)
    }
}
