//! A daemon of a host, and the VMs it keeps.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, Output, Running, place, wait_until};
use rustix::process::Signal;
use serde_json::Value;

/// Longer than some looks at the repository and a start on a busy machine.
const SOON: Duration = Duration::from_secs(90);

/// Where the daemon's log is.
pub const LOG: &str = "/run/ignited.log";
const STATUS: &str = "/var/lib/ignite/ignited/status.json";

/// A running `ignited gitops`.
pub struct Daemon<'h> {
    host: &'h Host,
    process: Running,
}

impl<'h> Daemon<'h> {
    /// Starts it with these arguments, looking each second.
    pub fn start(host: &'h Host, arguments: &str) -> Result<Self> {
        let program = place::built("bin/ignited")?;
        let script = format!(
            "exec {} gitops -b main --interval 1s {arguments} 2>>{LOG}",
            program.display()
        );
        let process = host.sh(&script).start()?;
        Ok(Self { host, process })
    }

    /// Waits until the VMs are exactly these, with whether they run.
    pub fn keeps(&self, wanted: &[(&str, bool)]) -> Result<()> {
        let wanted: BTreeMap<String, bool> = wanted
            .iter()
            .map(|(name, runs)| ((*name).to_owned(), *runs))
            .collect();
        wait_until("the VMs as they should be", SOON, || {
            let there = vms(self.host)?;
            ensure!(there == wanted, "{there:?}, not {wanted:?}; {}", self.log());
            Ok(())
        })
    }

    /// Waits until the status file has this in `field`.
    pub fn says(&self, field: &str, word: &str) -> Result<()> {
        wait_until("the status file", SOON, || {
            let status: Value = serde_json::from_str(&self.host.read(STATUS)?)?;
            let text = status[field].to_string();
            ensure!(
                text.contains(word),
                "{word:?} is not in {status:#}; {}",
                self.log()
            );
            Ok(())
        })
    }

    /// Tells it to end and waits for that.
    pub fn end(self) -> Result<Output> {
        self.process.signal_alone(Signal::TERM)?;
        self.process.wait(Duration::from_secs(30))
    }

    fn log(&self) -> String {
        self.host.read(LOG).unwrap_or_default()
    }
}

/// Every VM of the host, with whether it runs.
pub fn vms(host: &Host) -> Result<BTreeMap<String, bool>> {
    let text = host.ignite(["ps", "-a", "-o", "json"]).ok()?;
    let lines: Vec<Value> = serde_json::from_str(&text).with_context(|| text.clone())?;
    lines
        .iter()
        .map(|line| {
            let name = line["name"].as_str().context("a name")?;
            Ok((name.to_owned(), line["state"] == "running"))
        })
        .collect()
}
