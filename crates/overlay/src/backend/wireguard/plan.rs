//! Which peers the devices should have: values, no system call.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::{Options, Peer, TYPE};
use crate::backend::Error;
use crate::backend::peer::{Half, Node, Refusal};
use crate::lease::Lease;
use crate::lease::data::{WireguardData, wireguard_key};

/// What is wanted of the devices, by subnet.
pub type Peers = BTreeMap<IpNet, Peer>;

/// The peers that `leases` ask for, and which leases are not used. `own` is this node's public key.
pub fn plan<'a>(
    node: &Node,
    options: &Options,
    own: &[u8; 32],
    leases: impl Iterator<Item = &'a Lease>,
) -> (Peers, Vec<Error>) {
    let (mut peers, mut errors) = (Peers::new(), Vec::new());
    // A key can be that of one peer only, in each family.
    let mut keys = BTreeSet::new();
    let others = leases
        .filter(|lease| lease.subnet != node.subnet)
        .filter(|lease| lease.attributes.backend.as_deref() == Some(TYPE));
    for lease in others {
        let v4 = (node.half_v4(lease), &lease.attributes.data, options.port);
        let v6 =
            (node.half_v6(lease)).map(|half| (half, &lease.attributes.v6_data, options.port_v6));
        for (half, data, port) in std::iter::once(v4).chain(v6) {
            let peer = half.and_then(|half| {
                let peer = peer(half, data.as_ref(), port, options)?;
                let family = matches!(half.subnet, IpNet::V6(_));
                match peer.key != *own && keys.insert((family, peer.key)) {
                    true => Ok(peer),
                    false => Err((half.subnet, Refusal::Key)),
                }
            });
            match peer {
                Ok(peer) => drop(peers.insert(peer.subnet, peer)),
                Err((subnet, source)) => errors.push(Error::Lease { subnet, source }),
            }
        }
    }
    (peers, errors)
}

fn peer(
    half: Half,
    data: Option<&Value>,
    port: u16,
    options: &Options,
) -> Result<Peer, (IpNet, Refusal)> {
    let data = data.and_then(|data| WireguardData::parse(data).ok());
    let known = data.and_then(|data| Some((wireguard_key(&data.public_key)?, data.port)));
    let (key, theirs) = known.ok_or((half.subnet, Refusal::Data))?;
    Ok(Peer {
        key,
        preshared: options.preshared,
        endpoint: SocketAddr::new(half.public, theirs.unwrap_or(port)),
        subnet: half.subnet,
        keepalive: options.keepalive,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::testing::{lease, node};
    use crate::backend::wireguard::key::encode;
    use serde_json::json;

    fn wireguard_lease(subnet: &str, public: &str, data: Value) -> Lease {
        let mut lease = lease(subnet, public, Some(TYPE));
        lease.attributes.data = Some(data);
        lease
    }

    #[test]
    fn a_peer_is_its_key_its_endpoint_and_its_subnet() {
        let key = |byte: u8| encode(&[byte; 32]);
        let leases = [
            wireguard_lease("10.5.5.0/24", "10.99.0.12", json!({"PublicKey": key(1)})),
            wireguard_lease(
                "10.5.6.0/24",
                "10.99.0.13",
                json!({"publickey": key(2), "Port": 7}),
            ),
            wireguard_lease("10.5.7.0/24", "10.99.0.14", json!({"PublicKey": key(2)})),
            wireguard_lease("10.5.8.0/24", "10.99.0.15", json!({"PublicKey": key(9)})),
            wireguard_lease("10.5.10.0/24", "10.99.0.16", json!({"PublicKey": "no"})),
            lease("10.5.11.0/24", "10.99.0.17", Some("vxlan")),
        ];
        let (peers, errors) = plan(&node(), &Options::default(), &[9; 32], leases.iter());
        let endpoints: Vec<String> = (peers.values())
            .map(|peer| format!("{} {}", peer.subnet, peer.endpoint))
            .collect();
        assert_eq!(
            endpoints,
            ["10.5.5.0/24 10.99.0.12:51820", "10.5.6.0/24 10.99.0.13:7"]
        );
        let reason = |error: &Error| std::error::Error::source(error).map(ToString::to_string);
        let reasons: Vec<String> = errors.iter().filter_map(reason).collect();
        assert_eq!(reasons.len(), 3, "{reasons:?}");
        assert!(reasons[0].contains("public key") && reasons[2].contains("data"));
    }
}
