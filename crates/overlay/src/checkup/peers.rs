//! The other hosts: who they are, whether they may be asked, and whether they answer.
//!
//! Everybody who can write to etcd can write a lease: an address that no host has, or that is not of
//! the overlay, is told and not sent to.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ignite_host::echo::SMALLEST;
use ipnet::{IpNet, Ipv4Net};
use serde::Serialize;

use super::endpoint::milliseconds;
use super::probe::{Outcome, Wanted, probe};
use super::records::{Records, written};
use super::trouble::Trouble;
use super::verdict::{Asked, Carrier, Outcomes, Reachable, Verdict};
use super::{Node, Probe};
use crate::agent::status::{PEERS, Status};
use crate::agent::troubles;
use crate::backend::{self, peer};
use crate::config::Backend;
use crate::lease::{Attributes, Lease, Subnet};

/// So many are asked; of the others nothing is known.
const ASKED: usize = 1000;

/// Another host.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Its subnet.
    pub subnet: Ipv4Net,
    /// Where it is reached.
    pub public_ip: Ipv4Addr,
    /// Its backend; null for `udp` and `alloc`, and for a reservation whose host has not joined.
    pub backend: Option<String>,
    /// When its lease was new or said something new, in seconds since 1970, as far as the agent knows.
    pub last_change: Option<u64>,
    /// Whether it answers through the overlay.
    pub reachable: Reachable,
    /// How long an echo through the overlay takes, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// Why it does not answer, or was not asked.
    pub hint: Option<String>,
}

/// What is known of a host before it is asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Known {
    subnet: Ipv4Net,
    public_ip: Ipv4Addr,
    backend: Option<String>,
    changed: Option<u64>,
    /// There is no lease that ends.
    reserved: bool,
}

/// What to do about a host.
enum Plan {
    /// Ask it.
    Ask(Asked),
    /// Leave it, and say why.
    Leave(Verdict),
}

/// All but this one, by subnet: what etcd has, and the agent's word where etcd does not answer.
pub(super) fn known(node: &Node, status: Option<&Status>, records: Option<&Records>) -> Vec<Known> {
    let said = status
        .map(|status| status.peers.as_slice())
        .unwrap_or_default();
    let changed: BTreeMap<Ipv4Net, u64> = said
        .iter()
        .map(|peer| (peer.subnet, peer.changed))
        .collect();
    let mut all: Vec<Known> = match records {
        Some(records) => records
            .found()
            .iter()
            .map(|found| {
                let (subnet, attributes) = (found.lease.subnet.v4, &found.lease.attributes);
                Known {
                    subnet,
                    public_ip: attributes.public_ip,
                    backend: attributes.backend.as_deref().map(crate::json::quoted),
                    changed: changed.get(&subnet).copied(),
                    reserved: found.lease_id.is_none(),
                }
            })
            .collect(),
        None => said
            .iter()
            .map(|peer| Known {
                subnet: peer.subnet,
                public_ip: peer.public_ip,
                backend: peer.backend.clone(),
                changed: Some(peer.changed),
                reserved: false,
            })
            .collect(),
    };
    let own = |known: &Known| match node.subnet {
        Some(subnet) => known.subnet == subnet,
        None => Some(known.public_ip) == node.public_ip,
    };
    all.retain(|known| !own(known));
    all.sort_by_key(|known| known.subnet);
    all.truncate(PEERS);
    all
}

/// Asks those that may be asked.
pub(super) async fn look(
    known: Vec<Known>,
    node: &Node,
    records: Option<&Records>,
    wish: Probe,
) -> (Vec<Peer>, Vec<Trouble>) {
    let backend = records.and_then(Records::backend);
    let plan = |(index, known): (usize, &Known)| match plan(known, node, backend) {
        Plan::Ask(_) if wish == Probe::Nothing => Plan::Leave(Verdict::unknown("it was not asked")),
        Plan::Ask(_) if index >= ASKED => {
            Plan::Leave(Verdict::unknown(format!("only {ASKED} hosts are asked")))
        }
        plan => plan,
    };
    let plans: Vec<Plan> = known.iter().enumerate().map(plan).collect();
    let asked = plans.iter().filter_map(|plan| match plan {
        Plan::Ask(asked) => Some(*asked),
        Plan::Leave(_) => None,
    });
    let mut answers = ask(asked.collect()).await.into_iter();
    let mut troubles = Vec::new();
    let mut peers = Vec::new();
    for (known, plan) in known.into_iter().zip(plans) {
        let verdict = match plan {
            Plan::Leave(verdict) => verdict,
            Plan::Ask(_) => answers.next().expect("an answer for each that is asked"),
        };
        troubles.extend(verdict.trouble);
        peers.push(Peer {
            subnet: known.subnet,
            public_ip: known.public_ip,
            backend: known.backend,
            last_change: known.changed,
            reachable: verdict.reachable,
            round_trip_ms: verdict.round_trip.map(milliseconds),
            hint: verdict.hint,
        });
    }
    (peers, troubles)
}

/// A verdict for each.
async fn ask(all: Vec<Asked>) -> Vec<Verdict> {
    if all.is_empty() {
        return Vec::new();
    }
    let wanted: Vec<Vec<Wanted>> = all.iter().map(|asked| echoes(asked).to_vec()).collect();
    // A thread of the runtime's, in the namespace of this one.
    let outcomes = tokio::task::spawn_blocking(move || probe(&wanted)).await;
    let why = match outcomes {
        Ok(Ok(outcomes)) => {
            let outcomes = outcomes.into_iter().zip(&all);
            return outcomes
                .map(|(outcomes, asked)| judge(asked, outcomes))
                .collect();
        }
        Ok(Err(error)) => {
            let hint = error.hint().map(|hint| format!(" ({hint})"));
            format!(
                "{}{}",
                crate::agent::chain(&error),
                hint.unwrap_or_default()
            )
        }
        Err(_) => "the echoes were not sent".to_owned(),
    };
    all.iter().map(|_| Verdict::unknown(why.clone())).collect()
}

/// In the order of [`Outcomes`].
fn echoes(asked: &Asked) -> [Wanted; 3] {
    let overlay = match asked.carrier {
        Carrier::Tunnel { .. } => asked.subnet.network(),
        Carrier::Route => asked.gateway(),
    };
    let small = |to| Wanted { to, size: SMALLEST };
    let large = Wanted {
        to: overlay,
        size: asked.mtu as usize,
    };
    [small(overlay), small(asked.public_ip), large]
}

fn judge(asked: &Asked, outcomes: Vec<Outcome>) -> Verdict {
    match <[Outcome; 3]>::try_from(outcomes) {
        Ok([overlay, public, large]) => asked.verdict(&Outcomes {
            overlay,
            public,
            large,
        }),
        Err(_) => Verdict::unknown("it was not asked"),
    }
}

fn plan(known: &Known, node: &Node, backend: Option<&Backend>) -> Plan {
    let kind = node.backend.as_deref().or(backend.map(Backend::kind));
    let (Some(own), Some(network), Some(public_ip), Some(mtu), Some(kind)) =
        (node.subnet, node.network, node.public_ip, node.mtu, kind)
    else {
        return Plan::Leave(Verdict::unknown("this host has no subnet"));
    };
    if let Some(trouble) = refusal(known, network, own, public_ip) {
        return Plan::Leave(Verdict {
            reachable: Reachable::Unknown,
            round_trip: None,
            hint: Some(trouble.text.clone()),
            trouble: Some(trouble),
        });
    }
    if known.backend.as_deref() != written(kind) {
        let hint = match (known.reserved, &known.backend) {
            (true, None) => "reserved; its host has not joined".to_owned(),
            (_, theirs) => format!(
                "its backend is {}, that of this host {kind}",
                theirs.as_deref().unwrap_or("udp or alloc")
            ),
        };
        return Plan::Leave(Verdict::unknown(hint));
    }
    match carrier(kind, backend) {
        None => Plan::Leave(Verdict::unknown("the backend alloc carries no packets")),
        Some(carrier) => Plan::Ask(Asked {
            subnet: known.subnet,
            public_ip: known.public_ip,
            carrier,
            mtu,
        }),
    }
}

/// How packets get to others; `None` if not at all. The configuration's ports hold only for the
/// backend that this host has.
fn carrier(kind: &str, backend: Option<&Backend>) -> Option<Carrier> {
    let port = match (kind, backend) {
        ("alloc", _) => return None,
        ("host-gw", _) => return Some(Carrier::Route),
        ("vxlan", Some(Backend::Vxlan { port, .. })) => {
            port.filter(|port| *port > 0).unwrap_or(8472)
        }
        ("wireguard", Some(Backend::Wireguard { listen_port, .. })) => *listen_port,
        ("udp", Some(Backend::Udp { port })) => *port,
        ("wireguard", _) => 51_820,
        ("udp", _) => 8285,
        _ => 8472,
    };
    Some(Carrier::Tunnel { port })
}

/// Why nothing may be sent to it.
fn refusal(known: &Known, network: Ipv4Net, own: Ipv4Net, public_ip: Ipv4Addr) -> Option<Trouble> {
    let node = peer::Node {
        networks: vec![IpNet::V4(network)],
        subnet: Subnet { v4: own, v6: None },
        addresses: vec![IpAddr::V4(public_ip)],
    };
    let lease = Lease {
        subnet: Subnet {
            v4: known.subnet,
            v6: None,
        },
        attributes: Attributes {
            public_ip: known.public_ip,
            public_ipv6: None,
            backend: known.backend.clone(),
            data: None,
            v6_data: None,
        },
    };
    let (subnet, source) = node.half_v4(&lease).err()?;
    Some(troubles::of_backend(&backend::Error::Lease {
        subnet,
        source,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkup::{AgentState, Kind};

    fn node(backend: &str) -> Node {
        Node {
            agent: AgentState::Running,
            pid: None,
            backend: Some(backend.to_owned()),
            network: "10.5.0.0/16".parse().ok(),
            ipv6_network: None,
            subnet: "10.5.1.0/24".parse().ok(),
            ipv6_subnet: None,
            interface: None,
            public_ip: "10.99.0.11".parse().ok(),
            public_ipv6: None,
            device: None,
            mtu: Some(1450),
            lease_seconds_left: None,
            reserved: false,
            free_subnets: None,
        }
    }

    fn host(subnet: &str, public_ip: &str, backend: Option<&str>) -> Known {
        Known {
            subnet: subnet.parse().expect("a network"),
            public_ip: public_ip.parse().expect("an address"),
            backend: backend.map(str::to_owned),
            changed: None,
            reserved: false,
        }
    }

    fn left(known: &Known, node: &Node) -> Verdict {
        match plan(known, node, None) {
            Plan::Leave(verdict) => verdict,
            Plan::Ask(asked) => panic!("{asked:?}"),
        }
    }

    #[test]
    fn what_is_no_host_is_told_and_never_asked() {
        for (subnet, public_ip) in [
            ("10.5.2.0/24", "127.0.0.1"),
            ("10.5.2.0/24", "224.0.0.1"),
            ("10.5.2.0/24", "255.255.255.255"),
            ("10.5.2.0/24", "0.0.0.0"),
            ("10.5.2.0/24", "10.99.0.11"),
            ("10.5.2.0/24", "10.5.9.9"),
            ("10.5.1.0/25", "10.99.0.12"),
            ("10.5.0.0/16", "10.99.0.12"),
            ("127.0.0.0/24", "10.99.0.12"),
            ("0.0.0.0/0", "10.99.0.12"),
        ] {
            let verdict = left(&host(subnet, public_ip, Some("vxlan")), &node("vxlan"));
            let trouble = verdict.trouble.expect("told");
            assert!(
                matches!(trouble.kind, Kind::PeerRefused | Kind::SharedPublicIp),
                "{trouble:?}"
            );
            assert_eq!(verdict.reachable, Reachable::Unknown);
        }
    }

    #[test]
    fn who_has_no_way_here_is_not_asked() {
        let other = host("10.5.2.0/24", "10.99.0.12", Some("host-gw"));
        let hint = |known: &Known, backend| left(known, &node(backend)).hint.expect("why");
        assert_eq!(
            hint(&other, "vxlan"),
            "its backend is host-gw, that of this host vxlan"
        );
        let mut bare = host("10.5.2.0/24", "10.99.0.12", None);
        assert!(hint(&bare, "vxlan").contains("udp or alloc"));
        assert!(hint(&bare, "alloc").contains("carries no packets"));
        bare.reserved = true;
        assert_eq!(hint(&bare, "vxlan"), "reserved; its host has not joined");
        let mut starting = node("vxlan");
        starting.subnet = None;
        assert_eq!(
            left(&other, &starting).hint.as_deref(),
            Some("this host has no subnet")
        );
    }

    #[test]
    fn each_backend_is_asked_in_its_way() {
        let echoes_of = |backend: &str, config: Option<&Backend>| {
            let name = written(backend);
            let known = host("10.5.2.0/24", "10.99.0.12", name);
            let Plan::Ask(asked) = plan(&known, &node(backend), config) else {
                panic!("not asked");
            };
            let [small, public, large] = echoes(&asked);
            assert_eq!(public.to, known.public_ip);
            assert_eq!((large.to, large.size), (small.to, 1450));
            (small.to.octets()[3], asked.carrier)
        };
        let tunnel = |port| (0, Carrier::Tunnel { port });
        assert_eq!(echoes_of("vxlan", None), tunnel(8472));
        assert_eq!(echoes_of("udp", None), tunnel(8285));
        assert_eq!(echoes_of("wireguard", None), tunnel(51_820));
        assert_eq!(echoes_of("host-gw", None), (1, Carrier::Route));
        let mut vxlan = Backend::vxlan();
        if let Backend::Vxlan { port, .. } = &mut vxlan {
            *port = Some(4789);
        }
        assert_eq!(echoes_of("vxlan", Some(&vxlan)), tunnel(4789));
        // The configuration changed, this host did not.
        assert_eq!(echoes_of("udp", Some(&vxlan)), tunnel(8285));
    }
}
