//! The daemon killed again and again while files and VMs change.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::Host;
use rustix::process::Signal;
use serde_json::Value;

use super::{DIRECTORY, Daemon, becomes, manifest, uid, write};
use crate::crashes::random::{Dice, SEED, seed};
use crate::support::nothing_left;

const KILLS: u64 = 50;
const VMS: u64 = 12;
/// Longest life of the daemon, in ms.
const LIFE: u64 = 1500;

/// What a VM should be.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Wish {
    runs: bool,
    /// Changed only where its manifest lets it be made anew.
    cpus: u64,
}

#[test]
fn killed_fifty_times_the_end_is_as_the_files_say() -> Result<()> {
    let seed = seed()?;
    walk(seed).with_context(|| format!("again with {SEED}={seed}"))
}

fn walk(seed: u64) -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let mut dice = Dice::new(seed, 0);
    let mut wanted = BTreeMap::new();
    let mut made = BTreeSet::new();
    host.sh(&format!("mkdir -p {DIRECTORY}")).ok()?;
    for _ in 0..KILLS {
        let mut daemon = host.command(["ignited", "daemon"]).start()?;
        let life = dice.below(LIFE);
        let mut spent = 0;
        while spent < life {
            change(&host, &mut dice, &mut wanted)?;
            let pause = dice.below(200) + 1;
            thread::sleep(Duration::from_millis(pause));
            spent += pause;
        }
        let is_over = daemon.is_over()?;
        if !is_over {
            daemon.signal_alone(Signal::KILL)?;
        }
        let output = daemon.wait(Duration::from_secs(10))?;
        ensure!(!is_over, "it ended by itself: {}", output.stderr);
        made.extend(super::states(&host)?.into_keys());
    }
    // Those that were killed did something.
    ensure!(made.len() as u64 >= VMS / 2, "only {made:?} were made");
    let mut daemon = Daemon::start(&host, &[])?;
    ends(&host, &wanted)?;
    host.sh(&format!("rm -f {DIRECTORY}/*")).ok()?;
    becomes(&host, &BTreeMap::new())?;
    daemon.stop()?;
    nothing_left(&host)
}

/// Something with one file: it comes, goes, changes, is moved.
fn change(host: &Host, dice: &mut Dice, wanted: &mut BTreeMap<String, Wish>) -> Result<()> {
    let number = dice.below(VMS);
    let (name, file) = (format!("vm{number}"), format!("vm{number}.yaml"));
    let path = format!("{DIRECTORY}/{file}");
    match dice.below(6) {
        0 => {
            host.sh(&format!("rm -f {path}")).ok()?;
            wanted.remove(&name);
        }
        1 if wanted.contains_key(&name) => {
            host.sh(&format!("mv {path} {path}.yml; mv {path}.yml {path}"))
                .ok()?;
        }
        2 => {
            write(host, &file, "kind: [")?;
            let wish = wish(dice, number);
            write(host, &file, &text(&name, number, wish)?)?;
            wanted.insert(name, wish);
        }
        3 => drop(host.ignite(["stop", &name]).output()?),
        _ => {
            let wish = wish(dice, number);
            write(host, &file, &text(&name, number, wish)?)?;
            wanted.insert(name, wish);
        }
    }
    Ok(())
}

/// Every third VM may be made anew.
fn is_recreated(number: u64) -> bool {
    number.is_multiple_of(3)
}

fn wish(dice: &mut Dice, number: u64) -> Wish {
    let more = if is_recreated(number) {
        dice.below(2)
    } else {
        0
    };
    Wish {
        runs: dice.below(3) != 0,
        cpus: 1 + more,
    }
}

/// Every second one is known by its name alone.
fn text(name: &str, number: u64, wish: Wish) -> Result<String> {
    let more = format!(
        "  cpus: {}\n  recreateOnChange: {}\n  network: {{ ports: [ {{ hostPort: {}, vmPort: 80 }} ] }}\n",
        wish.cpus,
        is_recreated(number),
        9000 + number
    );
    let uid = uid(usize::try_from(number)?);
    let text = manifest(name, &uid, wish.runs, &more);
    Ok(if number.is_multiple_of(2) {
        text
    } else {
        text.replace(&format!(", uid: \"{uid}\""), "")
    })
}

/// Waits until exactly these VMs are there, those run that should, and no other.
fn ends(host: &Host, expected: &BTreeMap<String, Wish>) -> Result<()> {
    ignite_testkit::wait_until("the VMs to be as the files say", super::SETTLES, || {
        let actual = wishes(host)?;
        ensure!(actual == *expected, "{actual:?}, not {expected:?}");
        Ok(())
    })
}

/// The VMs by name, as they are.
fn wishes(host: &Host) -> Result<BTreeMap<String, Wish>> {
    let mut all = BTreeMap::new();
    for (uid, state) in super::states(host)? {
        let text = host.ignite(["inspect", "vm", &uid]).ok()?;
        let vm: Value = serde_json::from_str(&text)?;
        let name = vm["metadata"]["name"].as_str().context("no name")?;
        let wish = Wish {
            runs: state == "running",
            cpus: vm["spec"]["cpus"].as_u64().context("no cpus")?,
        };
        ensure!(all.insert(name.to_owned(), wish).is_none(), "two of {name}");
    }
    Ok(all)
}
