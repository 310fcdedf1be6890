//! `wireguard`: packets encrypted, from node to node, by boringtun in user space. Mode `separate`, the
//! default, alone: a device `flannel-wg` for IPv4 and another one, `flannel-wg-v6`, for IPv6.
//!
//! The kernel's WireGuard is not used, even where there is one: a device in user space is the same to
//! peers, and goes with the program as Flannel's does.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ignite_host::link::{Netlink, Protocol, Route};
use ipnet::IpNet;
use serde_json::json;

mod key;
mod plan;
mod tunnel;

use self::key::{KeyPair, encode};
pub use self::plan::{Peers, plan};
pub use self::tunnel::Peer;
use self::tunnel::Tunnel;
use super::peer::Node;
use super::{Error, Prepared, Settings};
use crate::interface::External;
use crate::lease::{Lease, Subnet};

/// `BackendType`, and the only one whose leases are looked at.
pub const TYPE: &str = "wireguard";

/// Bytes before each packet, over IPv6: what is left of a packet of 1500 bytes fits everywhere.
const OVERHEAD: u32 = 80;
/// boringtun reads 1500 bytes at most.
const LARGEST: u32 = 1500;

/// What the network's configuration says for this backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `PSK`, decoded.
    pub preshared: Option<[u8; 32]>,
    /// `ListenPort`
    pub port: u16,
    /// `ListenPortV6`
    pub port_v6: u16,
    /// `PersistentKeepaliveInterval` in seconds
    pub keepalive: u16,
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
            keepalive: 0,
            mtu: None,
            key_file: PathBuf::from("/run/flannel/wgkey"),
        }
    }
}

/// A device for each family, with a peer for each lease.
#[derive(Debug)]
pub struct Wireguard {
    netlink: Netlink,
    settings: Settings,
    options: Options,
    external: External,
    key: KeyPair,
    mtu: u32,
    /// One for each family the network has.
    devices: Vec<Device>,
    /// None until a subnet is assigned.
    node: Option<Node>,
    leases: BTreeMap<Subnet, Lease>,
}

#[derive(Debug)]
struct Device {
    tunnel: Tunnel,
    index: u32,
    /// All subnets of its family are in it.
    network: IpNet,
    /// What it was told.
    peers: Peers,
    /// It refused something, so what it knows is not sure any more; the next `tick` makes it anew.
    broken: bool,
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
            mtu: mtu.min(LARGEST),
            devices: Vec::new(),
            node: None,
            leases: BTreeMap::new(),
        };
        backend.open()?;
        let public = encode(&backend.key.public());
        let data = |port: u16| json!({"PublicKey": public, "Port": port});
        let prepared = Prepared {
            backend: Some(TYPE),
            data: Some(data(options.port)),
            v6_data: settings.ipv6_network.map(|_| data(options.port_v6)),
            mtu: backend.mtu,
        };
        Ok((backend, prepared))
    }

    /// Makes the devices, in place of those of an earlier life.
    fn open(&mut self) -> Result<(), Error> {
        self.devices.clear();
        let options = &self.options;
        let v4 = (
            "flannel-wg",
            options.port,
            self.settings.network.trunc().into(),
        );
        let v6 = (self.settings.ipv6_network)
            .map(|network| ("flannel-wg-v6", options.port_v6, network.trunc().into()));
        for (name, port, network) in std::iter::once(v4).chain(v6) {
            if let Some(old) = self.netlink.link(name).map_err(link)? {
                self.netlink.delete(old.index).map_err(link)?;
            }
            let tunnel = Tunnel::open(name, &self.key, port)?;
            let made = self.netlink.link(name).map_err(link)?;
            let index = made.map(|made| made.index).ok_or_else(|| Error::Gone {
                name: name.to_owned(),
            })?;
            self.netlink.set_mtu(index, self.mtu).map_err(link)?;
            self.devices.push(Device {
                tunnel,
                index,
                network,
                peers: Peers::new(),
                broken: false,
            });
        }
        Ok(())
    }

    pub(super) fn assign(&mut self, subnet: Subnet) -> Result<(), Error> {
        let node = Node::new(&self.settings, &self.external, subnet);
        for device in &self.devices {
            let own = node.subnets().find(|own| device.network.contains(own));
            let Some(own) = own else { continue };
            let address = IpNet::from(own.network());
            for old in self.netlink.addresses(device.index).map_err(link)? {
                if old != address && device.network.contains(&old.addr()) {
                    (self.netlink)
                        .delete_address(device.index, old)
                        .map_err(link)?;
                }
            }
            (self.netlink)
                .add_address(device.index, address)
                .map_err(link)?;
            self.netlink.set_up(device.index).map_err(link)?;
            let route = Route {
                protocol: Protocol::BOOT,
                ..Route::new(device.network, None, device.index)
            };
            match self.netlink.add_route(&route) {
                Err(error) if error.is_exists() => {}
                result => result.map_err(link)?,
            }
        }
        self.node = Some(node);
        Ok(())
    }

    pub(super) fn sync(&mut self, leases: &[Lease]) -> Vec<Error> {
        let leases = leases.iter().cloned();
        self.leases = leases.map(|lease| (lease.subnet, lease)).collect();
        self.follow()
    }

    pub(super) fn add(&mut self, lease: &Lease) -> Vec<Error> {
        self.leases.insert(lease.subnet, lease.clone());
        let families = [
            Some(lease.subnet.v4.trunc().into()),
            lease.subnet.v6.map(|v6| v6.trunc().into()),
        ];
        let other = |error: &Error| matches!(error, Error::Lease { subnet, .. } if !families.contains(&Some(*subnet)));
        let errors = self.follow().into_iter();
        errors.filter(|error| !other(error)).collect()
    }

    pub(super) fn remove(&mut self, subnet: &Subnet) -> Vec<Error> {
        self.leases.remove(subnet);
        let told_before = |error: &Error| matches!(error, Error::Lease { .. });
        let errors = self.follow().into_iter();
        errors.filter(|error| !told_before(error)).collect()
    }

    /// Devices that somebody deleted, or that do not do as told, are made again.
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
        for device in &self.devices {
            let found = self.netlink.link_by_index(device.index).map_err(link)?;
            whole &= found.is_some() && !device.broken;
        }
        if whole { Ok(()) } else { self.open() }
    }

    pub(super) fn teardown(self) -> Vec<Error> {
        // Devices go with their threads.
        drop(self.devices);
        Vec::new()
    }

    fn follow(&mut self) -> Vec<Error> {
        let Some(node) = &self.node else {
            return Vec::new();
        };
        let own = self.key.public();
        let (wanted, mut errors) = plan(node, &self.options, &own, self.leases.values());
        for device in &mut self.devices {
            let wanted = wanted
                .iter()
                .filter(|(subnet, _)| device.network.contains(*subnet));
            let wanted: Peers = wanted.map(|(subnet, peer)| (*subnet, *peer)).collect();
            if device.broken {
                continue;
            }
            if let Err(error) = device.follow(&wanted) {
                device.broken = true;
                errors.push(error);
            }
        }
        errors
    }
}

impl Device {
    /// Removes what is not wanted as it is, then adds what lacks.
    fn follow(&mut self, wanted: &Peers) -> Result<(), Error> {
        let stale = |(subnet, peer): &(&IpNet, &Peer)| wanted.get(*subnet) != Some(*peer);
        let stale: Vec<(IpNet, Peer)> = (self.peers.iter().filter(stale))
            .map(|(subnet, peer)| (*subnet, *peer))
            .collect();
        for (subnet, peer) in stale {
            self.tunnel.remove(&peer.key)?;
            self.peers.remove(&subnet);
        }
        for (subnet, peer) in wanted {
            if !self.peers.contains_key(subnet) {
                self.tunnel.add(peer)?;
                self.peers.insert(*subnet, *peer);
            }
        }
        Ok(())
    }
}

fn link(source: ignite_host::link::Error) -> Error {
    Error::Link {
        backend: TYPE,
        source,
    }
}
