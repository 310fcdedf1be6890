//! An overlay as its agent's status file has it: nobody is asked, so nothing is waited for.

use ignite_overlay::agent::status::Status;
use serde::Serialize;

use super::error::OverlayError;
use super::place::OverlayName;
use crate::Engine;

/// Other hosts that are told of, at most.
const PEERS: usize = 64;

/// How this host is in an overlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OverlaySeen {
    /// The overlay's name.
    pub name: String,
    /// The CNI network's name.
    pub network: String,
    /// Whether its agent runs.
    pub running: bool,
    /// This host's subnet.
    pub subnet: Option<String>,
    /// Which backend.
    pub backend: Option<String>,
    /// How many other hosts there are.
    pub hosts: usize,
    /// The first of them.
    pub peers: Vec<PeerSeen>,
}

/// Another host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerSeen {
    /// Its subnet.
    pub subnet: String,
    /// Where it is reached.
    pub address: String,
}

impl Engine {
    /// The overlay of this name, by what its agent wrote last.
    pub fn overlay_seen(&self, name: &OverlayName) -> Result<OverlaySeen, OverlayError> {
        let (place, _) = self.overlay_record(name)?;
        Ok(seen(name, Status::read(&place.status()).as_ref()))
    }
}

fn seen(name: &OverlayName, status: Option<&Status>) -> OverlaySeen {
    let peers = status.map(|status| status.peers.as_slice());
    let peers = peers.unwrap_or_default();
    let told = peers.iter().take(PEERS).map(|peer| PeerSeen {
        subnet: peer.subnet.to_string(),
        address: peer.public_ip.to_string(),
    });
    OverlaySeen {
        name: name.to_string(),
        network: name.network().to_owned(),
        running: status.is_some_and(|status| status.process.is_running()),
        subnet: status.and_then(|status| Some(status.subnet?.to_string())),
        backend: status.and_then(|status| status.backend.clone()),
        hosts: peers.len(),
        peers: told.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_overlay::agent::status::{PeerStatus, Process};

    #[test]
    fn many_hosts_are_counted_and_few_are_told() {
        let process = Process { pid: 0, started: 0 };
        let mut status = Status::new(process, &[], "/coreos.com/network");
        let peer = PeerStatus {
            subnet: "10.62.3.0/24".parse().expect("a subnet"),
            public_ip: "192.0.2.3".parse().expect("an address"),
            public_ipv6: None,
            backend: None,
            changed: 0,
        };
        status.peers = vec![peer; 100];
        let seen = seen(&OverlayName::default(), Some(&status));
        assert_eq!((seen.hosts, seen.peers.len()), (100, PEERS));
        assert_eq!(seen.peers[0].address, "192.0.2.3");
        assert!(!seen.running);
    }

    #[test]
    fn an_agent_that_never_ran_is_an_overlay_still() {
        let seen = seen(&OverlayName::default(), None);
        assert_eq!((seen.hosts, seen.subnet), (0, None));
    }
}
