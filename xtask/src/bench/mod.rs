//! `make bench`: whole operations, measured against what people would use instead.
//!
//! Everything is measured in one run on one machine, in hosts of its own; each file is one subject.
//! Medians are compared, and a ratio past its limit fails the run after all of it was written.

mod boot;
mod import;
mod list;
mod report;
mod start;

use anyhow::{Result, ensure};

pub use report::{Case, Unit};

/// Runs all benches and writes `bench/results.json` and `bench/RESULTS.md`.
pub fn run() -> Result<()> {
    let mut cases = Vec::new();
    for (name, bench) in [
        ("start", start::run as fn() -> Result<Vec<Case>>),
        ("boot", boot::run),
        ("list", list::run),
        ("import", import::run),
    ] {
        eprintln!("measuring: {name}");
        for case in bench()? {
            eprintln!("  {case}");
            cases.push(case);
        }
    }
    report::write(&cases)?;
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
