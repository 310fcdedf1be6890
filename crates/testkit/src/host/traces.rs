//! What there is on a host that a VM could have left there.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::Host;

const SCRIPT: &str = include_str!("traces.sh");

/// Namespaces, links, rules, leases, cached results, files, mounts and
/// processes of a host at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traces(BTreeMap<String, usize>);

impl Host {
    /// What is there now.
    ///
    /// # Errors
    /// If it cannot be looked at.
    pub fn traces(&self) -> Result<Traces> {
        let mut traces = Traces::default();
        for process in self.processes()? {
            traces.add(format!("process {}", process.argv.join(" ")));
        }
        let listed = self.sh(SCRIPT).ok()?;
        listed.lines().for_each(|line| traces.add(line.to_owned()));
        Ok(traces)
    }
}

impl Traces {
    fn add(&mut self, line: String) {
        *self.0.entry(line).or_default() += 1;
    }

    /// Fails, naming it, if anything is here that was not there `before`.
    ///
    /// # Errors
    /// All that is new.
    pub fn nothing_new(&self, before: &Self) -> Result<()> {
        let new: Vec<&str> = self
            .0
            .iter()
            .filter(|(line, count)| before.0.get(*line).is_none_or(|was| was < count))
            .map(|(line, _)| line.as_str())
            .collect();
        ensure!(new.is_empty(), "left behind:\n  {}", new.join("\n  "));
        Ok(())
    }
}
