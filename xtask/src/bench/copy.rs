//! `ignite cp` of one file of 1 GB, against what the channel carries that it goes through; and the same
//! file through a program's input and output at once, which must come back as it was. Beside them, what
//! the channel's port carries with nothing of Ignite's at either end.
//!
//! `IGNITE_BENCH_COPY_MB` says another size, for a look at it in less time.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ignite_testkit::Host;

use super::port::{self, Machine};
use super::{Case, Unit};

const RUNS: usize = 3;
const MEGABYTES: u64 = 1 << 10;

/// Longer than any of it takes.
const LONG: Duration = Duration::from_secs(1800);

/// At most twice as long as the same bytes through a program that does nothing with them, both ways.
pub fn run() -> Result<Vec<Case>> {
    let megabytes = match std::env::var("IGNITE_BENCH_COPY_MB") {
        Ok(text) => text.parse().context("IGNITE_BENCH_COPY_MB is no number")?,
        Err(_) => MEGABYTES,
    };
    let bytes = megabytes << 20;
    let host = Host::new("bench-copy")?;
    // On a disk, as the rest of the host's files may be in memory.
    let file = ignite_testkit::place::build("bench/copy");
    std::fs::create_dir_all(&file)?;
    let (file, back) = (file.join("file"), file.join("back"));
    let (file, back) = (file.display().to_string(), back.display().to_string());
    host.sh(&format!("head -c {bytes} /dev/urandom > {file}"))
        .deadline(LONG)
        .ok()?;
    host.ignite(["run", "--name", "vm", "--size", "4GB", "busy"])
        .deadline(LONG)
        .ok()?;
    let time = |script: String| {
        let began = Instant::now();
        host.sh(&script).deadline(LONG).ok()?;
        anyhow::Ok(began.elapsed().as_secs_f64() * 1e3)
    };
    let bare = bare(bytes)?;
    let mut times: [Vec<f64>; 5] = Default::default();
    for _ in 0..RUNS {
        let scripts = [
            format!("ignite exec vm -- sh -c 'cat > /dev/null' < {file}"),
            format!("ignite cp {file} vm:/file"),
            "ignite exec vm -- cat /file > /dev/null".to_owned(),
            format!("ignite cp vm:/file {back}"),
            format!("ignite exec vm -- cat < {file} > {back}.cat"),
        ];
        for (times, script) in times.iter_mut().zip(scripts) {
            times.push(time(script)?);
        }
        let same = format!("cmp {file} {back} && cmp {file} {back}.cat");
        host.sh(&same).deadline(LONG).ok()?;
    }
    host.ignite(["rm", "-f", "vm"]).ok()?;
    host.sh(&format!("rm {file} {back} {back}.cat")).ok()?;
    let case = |name: &str, times: &[f64]| {
        let name = format!("{megabytes} MB {name}");
        Case::new("copy", &name, Unit::Milliseconds, times)
    };
    let [there, cp_there, back, cp_back, through] = &times;
    let there = case("into a VM by exec, to /dev/null", there);
    let cp_there = case("into a VM by cp, to its disk", cp_there).against(&there, 2.0);
    let back = case("out of a VM's disk by exec, to /dev/null", back);
    let cp_back = case("out of a VM's disk by cp, to a file", cp_back).against(&back, 2.0);
    let through = case("through a program in a VM and back, by exec", through);
    let [bare_there, bare_back] = &bare;
    let bare_there = case("through a bare port to /dev/null", bare_there);
    let bare_back = case("through a bare port from /dev/zero", bare_back);
    let bare = [bare_there, bare_back];
    Ok(bare
        .into_iter()
        .chain([there, cp_there, back, cp_back, through])
        .collect())
}

/// Through a port with no agent at it, in and out.
fn bare(bytes: u64) -> Result<[Vec<f64>; 2]> {
    let pieces = bytes / port::PIECE as u64;
    let mut machine = Machine::boot(pieces)?;
    let mut times: [Vec<f64>; 2] = Default::default();
    for _ in 0..RUNS {
        times[0].push(machine.give(pieces)?);
        times[1].push(machine.take(pieces)?);
    }
    Ok(times)
}
