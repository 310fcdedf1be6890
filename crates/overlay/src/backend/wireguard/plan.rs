//! Which devices there should be, and which peers they should have: values, no system call.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ignite_host::wireguard::Secret;
use ipnet::IpNet;
use serde_json::Value;

use super::endpoint::choose;
use super::{Options, TYPE};
use crate::backend::peer::{Half, Node, Refusal};
use crate::backend::{Error, Settings};
use crate::config::Mode;
use crate::lease::data::{WireguardData, wireguard_key};
use crate::lease::{Lease, Subnet};

/// All names devices may have.
pub const NAMES: [&str; 2] = ["flannel-wg", "flannel-wg-v6"];

/// One device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: &'static str,
    /// The UDP port it listens on, over both families.
    pub port: u16,
    /// What is routed into it: the network of one family, or both.
    pub networks: Vec<IpNet>,
}

/// What is wanted of one device, by public key.
pub type Peers = BTreeMap<[u8; 32], Peer>;

/// A node behind a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The key all nodes share, if the configuration has one.
    pub preshared: Option<Secret>,
    /// Where its packets go.
    pub endpoint: SocketAddr,
    /// What may be sent to it, and come from it; no host bits.
    pub subnets: BTreeSet<IpNet>,
    /// Seconds between packets that keep translations on the way alive; 0 for none.
    pub keepalive: u16,
}

/// This node, as its peers see it.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    /// Its networks, subnet and addresses.
    pub node: &'a Node,
    /// Its public key.
    pub key: [u8; 32],
    /// Its public IPv6 address.
    pub public_ipv6: Option<Ipv6Addr>,
}

/// The devices: in mode `separate` one for each family the network has, else one.
pub fn devices(settings: &Settings, options: &Options) -> Vec<Wanted> {
    let v4 = IpNet::from(settings.network.trunc());
    let v6 = settings.ipv6_network.map(|v6| IpNet::from(v6.trunc()));
    let device = |name, port, networks| Wanted {
        name,
        port,
        networks,
    };
    let [name, name_v6] = NAMES;
    match options.mode {
        Mode::Separate => {
            let v6 = v6.map(|v6| device(name_v6, options.port_v6, vec![v6]));
            std::iter::once(device(name, options.port, vec![v4]))
                .chain(v6)
                .collect()
        }
        Mode::Auto | Mode::Ipv4 | Mode::Ipv6 => {
            let networks = std::iter::once(v4).chain(v6).collect();
            vec![device(name, options.port, networks)]
        }
    }
}

/// The peers that `leases` ask for, by device in the order of [`devices`], and which leases are not
/// used.
pub fn plan<'a>(
    own: Own<'_>,
    options: &Options,
    leases: impl Iterator<Item = &'a Lease>,
) -> (Vec<Peers>, Vec<Error>) {
    let (plan, errors) = Plan::of(own, options, leases);
    (plan.devices.into(), errors)
}

/// A peer's place: its device, in the order of [`devices`], and its key.
pub(super) type Slot = (usize, [u8; 32]);

/// The peers of all leases. One lease comes and goes without a look at the others: thousands of them cost
/// no more each than a few.
#[derive(Debug, Default)]
pub(super) struct Plan {
    devices: [Peers; 2],
    /// A subnet is that of one peer only.
    taken: BTreeSet<IpNet>,
    /// What became of each lease.
    slots: BTreeMap<Subnet, Vec<Slot>>,
    /// Leases that came when another had their key. They may be gone by now.
    waiting: BTreeMap<[u8; 32], BTreeSet<Subnet>>,
}

/// How one node is reached through one device.
struct Way<'a> {
    /// Its place in the list of devices.
    device: usize,
    public: IpAddr,
    /// One at least.
    subnets: Vec<IpNet>,
    data: Option<&'a Value>,
    /// The port of nodes that do not tell theirs.
    port: u16,
}

type Refused = (IpNet, Refusal);

fn ways<'a>(own: Own<'_>, options: &Options, lease: &'a Lease) -> Vec<Result<Way<'a>, Refused>> {
    match options.mode {
        Mode::Separate => separate(own.node, options, lease),
        Mode::Auto | Mode::Ipv4 | Mode::Ipv6 => together(own, options, lease),
    }
}

/// Each family over itself.
fn separate<'a>(node: &Node, options: &Options, lease: &'a Lease) -> Vec<Result<Way<'a>, Refused>> {
    let attributes = &lease.attributes;
    let way = |device, half: Half, data: &'a Option<Value>, port| Way {
        device,
        public: half.public,
        subnets: vec![half.subnet],
        data: data.as_ref(),
        port,
    };
    let v4 = node.half_v4(lease);
    let v4 = v4.map(|half| way(0, half, &attributes.data, options.port));
    let v6 = node.half_v6(lease);
    let v6 = v6.map(|half| half.map(|half| way(1, half, &attributes.v6_data, options.port_v6)));
    std::iter::once(v4).chain(v6).collect()
}

/// Both families over one.
fn together<'a>(
    own: Own<'_>,
    options: &Options,
    lease: &'a Lease,
) -> Vec<Result<Way<'a>, Refused>> {
    let attributes = &lease.attributes;
    let public = choose(
        options.mode,
        own.public_ipv6,
        attributes.public_ip,
        attributes.public_ipv6,
    );
    let Some(public) = public else {
        return vec![Err((lease.subnet.v4.trunc().into(), Refusal::WithoutIpv6))];
    };
    let (mut subnets, mut ways) = (Vec::new(), Vec::new());
    for half in own.node.halves_over(lease, public) {
        match half {
            Ok(half) => subnets.push(half.subnet),
            Err(refused) => ways.push(Err(refused)),
        }
    }
    if !subnets.is_empty() {
        ways.push(Ok(Way {
            device: 0,
            public,
            subnets,
            // The same, as there is one device.
            data: attributes.data.as_ref().or(attributes.v6_data.as_ref()),
            port: options.port,
        }));
    }
    ways
}

impl Plan {
    /// That of these leases, and which of them are not used.
    pub(super) fn of<'a>(
        own: Own<'_>,
        options: &Options,
        leases: impl Iterator<Item = &'a Lease>,
    ) -> (Self, Vec<Error>) {
        let mut plan = Self::default();
        let errors = leases.flat_map(|lease| plan.put(own, options, lease));
        let errors = errors.collect();
        (plan, errors)
    }

    /// The peers of a device.
    pub(super) fn peers(&self, device: usize) -> &Peers {
        &self.devices[device]
    }

    /// Puts a lease in that is not in it; what of it is not used.
    pub(super) fn put(&mut self, own: Own<'_>, options: &Options, lease: &Lease) -> Vec<Error> {
        let other = lease.subnet != own.node.subnet;
        if !other || lease.attributes.backend.as_deref() != Some(TYPE) {
            return Vec::new();
        }
        let mut errors = Vec::new();
        for way in ways(own, options, lease) {
            if let Err((subnet, source)) =
                way.and_then(|way| self.add(own, options, lease.subnet, way))
            {
                errors.push(Error::Lease { subnet, source });
            }
        }
        errors
    }

    /// Takes a lease out; which places are free now.
    pub(super) fn take(&mut self, subnet: &Subnet) -> Vec<Slot> {
        let freed = self.slots.remove(subnet).unwrap_or_default();
        for (device, key) in &freed {
            if let Some(peer) = self.devices[*device].remove(key) {
                for subnet in &peer.subnets {
                    self.taken.remove(subnet);
                }
            }
        }
        freed
    }

    /// The places a lease has.
    pub(super) fn slots(&self, subnet: &Subnet) -> &[Slot] {
        self.slots.get(subnet).map_or(&[], Vec::as_slice)
    }

    /// A lease that waited for a key and does so no longer.
    pub(super) fn next_waiting(&mut self, key: &[u8; 32]) -> Option<Subnet> {
        let waiting = self.waiting.get_mut(key)?;
        let next = waiting.pop_first();
        if waiting.is_empty() {
            self.waiting.remove(key);
        }
        next
    }

    fn add(
        &mut self,
        own: Own<'_>,
        options: &Options,
        lease: Subnet,
        way: Way<'_>,
    ) -> Result<(), Refused> {
        let refused = |refusal| (way.subnets[0], refusal);
        let data = way.data.and_then(|data| WireguardData::parse(data).ok());
        let known = data.and_then(|data| Some((wireguard_key(&data.public_key)?, data.port)));
        let (key, port) = known.ok_or_else(|| refused(Refusal::Data))?;
        let peers = &mut self.devices[way.device];
        // A key is that of one peer only.
        if key == own.key {
            return Err(refused(Refusal::Key));
        }
        if peers.contains_key(&key) {
            self.waiting.entry(key).or_default().insert(lease);
            return Err(refused(Refusal::Key));
        }
        if let Some(taken) = way
            .subnets
            .iter()
            .find(|subnet| self.taken.contains(subnet))
        {
            return Err((*taken, Refusal::Taken));
        }
        self.taken.extend(&way.subnets);
        let peer = Peer {
            preshared: options.preshared,
            endpoint: SocketAddr::new(way.public, port.unwrap_or(way.port)),
            subnets: way.subnets.into_iter().collect(),
            keepalive: options.keepalive,
        };
        peers.insert(key, peer);
        self.slots.entry(lease).or_default().push((way.device, key));
        Ok(())
    }
}
