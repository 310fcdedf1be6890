//! `udp`: packets through a TUN device, each the payload of one UDP datagram, moved by threads of ours.
//! Slow beside `vxlan`, but it needs nothing of the kernel and of the network between.
//!
//! ```text
//!   10.5.0.0/16 dev flannel0 --> look up the subnet, TTL - 1 --> UDP to that node's address : port
//!   UDP from anybody         --> TTL - 1                     --> flannel0
//! ```
//!
//! It does not look at the backend of others: every lease is a peer, so a cluster is all `udp` or none
//! of it. IPv4 only.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket};

use ignite_host::link::{Netlink, Protocol, Route, Scope};
use ignite_host::tun::{Offload, Tun};
use ipnet::{IpNet, Ipv4Net};
use rustix::net::sockopt;

pub mod packet;
mod pump;
pub mod segment;
pub mod table;

use self::pump::Pump;
use self::table::{Shared, Table};
use super::kernel::delete_leftover_routes;
use super::peer::Node;
use super::{Error, Prepared, Settings};
use crate::interface::External;
use crate::lease::{Lease, Subnet};

const NAME: &str = "udp";

/// Bytes before each packet: IP and UDP.
const OVERHEAD: u32 = 28;

/// Room for bursts while the threads are not scheduled, in bytes.
const SOCKET_BUFFER: usize = 8 << 20;

/// Threads that take packets off the device, at most.
const QUEUES: usize = 4;

/// What the network's configuration says for this backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// `Port`, the same on all nodes.
    pub port: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self { port: 8285 }
    }
}

/// A TUN device and the threads behind it.
#[derive(Debug)]
pub struct Udp {
    netlink: Netlink,
    settings: Settings,
    options: Options,
    external: External,
    mtu: u32,
    table: Shared,
    device: Device,
    /// None until a subnet is assigned.
    node: Option<Node>,
    leases: BTreeMap<Subnet, Lease>,
}

/// A device lives as long as the threads that have it open.
#[derive(Debug)]
struct Device {
    index: u32,
    /// None if somebody deleted the device, and it could not be made again yet.
    pump: Option<Pump>,
}

impl Udp {
    pub(super) fn prepare(
        settings: &Settings,
        options: Options,
        external: &External,
    ) -> Result<(Self, Prepared), Error> {
        // What is left has to carry IPv4 (RFC 791).
        let mtu = (external.mtu.checked_sub(OVERHEAD)).filter(|mtu| (68..=65_535).contains(mtu));
        let mtu = mtu.ok_or(Error::Mtu {
            backend: NAME,
            mtu: external.mtu,
        })?;
        let netlink = Netlink::open().map_err(link)?;
        let table = Shared::new(Table::new(Ipv4Addr::UNSPECIFIED, []));
        let backend = Self {
            device: Device::open(&netlink, external, options, mtu, &table)?,
            netlink,
            settings: settings.clone(),
            options,
            external: external.clone(),
            mtu,
            table,
            node: None,
            leases: BTreeMap::new(),
        };
        let prepared = Prepared {
            backend: None,
            data: None,
            v6_data: None,
            mtu,
        };
        Ok((backend, prepared))
    }

    pub(super) fn assign(&mut self, subnet: Subnet) -> Result<(), Error> {
        let own = subnet.v4.network();
        let address = IpNet::from(IpAddr::from(own));
        for old in self.netlink.addresses(self.device.index).map_err(link)? {
            if old != address {
                (self.netlink)
                    .delete_address(self.device.index, old)
                    .map_err(link)?;
            }
        }
        (self.netlink)
            .add_address(self.device.index, address)
            .map_err(link)?;
        self.netlink.set_up(self.device.index).map_err(link)?;
        self.route()?;
        self.node = Some(Node::new(&self.settings, &self.external, subnet));
        drop(self.follow());
        Ok(())
    }

    /// The whole network leads to the device; a route that is there already is left alone.
    fn route(&self) -> Result<(), Error> {
        let route = Route {
            protocol: Protocol::BOOT,
            scope: Scope::Universe,
            ..Route::new(
                self.settings.network.trunc().into(),
                None,
                self.device.index,
            )
        };
        match self.netlink.add_route(&route) {
            Err(error) if error.is_exists() => {
                let mine = |found: &Route| found.destination == route.destination;
                let found = self.netlink.main_routes(mine).map_err(link)?;
                if found
                    .iter()
                    .all(|found| found.index != Some(self.device.index))
                {
                    tracing::warn!(network = %route.destination, "another route has the overlay's traffic");
                }
                Ok(())
            }
            result => result.map_err(link),
        }
    }

    pub(super) fn sync(&mut self, leases: &[Lease]) -> Vec<Error> {
        let leases = leases.iter().cloned();
        self.leases = leases.map(|lease| (lease.subnet, lease)).collect();
        let mut errors = self.follow();
        if let Some(node) = &self.node {
            let external = self.external.index;
            errors.extend(delete_leftover_routes(&self.netlink, NAME, node, external));
        }
        errors
    }

    pub(super) fn add(&mut self, lease: &Lease) -> Vec<Error> {
        self.leases.insert(lease.subnet, lease.clone());
        self.follow_one(lease.subnet.v4)
    }

    pub(super) fn remove(&mut self, subnet: &Subnet) -> Vec<Error> {
        self.leases.remove(subnet);
        drop(self.follow_one(subnet.v4));
        Vec::new()
    }

    /// A device that somebody deleted is made again; what cannot be honoured is told again.
    pub(super) fn tick(&mut self) -> Vec<Error> {
        let Some(node) = &self.node else {
            return Vec::new();
        };
        let subnet = node.subnet;
        let repaired = self.restore().and_then(|()| self.assign(subnet));
        match repaired {
            Ok(()) => self.follow(),
            Err(error) => vec![error],
        }
    }

    fn restore(&mut self) -> Result<(), Error> {
        let found = (self.netlink.link_by_index(self.device.index)).map_err(link)?;
        if self.device.pump.is_some() && found.is_some() {
            return Ok(());
        }
        // The old threads have the port.
        self.device.pump = None;
        let (external, options) = (&self.external, self.options);
        self.device = Device::open(&self.netlink, external, options, self.mtu, &self.table)?;
        Ok(())
    }

    pub(super) fn teardown(self) -> Vec<Error> {
        // The device goes with its last descriptor, and its routes with it.
        drop(self.device);
        Vec::new()
    }

    /// Gives the threads the table of all leases.
    fn follow(&self) -> Vec<Error> {
        let Some(node) = &self.node else {
            return Vec::new();
        };
        let (table, errors) = plan(node, self.options.port, self.leases.values());
        self.table.set(table);
        errors
    }

    /// Tells the threads of one subnet's leases, without a look at the others: one lease of a thousand
    /// costs no more than one of ten.
    fn follow_one(&self, subnet: Ipv4Net) -> Vec<Error> {
        let Some(node) = &self.node else {
            return Vec::new();
        };
        let first = Subnet {
            v4: subnet,
            v6: None,
        };
        let leases = self.leases.range(first..).map(|(_, lease)| lease);
        let of_subnet = leases.take_while(|lease| lease.subnet.v4 == subnet);
        let (peers, errors) = peers(node, self.options.port, of_subnet);
        self.table.change(|table| {
            table.remove(subnet);
            for (subnet, endpoint) in peers {
                table.insert(subnet, endpoint);
            }
        });
        errors
    }
}

impl Device {
    fn open(
        netlink: &Netlink,
        external: &External,
        options: Options,
        mtu: u32,
        table: &Shared,
    ) -> Result<Self, Error> {
        let socket = socket(external.address, options.port)?;
        let queues = std::thread::available_parallelism().map_or(1, usize::from);
        let tun = Tun::open("flannel%d", queues.min(QUEUES), Offload::Tcp4).map_err(Error::Tun)?;
        let index = tun.index();
        netlink.set_mtu(index, mtu).map_err(link)?;
        let pump = Pump::start(socket, tun.into_queues(), table, mtu as usize);
        Ok(Self {
            index,
            pump: Some(pump.map_err(Error::Thread)?),
        })
    }
}

/// Where packets go, and which leases are not used.
pub fn plan<'a>(
    node: &Node,
    port: u16,
    leases: impl Iterator<Item = &'a Lease>,
) -> (Table, Vec<Error>) {
    let (peers, errors) = peers(node, port, leases);
    (Table::new(node.subnet.v4.network(), peers), errors)
}

fn peers<'a>(
    node: &Node,
    port: u16,
    leases: impl Iterator<Item = &'a Lease>,
) -> (Vec<(Ipv4Net, SocketAddrV4)>, Vec<Error>) {
    let (mut peers, mut errors) = (Vec::new(), Vec::new());
    for lease in leases.filter(|lease| lease.subnet != node.subnet) {
        match node.half_v4(lease) {
            Ok(_) => {
                let endpoint = SocketAddrV4::new(lease.attributes.public_ip, port);
                peers.push((lease.subnet.v4.trunc(), endpoint));
            }
            Err((subnet, source)) => errors.push(Error::Lease { subnet, source }),
        }
    }
    (peers, errors)
}

fn socket(address: Ipv4Addr, port: u16) -> Result<UdpSocket, Error> {
    let socket =
        UdpSocket::bind(SocketAddrV4::new(address, port)).map_err(|source| Error::Socket {
            address,
            port,
            source,
        })?;
    // Without the right to pass the system's limit, up to that limit.
    if sockopt::set_socket_recv_buffer_size_force(&socket, SOCKET_BUFFER).is_err() {
        let _ = sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER);
    }
    Ok(socket)
}

fn link(source: ignite_host::link::Error) -> Error {
    Error::Link {
        backend: NAME,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::testing::{lease, node};

    #[test]
    fn every_lease_of_another_node_is_a_peer() {
        let leases = [
            lease("10.5.5.0/24", "10.99.0.12", None),
            lease("10.5.6.0/24", "10.99.0.13", Some("vxlan")),
            lease("10.5.9.0/24", "10.99.0.11", None),
            lease("10.5.7.0/24", "10.99.0.11", None),
        ];
        let (table, errors) = plan(&node(), 8285, leases.iter());
        let peers = [("10.5.5.0/24", 12), ("10.5.6.0/24", 13)].map(|(subnet, host)| {
            let endpoint = SocketAddrV4::new(Ipv4Addr::new(10, 99, 0, host), 8285);
            (subnet.parse().expect("a network"), endpoint)
        });
        assert_eq!(table, Table::new(Ipv4Addr::new(10, 5, 9, 0), peers));
        assert_eq!(
            errors.len(),
            1,
            "packets to oneself would come back for ever"
        );
    }
}
