//! Peers that are nothing but a lease, and what the kernel should hold for them.

use std::collections::HashSet;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use anyhow::{Context as _, Result};
use ignite_host::link::{Change, Forwarding, Neighbour, Netlink, Route};
use ignite_overlay::etcd::Client;
use ipnet::IpNet;
use tokio::task::JoinSet;

/// What the agent calls its device.
pub const DEVICE: &str = "flannel.1";

/// Where the records begin.
pub const PREFIX: &str = "/bench/network";

/// Room for all of them; the node's own subnet is one of the first, which no peer has.
pub const CONFIG: &str =
    r#"{"Network": "10.0.0.0/8", "SubnetLen": 24, "Backend": {"Type": "vxlan"}}"#;

/// Writes that are on their way to etcd at once.
const TOGETHER: usize = 64;

/// One of 65,000 peers.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub u16);

impl Peer {
    /// `.0` of its /24: its gateway too.
    fn subnet(self) -> Ipv4Addr {
        let [high, low] = self.0.to_be_bytes();
        Ipv4Addr::new(10, high + 1, low, 0)
    }

    fn public(self) -> IpAddr {
        let [high, low] = self.0.to_be_bytes();
        Ipv4Addr::new(198, 18, high, low).into()
    }

    fn mac(self) -> [u8; 6] {
        let [high, low] = self.0.to_be_bytes();
        [2, 0, 0, 0, high, low]
    }

    fn neighbour(self, device: u32) -> Neighbour {
        Neighbour {
            index: device,
            address: self.subnet().into(),
            mac: self.mac(),
        }
    }

    fn forwarding(self, device: u32) -> Forwarding {
        Forwarding {
            index: device,
            mac: self.mac(),
            destination: self.public(),
        }
    }

    /// As `flanneld` writes it.
    pub async fn put(self, client: &Client) -> Result<()> {
        let [.., high, low] = self.mac();
        let key = format!("{PREFIX}/subnets/{}-24", self.subnet());
        let value = format!(
            r#"{{"PublicIP":"{}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"02:00:00:00:{high:02x}:{low:02x}"}}}}"#,
            self.public()
        );
        client.put(&key, value.as_bytes(), None).await?;
        Ok(())
    }
}

/// Writes the leases of all of them.
pub async fn put_all(client: Client, peers: Range<u16>) -> Result<()> {
    let mut writes = JoinSet::new();
    for peer in peers.map(Peer) {
        if writes.len() == TOGETHER {
            writes.join_next().await.context("there are some")???;
        }
        let client = client.clone();
        writes.spawn(async move { peer.put(&client).await });
    }
    while let Some(written) = writes.join_next().await {
        written??;
    }
    Ok(())
}

/// Entries of the kernel for peers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Entries {
    routes: HashSet<(IpAddr, Option<IpAddr>)>,
    neighbours: HashSet<(IpAddr, [u8; 6])>,
    forwardings: HashSet<([u8; 6], IpAddr)>,
}

impl Entries {
    /// What there should be: a route, a neighbour and a forwarding entry for each.
    pub fn of(peers: Range<u16>) -> Self {
        let mut entries = Self::default();
        for peer in peers.map(Peer) {
            let subnet = IpAddr::from(peer.subnet());
            entries.routes.insert((subnet, Some(subnet)));
            entries.neighbours.insert((subnet, peer.mac()));
            entries.forwardings.insert((peer.mac(), peer.public()));
        }
        entries
    }

    /// Whether the kernel has these and no others on the agent's device. The first table where that is
    /// not so ends the look.
    pub fn are_all(&self, netlink: &Netlink) -> Result<bool> {
        let Some(device) = netlink.link(DEVICE)?.map(|link| link.index) else {
            return Ok(false);
        };
        let routes = routes(netlink, device)?.into_iter();
        if !same(
            routes.map(|r| (r.destination.addr(), r.gateway)),
            &self.routes,
        ) {
            return Ok(false);
        }
        let neighbours = netlink.neighbours(device)?.into_iter();
        if !same(neighbours.map(|n| (n.address, n.mac)), &self.neighbours) {
            return Ok(false);
        }
        let forwardings = netlink.forwardings(device)?.into_iter();
        let forwardings = forwardings.map(|entry| (entry.mac, entry.destination));
        Ok(same(forwardings, &self.forwardings))
    }
}

/// `found` has no doubles: the kernel has one entry under each key.
fn same<T: Eq + Hash>(mut found: impl ExactSizeIterator<Item = T>, wanted: &HashSet<T>) -> bool {
    found.len() == wanted.len() && found.all(|entry| wanted.contains(&entry))
}

/// What an agent may find that was away: of each ten peers the entries of three are gone and those of
/// two lead elsewhere, and there are the entries of ten peers without a lease.
pub fn damage(netlink: &Netlink, peers: Range<u16>) -> Result<()> {
    let (device, example) = example(netlink)?;
    let strangers = peers.end..peers.end + 10;
    let harmed = peers.filter_map(|number| harm(Peer(number), device, &example));
    let changes: Vec<Change> = harmed
        .chain(strangers.flat_map(|number| made(Peer(number), device, &example)))
        .collect();
    change(netlink, &changes)
}

/// What sets the entries that an agent has set, all of them.
pub fn settings(netlink: &Netlink, peers: Range<u16>) -> Result<Vec<Change>> {
    let (device, example) = example(netlink)?;
    Ok(peers
        .flat_map(|number| made(Peer(number), device, &example))
        .collect())
}

/// Makes changes, none of which may be refused.
pub fn change(netlink: &Netlink, changes: &[Change]) -> Result<()> {
    for result in netlink.change_all(changes) {
        result?;
    }
    Ok(())
}

/// The agent's device, and one of the routes by it.
fn example(netlink: &Netlink) -> Result<(u32, Route)> {
    let device = netlink.link(DEVICE)?.context("no device")?.index;
    let route = routes(netlink, device)?.into_iter().next();
    Ok((device, route.context("no route")?))
}

fn harm(peer: Peer, device: u32, example: &Route) -> Option<Change> {
    let [route, neighbour, forwarding] = made(peer, device, example);
    match peer.0 % 10 {
        0 => route.undo(),
        1 => neighbour.undo(),
        2 => forwarding.undo(),
        3 => Some(Change::SetNeighbour(Neighbour {
            mac: [6; 6],
            ..peer.neighbour(device)
        })),
        4 => Some(Change::SetForwarding(Forwarding {
            destination: Ipv4Addr::new(198, 19, 0, 1).into(),
            ..peer.forwarding(device)
        })),
        _ => None,
    }
}

/// What the agent makes for a peer; the route like another one of its.
fn made(peer: Peer, device: u32, example: &Route) -> [Change; 3] {
    let subnet = IpAddr::from(peer.subnet());
    let route = Route {
        destination: IpNet::new_assert(subnet, 24),
        gateway: Some(subnet),
        ..example.clone()
    };
    [
        Change::SetRoute(route),
        Change::SetNeighbour(peer.neighbour(device)),
        Change::SetForwarding(peer.forwarding(device)),
    ]
}

fn routes(netlink: &Netlink, device: u32) -> Result<Vec<Route>> {
    let ours = |route: &Route| route.index == Some(device) && route.destination.addr().is_ipv4();
    Ok(netlink.main_routes(ours)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_peers_share_an_entry_or_leave_the_network() {
        let entries = Entries::of(0..6000);
        assert_eq!(entries.routes.len(), 6000);
        assert_eq!(entries.neighbours.len(), 6000);
        assert_eq!(entries.forwardings.len(), 6000);
        assert_eq!(Peer(5999).subnet(), Ipv4Addr::new(10, 24, 111, 0));
    }

    #[test]
    fn each_kind_of_harm_is_done() {
        let example = Route::new(
            IpNet::new_assert(Ipv4Addr::new(10, 0, 0, 0).into(), 24),
            None,
            7,
        );
        let harmed: Vec<Change> = (0..10)
            .filter_map(|number| harm(Peer(number), 7, &example))
            .collect();
        assert!(matches!(
            harmed[..],
            [
                Change::DeleteRoute(_),
                Change::DeleteNeighbour(_),
                Change::DeleteForwarding(_),
                Change::SetNeighbour(_),
                Change::SetForwarding(_),
            ]
        ));
    }
}
