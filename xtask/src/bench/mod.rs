//! `make bench`: whole operations, measured against what people would use instead.
//!
//! Everything is measured in one run on one machine, in hosts of its own; each file is one subject.
//! Medians are compared, and a ratio past its limit fails the run after all of it was written.

mod boot;
pub mod cni;
mod copy;
mod disk;
mod import;
mod keep;
mod list;
mod overlay;
mod port;
mod report;
mod start;
mod vmm;

use anyhow::{Result, ensure};

pub use report::{Case, Unit};

type Bench = fn() -> Result<Vec<Case>>;

/// All benches by name.
const BENCHES: [(&str, Bench); 10] = [
    ("start", start::run),
    ("vmm", vmm::run),
    ("boot", boot::run),
    ("list", list::run),
    ("cni", cni::run),
    ("copy", copy::run),
    ("import", import::run),
    ("disk", disk::run),
    ("overlay", overlay::run),
    ("keep", keep::run),
];

/// Runs all benches and writes `bench/results.json` and `bench/RESULTS.md`; or only those of `names`,
/// which writes nothing.
pub fn run(names: &[&str]) -> Result<()> {
    let mut cases = Vec::new();
    for (name, bench) in BENCHES {
        if !names.is_empty() && !names.contains(&name) {
            continue;
        }
        eprintln!("measuring: {name}");
        for case in bench()? {
            eprintln!("  {case}");
            cases.push(case);
        }
    }
    if names.is_empty() {
        report::write(&cases)?;
    }
    let past: Vec<String> = cases
        .iter()
        .filter(|case| case.is_past_limit())
        .map(ToString::to_string)
        .collect();
    ensure!(
        past.is_empty(),
        "past their limits:\n  {}",
        past.join("\n  ")
    );
    Ok(())
}
