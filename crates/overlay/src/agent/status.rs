//! What an agent says of itself in a file, for `ignite overlay status`.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::SystemTime;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// The largest file that is read, in bytes: some 300 for each of 5,000 peers.
const MAX_BYTES: u64 = 4 << 20;

/// The state of an agent. Moments are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// Client URLs of etcd.
    pub endpoints: Vec<String>,
    /// Where its records begin.
    pub prefix: String,
    /// Which backend.
    pub backend: String,
    /// The network of all nodes.
    pub network: Option<Ipv4Net>,
    /// The same for IPv6.
    pub ipv6_network: Option<Ipv6Net>,
    /// This node's subnet.
    pub subnet: Ipv4Net,
    /// The same for IPv6.
    pub ipv6_subnet: Option<Ipv6Net>,
    /// The interface by which it reaches the others.
    pub interface: String,
    /// Where they reach it.
    pub public_ip: Ipv4Addr,
    /// The same for IPv6.
    pub public_ipv6: Option<Ipv6Addr>,
    /// MTU of the overlay in bytes.
    pub mtu: u32,
    /// When its lease ends unless renewed; none for a reservation.
    pub lease_expires: Option<u64>,
    /// The configuration in etcd is another than that it follows: it takes a restart.
    pub configuration_changed: bool,
    /// What is wrong at the moment.
    pub troubles: Vec<String>,
    /// The other nodes.
    pub peers: Vec<PeerStatus>,
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerStatus {
    /// Its subnet.
    pub subnet: Ipv4Net,
    /// Where it is reached.
    pub public_ip: Ipv4Addr,
    /// Its backend; none for `udp` and `alloc`.
    pub backend: Option<String>,
    /// When its lease was new or said something new.
    pub changed: u64,
}

impl Status {
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

/// Seconds since 1970.
pub(super) fn seconds(moment: SystemTime) -> u64 {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
