//! `wireguard`: packets encrypted, from node to node, by the kernel, or by boringtun in user space where
//! the kernel has no WireGuard.
//!
//! ```text
//!   separate    flannel-wg     IPv4 over IPv4        flannel-wg-v6   IPv6 over IPv6
//!   auto        flannel-wg     both, to each node by the family that reaches it
//!   ipv4, ipv6  flannel-wg     both over one
//! ```
//!
//! Files: [`plan`](plan()) and `endpoint` say which devices and peers there should be, `changes` what is
//! to be done for it, all as values; `device` is one device, in the `kernel` or a `tunnel` of this program.
//!
//! A program that ends leaves the kernel's device in place, with its peers: traffic goes on while it is
//! restarted or upgraded, as with vxlan, and the next life takes the device over if key, port and networks are
//! the same. Flannel deletes its device even at an orderly end, which cuts every connection at each
//! upgrade and protects nothing: who leaves the network for good calls `teardown`. A device in user
//! space cannot outlive its threads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ignite_host::link::{Netlink, Protocol, Route};
use ignite_host::wireguard::Secret;
use ipnet::IpNet;
use serde_json::json;

mod changes;
mod device;
mod endpoint;
mod kernel;
mod key;
mod plan;
#[cfg(test)]
mod plan_tests;
mod tunnel;

use self::device::{Device, Place};
use self::key::{KeyPair, encode};
pub use self::plan::{NAMES, Own, Peer, Peers, Wanted, devices, plan};
use self::plan::{Plan, Slot};
use super::kernel::delete_leftover_routes;
use super::peer::Node;
use super::{Error, Prepared, Settings};
use crate::config::{KEEPALIVE, Mode};
use crate::interface::External;
use crate::lease::{Lease, Subnet};

/// `BackendType`, and the only one whose leases are looked at.
pub const TYPE: &str = "wireguard";

/// Bytes before each packet, over IPv6: what is left of a packet of 1500 bytes fits everywhere.
const OVERHEAD: u32 = 80;

/// What the network's configuration says for this backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `PSK`, decoded.
    pub preshared: Option<Secret>,
    /// `ListenPort`
    pub port: u16,
    /// `ListenPortV6`
    pub port_v6: u16,
    /// `PersistentKeepaliveInterval` in seconds
    pub keepalive: u16,
    /// `Mode`
    pub mode: Mode,
    /// `MTU` before the overhead is taken off; the external interface's where none.
    pub mtu: Option<u32>,
    /// Where the private key is; made if it is not there.
    pub key_file: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            preshared: None,
            port: 51_820,
            port_v6: 51_821,
            keepalive: KEEPALIVE,
            mode: Mode::Separate,
            mtu: None,
            key_file: PathBuf::from("/run/flannel/wgkey"),
        }
    }
}

/// One device or two, with a peer for each lease.
#[derive(Debug)]
pub struct Wireguard {
    netlink: Netlink,
    settings: Settings,
    options: Options,
    external: External,
    key: KeyPair,
    /// What the network leaves of a packet, in bytes.
    mtu: u32,
    place: Place,
    /// As [`devices`] has them.
    devices: Vec<Device>,
    /// None until a subnet is assigned.
    node: Option<Node>,
    leases: BTreeMap<Subnet, Lease>,
    /// What the devices were told.
    plan: Plan,
}

impl Wireguard {
    pub(super) fn prepare(
        settings: &Settings,
        options: &Options,
        external: &External,
    ) -> Result<(Self, Prepared), Error> {
        let base = options.mtu.unwrap_or(external.mtu);
        let mtu = (base.checked_sub(OVERHEAD)).filter(|mtu| *mtu >= 68);
        let mtu = mtu.ok_or(Error::Mtu {
            backend: TYPE,
            mtu: base,
        })?;
        let netlink = Netlink::open().map_err(link)?;
        let key = KeyPair::load(&options.key_file)?;
        let mut backend = Self {
            netlink,
            settings: settings.clone(),
            options: options.clone(),
            external: external.clone(),
            key,
            mtu,
            place: Place::Kernel,
            devices: Vec::new(),
            node: None,
            leases: BTreeMap::new(),
            plan: Plan::default(),
        };
        backend.open()?;
        let prepared = backend.prepared();
        Ok((backend, prepared))
    }

    fn prepared(&self) -> Prepared {
        let public = encode(&self.key.public());
        let data = |device: &Device| json!({"PublicKey": public, "Port": device.wanted.port});
        let v6 = self.settings.ipv6_network.and(self.devices.last());
        let mtus = self.devices.iter().map(|device| device.mtu(self.mtu));
        Prepared {
            backend: Some(TYPE),
            data: self.devices.first().map(data),
            // Of one device, both say the same.
            v6_data: v6.map(data),
            mtu: mtus.min().unwrap_or(self.mtu),
        }
    }

    /// Makes the devices, or takes those of an earlier life that serve.
    fn open(&mut self) -> Result<(), Error> {
        self.devices.clear();
        let wanted = devices(&self.settings, &self.options);
        self.delete_others(&wanted)?;
        for wanted in wanted {
            let device = Device::open(&self.netlink, wanted, &self.key, &mut self.place)?;
            let mtu = device.mtu(self.mtu);
            self.netlink.set_mtu(device.index, mtu).map_err(link)?;
            self.devices.push(device);
        }
        Ok(())
    }

    /// The second device of another mode would keep its port, and its routes.
    fn delete_others(&self, wanted: &[Wanted]) -> Result<(), Error> {
        let is_wanted = |name: &&str| wanted.iter().any(|wanted| wanted.name == *name);
        for name in plan::NAMES.into_iter().filter(|name| !is_wanted(name)) {
            if let Some(other) = self.netlink.link(name).map_err(link)? {
                self.netlink.delete(other.index).map_err(link)?;
            }
        }
        Ok(())
    }

    pub(super) fn assign(&mut self, subnet: Subnet) -> Result<(), Error> {
        let node = Node::new(&self.settings, &self.external, subnet);
        for device in &self.devices {
            self.set_addresses(device, &node)?;
            self.netlink.set_up(device.index).map_err(link)?;
            for network in &device.wanted.networks {
                let route = Route {
                    protocol: Protocol::BOOT,
                    ..Route::new(*network, None, device.index)
                };
                match self.netlink.add_route(&route) {
                    Err(error) if error.is_exists() => {}
                    result => result.map_err(link)?,
                }
            }
        }
        self.node = Some(node);
        Ok(())
    }

    /// Gives a device the first address of each of the node's subnets it is for, and takes those of an
    /// earlier subnet away.
    fn set_addresses(&self, device: &Device, node: &Node) -> Result<(), Error> {
        let networks = &device.wanted.networks;
        let inside = |address| networks.iter().any(|network| network.contains(&address));
        let own: Vec<IpNet> = (node.subnets().map(|subnet| subnet.network()))
            .filter(|address| inside(*address))
            .map(IpNet::from)
            .collect();
        for old in self.netlink.addresses(device.index).map_err(link)? {
            if inside(old.addr()) && !own.contains(&old) {
                (self.netlink)
                    .delete_address(device.index, old)
                    .map_err(link)?;
            }
        }
        for address in own {
            (self.netlink)
                .add_address(device.index, address)
                .map_err(link)?;
        }
        Ok(())
    }

    pub(super) fn sync(&mut self, leases: &[Lease]) -> Vec<Error> {
        let leases = leases.iter().cloned();
        self.leases = leases.map(|lease| (lease.subnet, lease)).collect();
        let mut errors = self.follow();
        if let Some(node) = &self.node {
            let external = self.external.index;
            errors.extend(delete_leftover_routes(&self.netlink, TYPE, node, external));
        }
        errors
    }

    pub(super) fn add(&mut self, lease: &Lease) -> Vec<Error> {
        self.leases.insert(lease.subnet, lease.clone());
        self.follow_one(lease.subnet)
    }

    pub(super) fn remove(&mut self, subnet: &Subnet) -> Vec<Error> {
        self.leases.remove(subnet);
        self.follow_one(*subnet)
    }

    /// Devices that somebody deleted, or that do not do as told, are made again; peers that somebody
    /// changed are set again.
    pub(super) fn tick(&mut self) -> Vec<Error> {
        let Some(node) = &self.node else {
            return Vec::new();
        };
        let subnet = node.subnet;
        let restored = self.restore().and_then(|()| self.assign(subnet));
        match restored {
            Ok(()) => self.follow(),
            Err(error) => vec![error],
        }
    }

    fn restore(&mut self) -> Result<(), Error> {
        let mut whole = !self.devices.is_empty();
        for device in &mut self.devices {
            whole &= device.check(&self.netlink, &self.key)?;
        }
        if whole { Ok(()) } else { self.open() }
    }

    pub(super) fn teardown(self) -> Vec<Error> {
        let delete = |device: Device| device.delete(&self.netlink).err();
        self.devices.into_iter().filter_map(delete).collect()
    }

    /// Gives the devices the peers of all leases.
    fn follow(&mut self) -> Vec<Error> {
        let Some(node) = &self.node else {
            return Vec::new();
        };
        let own = own(node, &self.key, &self.external);
        let (plan, mut errors) = Plan::of(own, &self.options, self.leases.values());
        for (number, device) in self.devices.iter_mut().enumerate() {
            errors.extend(device.follow(plan.peers(number).clone()).err());
        }
        self.plan = plan;
        errors
    }

    /// Gives the devices the peers of one lease, or takes them away, without a look at the others.
    fn follow_one(&mut self, subnet: Subnet) -> Vec<Error> {
        let Some(node) = &self.node else {
            return Vec::new();
        };
        let own = own(node, &self.key, &self.external);
        let freed = self.plan.take(&subnet);
        let mut touched: BTreeSet<Slot> = freed.iter().copied().collect();
        let lease = self.leases.get(&subnet);
        let mut errors =
            lease.map_or_else(Vec::new, |lease| self.plan.put(own, &self.options, lease));
        touched.extend(self.plan.slots(&subnet));
        // A node that took another subnet may be heard of before its old lease ends.
        for (_, key) in freed {
            let mut waiting = std::iter::from_fn(|| self.plan.next_waiting(&key));
            let Some(lease) = waiting.find_map(|next| self.leases.get(&next)) else {
                continue;
            };
            touched.extend(self.plan.take(&lease.subnet));
            // What is refused still was told when it came.
            drop(self.plan.put(own, &self.options, lease));
            touched.extend(self.plan.slots(&lease.subnet));
        }
        for (number, device) in self.devices.iter_mut().enumerate() {
            let here = touched.iter().filter(|(device, _)| *device == number);
            let keys: Vec<[u8; 32]> = here.map(|(_, key)| *key).collect();
            errors.extend(device.follow_some(&keys, self.plan.peers(number)).err());
        }
        errors
    }
}

fn own<'a>(node: &'a Node, key: &KeyPair, external: &External) -> Own<'a> {
    Own {
        node,
        key: key.public(),
        public_ipv6: external.public_ipv6,
    }
}

fn link(source: ignite_host::link::Error) -> Error {
    Error::Link {
        backend: TYPE,
        source,
    }
}
