//! What an agent says of itself in a file, for `ignite overlay status`: from its very start, and of
//! things that are not known yet nothing.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::SystemTime;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::checkup::Trouble;

/// So many peers are in the file.
pub const PEERS: usize = 5000;
/// The largest file that is read, in bytes: some 300 for each peer, some 500 for each trouble.
const MAX_BYTES: u64 = 4 << 20;

/// The name of the program, as the kernel has it.
const PROGRAM: &str = "ignite-overlay";

/// The state of an agent. Moments are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Its process.
    #[serde(flatten)]
    pub process: Process,
    /// Client URLs of etcd.
    pub endpoints: Vec<String>,
    /// Where its records begin.
    pub prefix: String,
    /// Which backend.
    pub backend: Option<String>,
    /// The network of all nodes.
    pub network: Option<Ipv4Net>,
    /// The same for IPv6.
    pub ipv6_network: Option<Ipv6Net>,
    /// This node's subnet.
    pub subnet: Option<Ipv4Net>,
    /// The same for IPv6.
    pub ipv6_subnet: Option<Ipv6Net>,
    /// The interface by which it reaches the others.
    pub interface: Option<String>,
    /// Where they reach it.
    pub public_ip: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub public_ipv6: Option<Ipv6Addr>,
    /// MTU of the overlay in bytes.
    pub mtu: Option<u32>,
    /// When its lease ends unless renewed; none for a reservation.
    pub lease_expires: Option<u64>,
    /// The configuration in etcd is another than that it follows: it takes a restart.
    pub configuration_changed: bool,
    /// What is wrong at the moment; at most [`TOLD`](crate::checkup::TOLD).
    pub troubles: Vec<Trouble>,
    /// Why it ended, if it did by itself.
    pub ended: Option<Trouble>,
    /// The other nodes; at most [`PEERS`].
    pub peers: Vec<PeerStatus>,
}

/// A process, not to be taken for another one that has its number later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it started, in the kernel's ticks since the boot.
    pub started: u64,
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerStatus {
    /// Its subnet.
    pub subnet: Ipv4Net,
    /// Where it is reached.
    pub public_ip: Ipv4Addr,
    /// The same for IPv6.
    pub public_ipv6: Option<Ipv6Addr>,
    /// Its backend; none for `udp` and `alloc`.
    pub backend: Option<String>,
    /// When its lease was new or said something new.
    pub changed: u64,
}

impl Status {
    /// Of an agent that starts.
    pub fn new(process: Process, endpoints: &[String], prefix: &str) -> Self {
        Self {
            process,
            endpoints: endpoints.to_vec(),
            prefix: prefix.to_owned(),
            backend: None,
            network: None,
            ipv6_network: None,
            subnet: None,
            ipv6_subnet: None,
            interface: None,
            public_ip: None,
            public_ipv6: None,
            mtu: None,
            lease_expires: None,
            configuration_changed: false,
            troubles: Vec::new(),
            ended: None,
            peers: Vec::new(),
        }
    }

    /// Writes the file, as a whole.
    pub fn write(&self, path: &Path) -> Result<(), ignite_host::fs::Error> {
        let text = serde_json::to_vec_pretty(self).expect("plain data is always JSON");
        ignite_host::fs::write_atomic(path, &text, 0o644)
    }

    /// Reads it; none where it is not there, or is another version's.
    pub fn read(path: &Path) -> Option<Self> {
        let bytes = ignite_host::fs::read_bounded(path, MAX_BYTES).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

impl Process {
    /// This one.
    pub fn own() -> Self {
        let pid = std::process::id();
        let started = stat(pid).and_then(|stat| started(&stat));
        Self {
            pid,
            started: started.unwrap_or_default(),
        }
    }

    /// Whether it runs, and is an agent.
    pub fn is_running(&self) -> bool {
        stat(self.pid).is_some_and(|stat| {
            started(&stat) == Some(self.started) && name(&stat) == Some(PROGRAM)
        })
    }
}

/// What the kernel says of a process (proc_pid_stat(5)).
fn stat(pid: u32) -> Option<String> {
    // The only part of unbounded length is the name, of which the kernel keeps 15 bytes.
    let path = format!("/proc/{pid}/stat");
    let bytes = ignite_host::fs::read_bounded(Path::new(&path), 4096).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Field 2: the name, which may have brackets and blanks of its own.
fn name(stat: &str) -> Option<&str> {
    let (before, _) = stat.rsplit_once(')')?;
    before.split_once('(').map(|(_, name)| name)
}

/// Field 22: when it started. A zombie, field 3, runs no more.
fn started(stat: &str) -> Option<u64> {
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_ascii_whitespace();
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(18)?.parse().ok())?
}

/// Seconds since 1970.
pub(crate) fn seconds(moment: SystemTime) -> u64 {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "12 (a) b (c)) S 1 12 12 0 -1 4194560 1 0 0 0 5 6 7 8 20 0 1 0 4711 1 2 3";

    #[test]
    fn processes_are_told_apart_by_their_start() {
        assert_eq!(started(STAT), Some(4711));
        assert_eq!(name(STAT), Some("a) b (c)"));
        assert_eq!(started(&STAT.replace(" S ", " Z ")), None);
        assert_eq!(started("12 (a"), None);
        let own = Process::own();
        assert_ne!(own.started, 0);
        // This is a test program.
        assert!(!own.is_running());
    }

    #[test]
    fn what_is_not_known_yet_is_nothing() {
        let process = Process { pid: 1, started: 2 };
        let status = Status::new(process, &["http://a:1".to_owned()], "/p");
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("status.json");
        assert_eq!(Status::read(&path), None);
        status.write(&path).expect("written");
        assert_eq!(Status::read(&path), Some(status));
        let text = std::fs::read_to_string(&path).expect("there");
        assert!(text.contains("\"pid\": 1") && text.contains("\"subnet\": null"));
        // What another version wrote.
        std::fs::write(&path, r#"{"pid":1}"#).expect("written");
        assert_eq!(Status::read(&path), None);
    }
}
