//! From `ignite run` to the VMM's start, and the supervisor's memory.

use anyhow::{Context as _, Result};
use ignite_testkit::Host;
use serde_json::Value;

use super::{Case, Unit};

const RUNS: usize = 9;

/// Everything but the CNI plugins' own processes takes no longer than those do.
pub fn run() -> Result<Vec<Case>> {
    let host = Host::new("bench-start")?;
    let (mut own, mut plugins, mut pss) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=RUNS {
        let name = format!("vm-{round}");
        let output = host
            .ignite([
                "run",
                "--name",
                &name,
                "-p",
                "8080:80",
                "--timings=json",
                "busy",
            ])
            .output()?;
        let line = output
            .stderr
            .lines()
            .rfind(|line| line.starts_with('{'))
            .with_context(|| format!("no timings: {}", output.stderr))?;
        let timings: Value = serde_json::from_str(line)?;
        // The first run makes the bridge and the shared chains.
        if round > 0 {
            own.push(number(&timings, "ownUntilVmmMs")?);
            plugins.push(number(&timings, "pluginsMs")?);
            pss.push(supervisor_pss(&host)?);
        }
        host.ignite(["rm", "-f", &name]).ok()?;
    }
    let plugins = Case::new(
        "start",
        "CNI plugins' processes",
        Unit::Milliseconds,
        &plugins,
    );
    let own = Case::new(
        "start",
        "run until the VMM, all but the plugins",
        Unit::Milliseconds,
        &own,
    )
    .against(&plugins, 1.0);
    let pss = Case::new("memory", "supervisor, PSS", Unit::Kibibytes, &pss).at_most(3.0 * 1024.0);
    Ok(vec![plugins, own, pss])
}

pub(super) fn number(value: &Value, key: &str) -> Result<f64> {
    value
        .get(key)
        .and_then(Value::as_f64)
        .with_context(|| format!("no {key} in {value}"))
}

/// PSS of the host's one supervisor in KiB.
fn supervisor_pss(host: &Host) -> Result<f64> {
    let pid = host.sh("pidof ignite-spawn").ok()?;
    let rollup = host
        .sh(&format!("cat /proc/{}/smaps_rollup", pid.trim()))
        .ok()?;
    rollup
        .lines()
        .find_map(|line| {
            line.strip_prefix("Pss:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .with_context(|| format!("no Pss of process {pid}"))
}
