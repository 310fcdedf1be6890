//! The overlay's agent among many peers, and a stream through its tunnels.
//!
//! ```text
//!   etcd's host      host "node"                  host "far"
//!   leases of ────── agent: entries of peers      agent, for streams alone
//!   made-up peers        '── read by netlink        '── TCP ── from "node"
//! ```
//!
//! The peers are records in etcd; nobody is behind them. etcd's data is in memory, so that no disk is
//! measured.

mod calls;
mod lab;
mod leases;
mod peers;
mod stream;

use anyhow::Result;

use super::{Case, Unit};

/// Everything of the overlay against its limits.
pub fn run() -> Result<Vec<Case>> {
    let mut cases = leases::run()?;
    cases.extend(stream::run()?);
    Ok(cases)
}

fn case(name: &str, unit: Unit, values: &[f64]) -> Case {
    Case::new("overlay", name, unit, values)
}
