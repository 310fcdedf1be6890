//! One look at the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Snapshot;

/// Programs whose processes would be leftovers.
const PROGRAMS: &[&str] = &[
    "ignite",
    "ignite-spawn",
    "ignite-guest",
    "qemu-system-",
    "firecracker",
    "testkit-helper",
    "docker-registry",
];

/// Where the product and the CNI plugins keep files.
const PLACES: &[&str] = &[
    "/etc/cni",
    "/etc/ignite",
    "/etc/firecracker",
    "/var/lib/ignite",
    "/var/lib/cni",
    "/run/ignite",
    "/run/cni",
    "/run/netns",
];

/// Commands whose output is a list of things, one on a line.
const LISTS: &[(&str, &[&str])] = &[
    ("addresses", &["ip", "-oneline", "address"]),
    ("routes", &["ip", "route", "show", "table", "all"]),
    ("rules", &["ip", "rule"]),
    ("nftables", &["nft", "--stateless", "list", "ruleset"]),
    ("iptables", &["iptables-save"]),
    ("ip6tables", &["ip6tables-save"]),
];

pub(super) fn all() -> Result<Snapshot> {
    let mut snapshot = Snapshot::new();
    for (kind, command) in LISTS {
        snapshot.insert((*kind).to_owned(), list(command)?);
    }
    snapshot.insert("links".into(), links()?);
    snapshot.insert("mounts".into(), mounts()?);
    snapshot.insert("namespaces".into(), namespaces());
    snapshot.insert("processes".into(), processes());
    snapshot.insert("control groups".into(), groups());
    snapshot.insert(
        "files".into(),
        PLACES
            .iter()
            .flat_map(|place| files(Path::new(place)))
            .collect(),
    );
    Ok(snapshot)
}

/// Control groups of VMs and of tests, in every hierarchy.
fn groups() -> BTreeSet<String> {
    let root = Path::new("/sys/fs/cgroup");
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let hierarchies = entries(root).map(|entry| entry.path());
    hierarchies
        .chain([root.to_owned()])
        .flat_map(|hierarchy| entries(&hierarchy).collect::<Vec<_>>())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("ignite"))
        // Upon an empty `ignite` hosts have mounted their own, and it stays for the next.
        .filter(|entry| {
            let groups = entries(&entry.path()).filter(|inner| inner.path().is_dir());
            entry.file_name() != "ignite" || groups.count() > 0
        })
        .map(|entry| entry.path().display().to_string())
        .collect()
}

/// The lines of a command's output, without counters, times and comments.
fn list(command: &[&str]) -> Result<BTreeSet<String>> {
    let output = Command::new(command[0])
        .args(&command[1..])
        .output()
        .with_context(|| format!("cannot run {}", command.join(" ")))?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(" valid_lft").next().unwrap_or(line))
        .map(|line| {
            line.split(" [")
                .next()
                .unwrap_or(line)
                .trim_end()
                .to_owned()
        })
        .filter(|line| !line.is_empty() && !line.contains("expires"))
        .collect())
}

/// Names and kinds of the machine's interfaces.
fn links() -> Result<BTreeSet<String>> {
    let output = Command::new("ip")
        .args(["-details", "-json", "link"])
        .output()
        .context("cannot run ip link")?;
    let links: Vec<serde_json::Value> =
        serde_json::from_slice(&output.stdout).context("the answer of ip link")?;
    Ok(links
        .iter()
        .map(|link| {
            format!(
                "{} {}",
                text(&link["ifname"]),
                text(&link["linkinfo"]["info_kind"])
            )
        })
        .collect())
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or("-")
}

/// Mount point, file system and source of every mount.
fn mounts() -> Result<BTreeSet<String>> {
    let table = fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    Ok(table
        .lines()
        .map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" "))
        .collect())
}

/// Every network, process and mount namespace a process is in, with one of its
/// processes' names.
fn namespaces() -> BTreeSet<String> {
    let mut owners = BTreeMap::new();
    for (pid, name) in pids() {
        for kind in ["net", "pid", "mnt"] {
            if let Ok(namespace) = fs::read_link(format!("/proc/{pid}/ns/{kind}")) {
                owners
                    .entry(namespace.display().to_string())
                    .or_insert_with(|| name.clone());
            }
        }
    }
    // The machine's own services come and go in namespaces of their own; what
    // is a leftover of ours is told by its process.
    owners
        .into_iter()
        .filter(|(_, name)| {
            PROGRAMS.iter().any(|program| name.starts_with(program)) || name == "unshare"
        })
        .map(|(namespace, name)| format!("{namespace} ({name})"))
        .collect()
}

/// Processes of the programs under test, by pid and name.
fn processes() -> BTreeSet<String> {
    pids()
        .filter(|(_, name)| PROGRAMS.iter().any(|program| name.starts_with(program)))
        .map(|(pid, name)| format!("{pid} {name}"))
        .collect()
}

/// Every process: pid and name of its program's file.
fn pids() -> impl Iterator<Item = (u32, String)> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let program = fs::read_link(entry.path().join("exe")).ok()?;
            Some((pid, program.file_name()?.to_string_lossy().into_owned()))
        })
}

/// A directory's files, all the way down; nothing if it is not there.
fn files(path: &Path) -> Vec<String> {
    let Ok(kind) = fs::symlink_metadata(path) else {
        return Vec::new();
    };
    let mut found = vec![path.display().to_string()];
    if kind.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        found.extend(entries.flat_map(|entry| files(&entry.path())));
    }
    found
}
