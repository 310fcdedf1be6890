//! `vxlan`: the kernel wraps frames into UDP. Each node has a device `flannel.<VNI>` whose MAC address
//! its lease tells; nothing is learned and nothing is asked on the wire.
//!
//! ```text
//!   packet to 10.5.5.7
//!     route      10.5.5.0/24 via 10.5.5.0 dev flannel.1 onlink      or, with DirectRouting and no
//!     neighbour  10.5.5.0 at 72:c6:af:94:21:bc                      gateway between, just
//!     FDB        72:c6:af:94:21:bc dst 10.99.0.12                   10.5.5.0/24 via 10.99.0.12
//! ```
//!
//! Devices outlive the program, and with them their MAC addresses: peers need not learn new ones.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ignite_host::link::{Forwarding, Neighbour, Way};
use ipnet::IpNet;

use super::entry::{Desired, Entry, Ours, Tunnel};
use super::kernel::Kernel;
use super::peer::{Half, Node, Refusal, networks};
use super::{Error, Prepared, Settings};
use crate::interface::External;
use crate::lease::data::VxlanData;
use crate::lease::{Lease, Subnet};

mod device;

pub use device::{is_name, names};

pub use device::Device;

/// `BackendType`, and the only one whose leases are looked at.
pub const TYPE: &str = "vxlan";

/// Bytes before each packet over IPv4: Ethernet, VXLAN, UDP, IP.
const OVERHEAD: u32 = 50;
/// The same over IPv6.
const OVERHEAD_V6: u32 = 70;

/// What the network's configuration says for this backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// `VNI`
    pub vni: u32,
    /// `Port`; the kernel's, 8472, where none or 0.
    pub port: Option<u16>,
    /// `GBP`
    pub gbp: bool,
    /// `Learning`
    pub learning: bool,
    /// `DirectRouting`
    pub direct_routing: bool,
    /// `MTU` before the overhead is taken off; the external interface's where none.
    pub mtu: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            vni: 1,
            port: None,
            gbp: false,
            learning: false,
            direct_routing: false,
            mtu: None,
        }
    }
}

/// The devices of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Devices {
    /// `flannel.<VNI>`
    pub v4: Device,
    /// `flannel-v6.<VNI>`, if the network is dual-stack.
    pub v6: Option<Device>,
}

/// A device, and three things for each peer.
#[derive(Debug)]
pub struct Vxlan {
    kernel: Kernel,
    settings: Settings,
    options: Options,
    external: External,
    /// Of the overlay, in bytes.
    mtu: u32,
    devices: Devices,
    /// None until a subnet is assigned.
    node: Option<Node>,
    leases: BTreeMap<Subnet, Lease>,
}

impl Vxlan {
    pub(super) fn prepare(
        settings: &Settings,
        options: Options,
        external: &External,
    ) -> Result<(Self, Prepared), Error> {
        let base = options.mtu.unwrap_or(external.mtu);
        let mtu = less(base, OVERHEAD)?;
        let kernel = Kernel::open(TYPE)?;
        let devices = device::ensure_all(&kernel, settings, options, external, None)?;
        let backend = Self {
            kernel,
            settings: settings.clone(),
            options,
            external: external.clone(),
            mtu,
            devices,
            node: None,
            leases: BTreeMap::new(),
        };
        let prepared = backend.prepared();
        Ok((backend, prepared))
    }

    pub(super) fn assign(&mut self, subnet: Subnet) -> Result<(), Error> {
        self.node = Some(Node::new(&self.settings, &self.external, subnet));
        device::assign(
            &self.kernel,
            &self.devices,
            &networks(&self.settings),
            subnet,
        )
    }

    pub(super) fn sync(&mut self, leases: &[Lease]) -> Vec<Error> {
        let leases = leases.iter().cloned();
        self.leases = leases.map(|lease| (lease.subnet, lease)).collect();
        self.tick()
    }

    /// A device that somebody deleted is made again, with the MAC address peers know.
    pub(super) fn tick(&mut self) -> Vec<Error> {
        let Some(node) = &self.node else {
            return Vec::new();
        };
        let restored = device::restore(
            &self.kernel,
            &self.settings,
            self.options,
            &self.external,
            &self.devices,
        );
        match restored {
            Ok(devices) => self.devices = devices.unwrap_or_else(|| self.devices.clone()),
            Err(error) => return vec![error],
        }
        let networks = networks(&self.settings);
        if let Err(error) = device::assign(&self.kernel, &self.devices, &networks, node.subnet) {
            return vec![error];
        }
        let (desired, mut errors) = self.plan(node, self.leases.values());
        let ours = Ours {
            networks,
            subnets: node.subnets().collect(),
            leftovers: Vec::new(),
            devices: self.devices.all().map(|device| device.index).collect(),
            external: self.external.index,
        };
        errors.extend(self.kernel.sync(desired, ours));
        errors
    }

    pub(super) fn take_reconciled(&mut self) -> usize {
        self.kernel.take_reconciled()
    }

    /// What the lease has to tell, with the devices as they are now.
    pub(super) fn prepared(&self) -> Prepared {
        let data = |device: Device| {
            let data = VxlanData {
                vni: self.options.vni,
                mac: device.mac,
            };
            data.to_value()
        };
        Prepared {
            backend: Some(TYPE),
            data: Some(data(self.devices.v4)),
            v6_data: self.devices.v6.map(data),
            mtu: self.mtu,
        }
    }

    pub(super) fn add(&mut self, lease: &Lease) -> Vec<Error> {
        self.leases.insert(lease.subnet, lease.clone());
        let Some(node) = &self.node else {
            return Vec::new();
        };
        let (desired, mut errors) = self.plan(node, std::iter::once(lease));
        errors.extend(self.kernel.update(&lease.subnet, &desired));
        errors
    }

    pub(super) fn remove(&mut self, subnet: &Subnet) -> Vec<Error> {
        self.leases.remove(subnet);
        self.kernel.update(subnet, &Desired::new())
    }

    pub(super) fn teardown(mut self) -> Vec<Error> {
        let mut errors = self.kernel.clear();
        for device in self.devices.all() {
            let deleted = self.kernel.netlink().delete(device.index);
            errors.extend(deleted.err().map(Error::Behind));
        }
        errors
    }

    fn plan<'a>(
        &self,
        node: &Node,
        leases: impl Iterator<Item = &'a Lease>,
    ) -> (Desired, Vec<Error>) {
        plan(node, &self.devices, leases, |public| {
            // Where the kernel has no answer the tunnel is as good a try as any.
            let way = || self.kernel.netlink().route_to(public).ok().flatten();
            self.options.direct_routing && way().is_some_and(|way: Way| way.direct)
        })
    }
}

impl Devices {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = Device> {
        std::iter::once(self.v4).chain(self.v6)
    }
}

/// An MTU without the tunnel's headers; what is left has to carry IPv4 (RFC 791).
fn less(mtu: u32, overhead: u32) -> Result<u32, Error> {
    (mtu.checked_sub(overhead))
        .filter(|left| *left >= 68)
        .ok_or(Error::Mtu { backend: TYPE, mtu })
}

/// What `leases` ask for, and which leases are not used. `direct` says whether a host is reached over
/// no gateway, and shall be without the tunnel.
pub fn plan<'a>(
    node: &Node,
    devices: &Devices,
    leases: impl Iterator<Item = &'a Lease>,
    direct: impl Fn(IpAddr) -> bool,
) -> (Desired, Vec<Error>) {
    let mut desired = Desired::new();
    let mut errors = Vec::new();
    let others = leases
        .filter(|lease| lease.subnet != node.subnet)
        .filter(|lease| lease.attributes.backend.as_deref() == Some(TYPE));
    for lease in others {
        for entry in entries(node, devices, lease, &direct) {
            match entry {
                Ok(entry) => {
                    desired.insert(entry.subnet, entry);
                }
                Err((subnet, source)) => errors.push(Error::Lease { subnet, source }),
            }
        }
    }
    (desired, errors)
}

fn entries(
    node: &Node,
    devices: &Devices,
    lease: &Lease,
    direct: &impl Fn(IpAddr) -> bool,
) -> Vec<Result<Entry, (IpNet, Refusal)>> {
    let attributes = &lease.attributes;
    let v4 = node.half_v4(lease);
    let v4 = v4.and_then(|half| entry(half, devices.v4, attributes.data.as_ref(), direct));
    let v6 = devices.v6.zip(node.half_v6(lease)).map(|(device, half)| {
        half.and_then(|half| entry(half, device, attributes.v6_data.as_ref(), direct))
    });
    std::iter::once(v4).chain(v6).collect()
}

fn entry(
    half: Half,
    device: Device,
    data: Option<&serde_json::Value>,
    direct: &impl Fn(IpAddr) -> bool,
) -> Result<Entry, (IpNet, Refusal)> {
    let refused = |refusal| Err((half.subnet, refusal));
    let Some(data) = data.and_then(|data| VxlanData::parse(data).ok()) else {
        return refused(Refusal::Data);
    };
    if data.mac == device.mac {
        return refused(Refusal::OwnMac);
    }
    if direct(half.public) {
        return Ok(Entry {
            subnet: half.subnet,
            // The kernel picks the interface.
            route: Entry::route(half.subnet, half.public, None),
            tunnel: None,
        });
    }
    let gateway = half.subnet.network();
    let mut route = Entry::route(half.subnet, gateway, Some(device.index));
    route.onlink = true;
    Ok(Entry {
        subnet: half.subnet,
        route,
        tunnel: Some(Tunnel {
            neighbour: Neighbour {
                index: device.index,
                address: gateway,
                mac: data.mac,
            },
            forwarding: Forwarding {
                index: device.index,
                mac: data.mac,
                destination: half.public,
            },
        }),
    })
}

#[cfg(test)]
mod tests;
