//! What is wrong with this host's part of the overlay, and what to do about it: looked at from
//! outside, whether the agent runs or not.
//!
//! ```text
//!   status file ---- what the agent knows, its troubles --.
//!   each etcd endpoint, by itself: name, connection, TLS,  |
//!      records, clock                                      +--> Checkup: node, etcd, peers, troubles
//!   certificates, devices of this host                     |
//!   an echo to each peer: through the overlay and under it '
//! ```
//!
//! Nothing is changed, and everything has an end: fifteen seconds at the most, however many hosts are
//! silent or slow: an etcd of which not all is known by then counts as silent. Texts are for people; programs go by [`Kind`].

mod certificate;
mod device;
mod endpoint;
mod entrance;
mod peers;
mod probe;
mod records;
mod trouble;
mod verdict;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::SystemTime;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::Serialize;

pub use endpoint::{Endpoint, EndpointState};
pub use peers::Peer;
pub(crate) use trouble::sentence;
pub use trouble::{Kind, TOLD, Trouble, bounded};
pub use verdict::Reachable;

use crate::agent::status::Status;
use crate::etcd::Settings;
use records::Records;

/// Where to look.
#[derive(Debug, Clone)]
pub struct Place {
    /// How etcd is reached, with its TLS files.
    pub etcd: Settings,
    /// Where the network's records begin.
    pub prefix: String,
    /// What the agent writes ([`Options::status_file`](crate::agent::Options)).
    pub status_file: PathBuf,
    /// Where hosts join, `HOST:PORT`, if the overlay has such an endpoint.
    pub entrance: Option<String>,
}

/// Whether peers are asked for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// All of them, within 2 seconds; the first 1,000 if there are more.
    Peers,
    /// None: what is known is told.
    Nothing,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkup {
    /// This host.
    pub node: Node,
    /// Each endpoint of etcd, in the order given.
    pub etcd: Vec<Endpoint>,
    /// The other hosts by subnet; at most [`PEERS`](crate::agent::status::PEERS).
    pub peers: Vec<Peer>,
    /// What is wrong, the gravest first; at most [`TOLD`].
    pub troubles: Vec<Trouble>,
}

/// Whether the agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AgentState {
    /// It does.
    Running,
    /// It does not.
    Stopped,
}

/// This host. What is not known is null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Whether its agent runs.
    pub agent: AgentState,
    /// The agent's process.
    pub pid: Option<u32>,
    /// Which backend.
    pub backend: Option<String>,
    /// The network of all hosts.
    pub network: Option<Ipv4Net>,
    /// The same for IPv6.
    pub ipv6_network: Option<Ipv6Net>,
    /// This host's subnet.
    pub subnet: Option<Ipv4Net>,
    /// The same for IPv6.
    pub ipv6_subnet: Option<Ipv6Net>,
    /// The interface by which it reaches the others.
    pub interface: Option<String>,
    /// Where they reach it.
    pub public_ip: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub public_ipv6: Option<Ipv6Addr>,
    /// The device that has the subnet's own address.
    pub device: Option<String>,
    /// MTU of the overlay in bytes, as containers and VMs are told.
    pub mtu: Option<u32>,
    /// Seconds until the lease ends unless renewed, by etcd's clock, or the agent's word where etcd
    /// does not answer.
    pub lease_seconds_left: Option<u64>,
    /// The subnet is reserved: there is no lease that ends.
    pub reserved: bool,
    /// Subnets that no host has.
    pub free_subnets: Option<u64>,
}

/// Looks at everything. Works in the network namespace of the calling thread, within a runtime of tokio.
pub async fn check(place: &Place, probe: Probe) -> Checkup {
    let now = SystemTime::now();
    let status = Status::read(&place.status_file);
    let running = status.as_ref().filter(|known| known.process.is_running());
    let mut troubles = of_agent(status.as_ref(), running.is_some(), place);
    let (endpoints, entrance) =
        futures_util::future::join(endpoint::ask_all(place), entrance::ask(place)).await;
    let mut etcd = Vec::new();
    let mut records: Option<Records> = None;
    for answer in endpoints {
        troubles.extend(answer.troubles);
        etcd.push(answer.endpoint);
        records = records.or(answer.records);
    }
    troubles.extend(entrance);
    troubles.extend(certificate::look(place.etcd.tls.as_ref(), now));
    let mut node = node(status.as_ref(), running.is_some(), now);
    if let Some(records) = &records {
        troubles.extend(records.look(&mut node, &place.prefix).await);
    }
    troubles.extend(device::look(&mut node));
    let known = peers::known(&node, status.as_ref(), records.as_ref());
    let (peers, found) = peers::look(known, &node, records.as_ref(), probe).await;
    troubles.extend(found);
    Checkup {
        node,
        etcd,
        peers,
        troubles: bounded(troubles),
    }
}

/// What the agent says, or that it says nothing.
fn of_agent(status: Option<&Status>, running: bool, place: &Place) -> Vec<Trouble> {
    match status {
        Some(status) if running => status.troubles.clone(),
        Some(status) => {
            let stopped = Trouble::new(
                Kind::AgentNotRunning,
                "The agent of this host does not run: traffic goes on as it was, but the lease is \
                 not renewed and changes of other hosts are not followed",
                "start it: ignite overlay start; why it ended: ignite overlay logs",
            );
            std::iter::once(stopped)
                .chain(status.ended.clone())
                .collect()
        }
        None => {
            let file = place.status_file.display();
            let text = format!("The agent of this host does not run: it has written no {file}");
            let remedy = "start it: ignite overlay start; on a host that is of no overlay yet: \
                          ignite overlay init, or join where there is one";
            vec![Trouble::new(Kind::AgentNotRunning, text, remedy)]
        }
    }
}

/// What the agent knows of this host, and knew before it ended.
fn node(status: Option<&Status>, running: bool, now: SystemTime) -> Node {
    let agent = match running {
        true => AgentState::Running,
        false => AgentState::Stopped,
    };
    let now = crate::agent::status::seconds(now);
    let left = |status: &Status| Some(status.lease_expires?.saturating_sub(now));
    Node {
        agent,
        pid: status.filter(|_| running).map(|known| known.process.pid),
        backend: status.and_then(|known| known.backend.clone()),
        network: status.and_then(|known| known.network),
        ipv6_network: status.and_then(|known| known.ipv6_network),
        subnet: status.and_then(|known| known.subnet),
        ipv6_subnet: status.and_then(|known| known.ipv6_subnet),
        interface: status.and_then(|known| known.interface.clone()),
        public_ip: status.and_then(|known| known.public_ip),
        public_ipv6: status.and_then(|known| known.public_ipv6),
        device: None,
        mtu: status.and_then(|known| known.mtu),
        lease_seconds_left: status.and_then(left),
        reserved: status
            .is_some_and(|known| known.subnet.is_some() && known.lease_expires.is_none()),
        free_subnets: None,
    }
}
