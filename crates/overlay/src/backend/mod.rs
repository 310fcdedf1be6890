//! How packets get to the other nodes.
//!
//! ```text
//!   alloc     nothing: the lease is all there is
//!   host-gw   a route for each peer's subnet over the peer itself, on one Ethernet
//!   vxlan     the kernel wraps frames: a neighbour, a forwarding entry and a route for each peer
//!   wireguard the kernel encrypts packets, or boringtun's threads behind a TUN device
//!   udp       a TUN device and threads of ours wrap packets, one datagram each
//! ```
//!
//! Every backend has the same life: `prepare` makes what the lease has to tell of, `assign` gives it the
//! leased subnet, then `sync` and `add`/`remove` follow the others' leases and `tick` repairs what
//! somebody changed behind its back. What the kernel should hold is computed first ([`entry`]), then
//! compared, then set. A program that ends without `teardown` leaves kernel routes and devices in place,
//! so traffic goes on while it is restarted.
//!
//! All of it works in the network namespace of the thread that calls `prepare`, which has to make the
//! other calls as well.

mod alloc;
pub mod entry;
pub mod host_gw;
mod kernel;
pub mod peer;
pub mod udp;
pub mod vxlan;
pub mod wireguard;

use std::io;

use ignite_host::{link, sysctl, tun};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::Value;

use crate::interface::External;
use crate::lease::{Lease, Subnet};

use alloc::Alloc;
use host_gw::HostGw;
use peer::Refusal;
use udp::Udp;
use vxlan::Vxlan;
use wireguard::Wireguard;

/// What of the network's configuration concerns its backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// All nodes' subnets are in it.
    pub network: Ipv4Net,
    /// The same for IPv6, if the network is dual-stack.
    pub ipv6_network: Option<Ipv6Net>,
    /// Which backend, with its options.
    pub options: Options,
}

/// The backends with their options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Options {
    /// `alloc`
    Alloc,
    /// `host-gw`
    HostGw,
    /// `udp`
    Udp(udp::Options),
    /// `vxlan`
    Vxlan(vxlan::Options),
    /// `wireguard`
    Wireguard(wireguard::Options),
}

/// What the own lease has to say, and what this node's interfaces on the network should know.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// `BackendType`; none for `udp` and `alloc`.
    pub backend: Option<&'static str>,
    /// `BackendData`
    pub data: Option<Value>,
    /// `BackendV6Data`
    pub v6_data: Option<Value>,
    /// MTU of the overlay in bytes.
    pub mtu: u32,
}

/// Something a backend could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused a link, an address, or a list.
    #[error("the {backend} backend cannot set up its network")]
    Link {
        /// Which backend.
        backend: &'static str,
        /// The kernel's answer.
        source: link::Error,
    },
    /// The kernel refused a setting.
    #[error("the {backend} backend cannot set up its network")]
    Setting {
        /// Which backend.
        backend: &'static str,
        /// The kernel's answer.
        source: sysctl::Error,
    },
    /// The kernel refused the TUN device.
    #[error("the udp backend cannot make its device")]
    Tun(#[source] tun::Error),
    /// The UDP socket cannot be used.
    #[error("the udp backend cannot use UDP port {port} of {address}")]
    Socket {
        /// The external interface's address.
        address: std::net::Ipv4Addr,
        /// The port of all nodes.
        port: u16,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("the udp backend cannot start a thread")]
    Thread(#[source] io::Error),
    /// The private key cannot be read or written.
    #[error("the wireguard backend cannot use the key in {path}")]
    Key {
        /// Its file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// WireGuard in user space does not start.
    #[error("the wireguard backend cannot make its device {name}")]
    Userspace {
        /// The device.
        name: String,
        /// What it says.
        source: boringtun::device::Error,
    },
    /// WireGuard in user space refuses a change.
    #[error("the wireguard backend cannot change its device")]
    Control(#[source] io::Error),
    /// Peers use the public address as a gateway.
    #[error(
        "host-gw needs the interface's own address as public address, not another ({public} on {interface})"
    )]
    PublicAddress {
        /// The external interface.
        interface: String,
        /// The public address.
        public: std::net::IpAddr,
    },
    /// The external interface lacks what a dual-stack network needs.
    #[error("the interface {interface} has no IPv6 address, and the network is dual-stack")]
    NoIpv6 {
        /// The external interface.
        interface: String,
    },
    /// Its packets leave no room for the tunnel's headers.
    #[error("an MTU of {mtu} bytes is too small for the {backend} backend")]
    Mtu {
        /// Which backend.
        backend: &'static str,
        /// What it is taken off.
        mtu: u32,
    },
    /// A device vanished while it was set up.
    #[error("the device {name} is gone")]
    Gone {
        /// Its name.
        name: String,
    },
    /// A lease cannot be honoured; everything else is in place.
    #[error("the lease of {subnet} is not used")]
    Lease {
        /// Whose traffic it is about.
        subnet: IpNet,
        /// What is wrong with it.
        source: Refusal,
    },
    /// The kernel refused what a lease asks for; nothing of it is in place.
    #[error("{subnet} cannot be reached")]
    Peer {
        /// Whose traffic it is about.
        subnet: IpNet,
        /// The kernel's answer.
        source: link::Error,
    },
    /// What a lease had asked for could not be taken back.
    #[error("something of a peer that is gone stays behind")]
    Behind(#[source] link::Error),
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Link { source, .. } | Self::Peer { source, .. } | Self::Behind(source) => {
                source.hint()
            }
            Self::Setting { source, .. } | Self::Tun(source) => source.hint(),
            Self::Socket { source, port, .. } if source.kind() == io::ErrorKind::AddrInUse => Some(
                format!("another program, perhaps flanneld, has UDP port {port}: stop it"),
            ),
            Self::PublicAddress { .. } => Some(
                "leave the public address out, or use vxlan or udp, which cross address translation"
                    .to_owned(),
            ),
            Self::NoIpv6 { interface } => Some(format!(
                "give {interface} an IPv6 address, or choose another interface"
            )),
            _ => None,
        }
    }
}

/// The backend of this node's overlay network.
#[derive(Debug)]
pub enum Backend {
    /// `alloc`
    Alloc(Alloc),
    /// `host-gw`
    HostGw(HostGw),
    /// `vxlan`
    Vxlan(Vxlan),
    /// `udp`
    Udp(Udp),
    /// `wireguard`
    Wireguard(Wireguard),
}

impl Backend {
    /// Makes what the own lease has to tell of.
    pub fn prepare(settings: &Settings, external: &External) -> Result<(Self, Prepared), Error> {
        Ok(match &settings.options {
            Options::Alloc => {
                let (backend, prepared) = Alloc::prepare(external);
                (Self::Alloc(backend), prepared)
            }
            Options::HostGw => {
                let (backend, prepared) = HostGw::prepare(settings, external)?;
                (Self::HostGw(backend), prepared)
            }
            Options::Vxlan(options) => {
                let (backend, prepared) = Vxlan::prepare(settings, *options, external)?;
                (Self::Vxlan(backend), prepared)
            }
            Options::Wireguard(options) => {
                let (backend, prepared) = Wireguard::prepare(settings, options, external)?;
                (Self::Wireguard(backend), prepared)
            }
            Options::Udp(options) => {
                let (backend, prepared) = Udp::prepare(settings, *options, external)?;
                (Self::Udp(backend), prepared)
            }
        })
    }

    /// Takes the leased subnet as this node's, in place of an earlier one. Comes before the others'
    /// leases.
    pub fn assign(&mut self, subnet: Subnet) -> Result<(), Error> {
        match self {
            Self::Alloc(_) => Ok(()),
            Self::HostGw(backend) => backend.assign(subnet),
            Self::Vxlan(backend) => backend.assign(subnet),
            Self::Udp(backend) => backend.assign(subnet),
            Self::Wireguard(backend) => backend.assign(subnet),
        }
    }

    /// Makes the kernel hold what `leases` ask for and nothing else of this network; the own lease may
    /// be among them. What failed, for which lease: the others are in place.
    pub fn sync(&mut self, leases: &[Lease]) -> Vec<Error> {
        match self {
            Self::Alloc(_) => Vec::new(),
            Self::HostGw(backend) => backend.sync(leases),
            Self::Vxlan(backend) => backend.sync(leases),
            Self::Udp(backend) => backend.sync(leases),
            Self::Wireguard(backend) => backend.sync(leases),
        }
    }

    /// Honours one new or changed lease.
    pub fn add(&mut self, lease: &Lease) -> Vec<Error> {
        match self {
            Self::Alloc(_) => Vec::new(),
            Self::HostGw(backend) => backend.add(lease),
            Self::Vxlan(backend) => backend.add(lease),
            Self::Udp(backend) => backend.add(lease),
            Self::Wireguard(backend) => backend.add(lease),
        }
    }

    /// Takes back what the lease of `subnet` asked for.
    pub fn remove(&mut self, subnet: &Subnet) -> Vec<Error> {
        match self {
            Self::Alloc(_) => Vec::new(),
            Self::HostGw(backend) => backend.remove(subnet),
            Self::Vxlan(backend) => backend.remove(subnet),
            Self::Udp(backend) => backend.remove(subnet),
            Self::Wireguard(backend) => backend.remove(subnet),
        }
    }

    /// Repairs what was changed by others, and tries again what failed; to be called every 10 seconds.
    /// What cannot be honoured is told again each time.
    pub fn tick(&mut self) -> Vec<Error> {
        match self {
            Self::Alloc(_) => Vec::new(),
            Self::HostGw(backend) => backend.tick(),
            Self::Vxlan(backend) => backend.tick(),
            Self::Udp(backend) => backend.tick(),
            Self::Wireguard(backend) => backend.tick(),
        }
    }

    /// How many routes, neighbours and forwarding entries `sync` and `tick` put right since this was asked;
    /// 0 for backends that have none for each peer.
    pub fn take_reconciled(&mut self) -> usize {
        match self {
            Self::HostGw(backend) => backend.take_reconciled(),
            Self::Vxlan(backend) => backend.take_reconciled(),
            Self::Alloc(_) | Self::Udp(_) | Self::Wireguard(_) => 0,
        }
    }

    /// What the own lease has to say now, where that changes: a device made again may have another MAC
    /// address. None where it stays as it was prepared.
    pub fn prepared(&self) -> Option<Prepared> {
        match self {
            Self::Vxlan(backend) => Some(backend.prepared()),
            Self::Alloc(_) | Self::HostGw(_) | Self::Udp(_) | Self::Wireguard(_) => None,
        }
    }

    /// Takes everything away again, devices too: this node leaves the network.
    pub fn teardown(self) -> Vec<Error> {
        match self {
            Self::Alloc(_) => Vec::new(),
            Self::HostGw(backend) => backend.teardown(),
            Self::Vxlan(backend) => backend.teardown(),
            Self::Udp(backend) => backend.teardown(),
            Self::Wireguard(backend) => backend.teardown(),
        }
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
