//! The state of the machine that the end-to-end tests must leave as it was:
//! network namespaces, links, addresses, routes, packet filter rules, mounts,
//! processes of ours, files at the places where the product keeps its own.
//!
//! A snapshot is a map from a kind of thing to the lines that describe it.
//! What other programs of the machine did meanwhile would show as well; that
//! is why only things a VM host could leave behind are looked at.

mod probe;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Lines by kind.
type Snapshot = BTreeMap<String, BTreeSet<String>>;

/// How long the machine may take to settle: the kernel ends namespaces and
/// links a while after their last process.
const SETTLE: Duration = Duration::from_secs(20);

/// Writes what the machine looks like now.
pub fn save(file: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(&probe::all()?).context("a snapshot is plain text")?;
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Fails, naming every difference, if the machine still differs from `file`
/// after it had time to settle.
pub fn compare(file: &Path) -> Result<()> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let before: Snapshot = serde_json::from_slice(&text).context("the saved snapshot")?;
    let end = Instant::now() + SETTLE;
    loop {
        let changes = differences(&before, &probe::all()?);
        if changes.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("the tests changed the machine:\n  {}", changes.join("\n  "));
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// Lines that appeared or vanished, each with its kind.
fn differences(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let none = BTreeSet::new();
    let kinds: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut changes = Vec::new();
    for kind in kinds {
        let old = before.get(kind).unwrap_or(&none);
        let new = after.get(kind).unwrap_or(&none);
        changes.extend(
            new.difference(old)
                .map(|line| format!("{kind}: left behind: {line}")),
        );
        changes.extend(
            old.difference(new)
                .map(|line| format!("{kind}: gone: {line}")),
        );
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(lines: &[(&str, &str)]) -> Snapshot {
        let mut snapshot = Snapshot::new();
        for (kind, line) in lines {
            snapshot
                .entry((*kind).to_owned())
                .or_default()
                .insert((*line).to_owned());
        }
        snapshot
    }

    #[test]
    fn equal_snapshots_do_not_differ() {
        let machine = snapshot(&[("links", "lo"), ("mounts", "/")]);
        assert!(differences(&machine, &machine).is_empty());
    }

    #[test]
    fn what_appeared_and_what_vanished_are_named() {
        let before = snapshot(&[("links", "lo"), ("links", "eth0")]);
        let after = snapshot(&[("links", "lo"), ("mounts", "/x")]);
        assert_eq!(
            differences(&before, &after),
            ["links: gone: eth0", "mounts: left behind: /x"]
        );
    }

    #[test]
    fn a_probe_sees_the_loopback_interface() {
        let machine = probe::all().expect("this machine can be looked at");
        assert!(machine["links"].iter().any(|line| line.starts_with("lo ")));
    }
}
