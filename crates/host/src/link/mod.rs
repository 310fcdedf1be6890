//! Links, addresses and routes of one network namespace, by netlink.
//!
//! A [`Netlink`] stays bound to the namespace it was opened in, whatever its thread does later.

mod address;
mod change;
mod lookup;
mod neighbour;
mod port;
mod route;
mod vxlan;
mod watch;
mod wireguard;

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use netlink_packet_core::Parseable;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage,
};

pub use self::change::Change;
pub use self::lookup::Way;
pub use self::neighbour::{Forwarding, Neighbour};
pub use self::route::{Protocol, Route, Scope};
pub use self::vxlan::Vxlan;
pub use self::watch::{Changed, Watch};
pub use crate::netlink::Error;
use crate::netlink::{Refusal, Socket, malformed};
use crate::netns::Namespace;

const NEW: i32 = libc::NLM_F_CREATE | libc::NLM_F_EXCL;

/// A connection to the kernel's links, addresses, routes and traffic control.
#[derive(Debug)]
pub struct Netlink {
    pub(crate) socket: Socket,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its MAC address; zero where it has none.
    pub mac: [u8; 6],
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it is switched on.
    pub up: bool,
    /// `bridge`, `veth`, `tun`, ...; none for a real device or the loopback.
    pub kind: Option<String>,
    /// The bridge (or other master) it is a port of.
    pub master: Option<u32>,
    /// The interface it stands on or is paired with, by its number in that one's namespace.
    pub peer: Option<u32>,
}

impl Netlink {
    /// Connects to the calling thread's network namespace.
    pub fn open() -> Result<Self, Error> {
        let socket =
            Socket::open().map_err(|source| Error::new("open a netlink socket", source.into()))?;
        Ok(Self { socket })
    }

    /// Connects to `namespace`.
    pub fn open_in(namespace: &Namespace) -> Result<Self, Error> {
        namespace
            .run(Self::open)
            .unwrap_or_else(|error| Err(Error::new(error.action, error.source.into())))
    }

    /// All interfaces.
    pub fn links(&self) -> Result<Vec<Link>, Error> {
        let message = with(vec![LinkAttribute::ExtMask(vec![
            LinkExtentMask::SkipStats,
        ])]);
        self.socket
            .dump(libc::RTM_GETLINK, &message, |payload| {
                Ok(Some(read(payload)?))
            })
            .map_err(|refusal| Error::new("list the links", refusal))
    }

    /// The interface `name`, if there is one.
    pub fn link(&self, name: &str) -> Result<Option<Link>, Error> {
        let message = with(vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]),
        ]);
        present(self.socket.get(libc::RTM_GETLINK, &message, read))
            .map_err(|refusal| Error::new(format!("look at link {name}"), refusal))
    }

    /// The interface numbered `index`, if there is one.
    pub fn link_by_index(&self, index: u32) -> Result<Option<Link>, Error> {
        let mut message = with(vec![LinkAttribute::ExtMask(vec![
            LinkExtentMask::SkipStats,
        ])]);
        message.header.index = index;
        present(self.socket.get(libc::RTM_GETLINK, &message, read))
            .map_err(|refusal| Error::new(format!("look at link {index}"), refusal))
    }

    /// Switches an interface on.
    pub fn set_up(&self, index: u32) -> Result<(), Error> {
        let mut message = at(index, Vec::new());
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.set(&message, || format!("set link {} up", self.name(index)))
    }

    /// Switches an interface off.
    pub fn set_down(&self, index: u32) -> Result<(), Error> {
        let mut message = at(index, Vec::new());
        message.header.change_mask = LinkFlags::Up;
        self.set(&message, || format!("set link {} down", self.name(index)))
    }

    /// Sets the MAC address.
    pub fn set_mac(&self, index: u32, mac: [u8; 6]) -> Result<(), Error> {
        let message = at(index, vec![LinkAttribute::Address(mac.to_vec())]);
        self.set(&message, || {
            format!("set the MAC address of link {}", self.name(index))
        })
    }

    /// Sets the MTU in bytes.
    pub fn set_mtu(&self, index: u32, mtu: u32) -> Result<(), Error> {
        let message = at(index, vec![LinkAttribute::Mtu(mtu)]);
        self.set(&message, || {
            format!("set the MTU of link {} to {mtu}", self.name(index))
        })
    }

    /// Renames an interface, which must be switched off.
    pub fn rename(&self, index: u32, name: &str) -> Result<(), Error> {
        let message = at(index, vec![LinkAttribute::IfName(name.to_owned())]);
        self.set(&message, || {
            format!("rename link {} to {name}", self.name(index))
        })
    }

    /// Takes an interface away; one that is not there is fine.
    pub fn delete(&self, index: u32) -> Result<(), Error> {
        let result = self
            .socket
            .change(libc::RTM_DELLINK, 0, &at(index, Vec::new()));
        present(result)
            .map(drop)
            .map_err(|refusal| Error::new(format!("delete link {}", self.name(index)), refusal))
    }

    /// Makes a bridge, switched off; its number.
    pub fn create_bridge(&self, name: &str) -> Result<u32, Error> {
        let message = with(vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]),
        ]);
        self.create(name, &message, || format!("create bridge {name}"))
    }

    /// Makes a pair of virtual ethernet interfaces, switched off: `name` here, `peer` in `peer_ns`
    /// (or here). The number of `name`.
    pub fn create_veth(
        &self,
        name: &str,
        peer: &str,
        peer_ns: Option<&Namespace>,
    ) -> Result<u32, Error> {
        let mut far = with(vec![LinkAttribute::IfName(peer.to_owned())]);
        if let Some(namespace) = peer_ns {
            // The peer is born in its namespace; no name has to be free here.
            far.attributes
                .push(LinkAttribute::NetNsFd(namespace.as_fd().as_raw_fd()));
        }
        let message = with(vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Veth),
                LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(far))),
            ]),
        ]);
        self.create(name, &message, || {
            format!("create the veth pair {name} and {peer}")
        })
    }

    fn create(
        &self,
        name: &str,
        message: &LinkMessage,
        action: impl Fn() -> String,
    ) -> Result<u32, Error> {
        self.socket
            .change(libc::RTM_NEWLINK, NEW, message)
            .map_err(|refusal| Error::new(action(), refusal))?;
        match self.link(name)? {
            Some(link) => Ok(link.index),
            None => Err(Error::new(
                action(),
                io::Error::from_raw_os_error(libc::ENODEV).into(),
            )),
        }
    }

    pub(crate) fn set(
        &self,
        message: &LinkMessage,
        action: impl Fn() -> String,
    ) -> Result<(), Error> {
        self.socket
            .change(libc::RTM_NEWLINK, 0, message)
            .map_err(|refusal| Error::new(action(), refusal))
    }

    /// The name for a message about a failure; the number where it has none any more.
    pub(crate) fn name(&self, index: u32) -> String {
        match self.link_by_index(index) {
            Ok(Some(link)) => link.name,
            _ => format!("number {index}"),
        }
    }
}

fn with(attributes: Vec<LinkAttribute>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes = attributes;
    message
}

fn at(index: u32, attributes: Vec<LinkAttribute>) -> LinkMessage {
    let mut message = with(attributes);
    message.header.index = index;
    message
}

/// Turns "no such device" into none.
fn present<T>(result: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(refusal) if refusal.errno() == Some(libc::ENODEV) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

fn read(payload: &[u8]) -> io::Result<Link> {
    LinkMessage::parse(payload)
        .map(Link::from)
        .map_err(malformed)
}

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Self {
        let mut link = Self {
            index: message.header.index,
            name: String::new(),
            mac: [0; 6],
            mtu: 0,
            up: message.header.flags.contains(LinkFlags::Up),
            kind: None,
            master: None,
            peer: None,
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Address(mac) => link.mac = mac.try_into().unwrap_or_default(),
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::Controller(index) => link.master = Some(index),
                LinkAttribute::Link(index) => link.peer = Some(index),
                LinkAttribute::LinkInfo(infos) => link.kind = infos.into_iter().find_map(kind),
                _ => {}
            }
        }
        link
    }
}

fn kind(info: LinkInfo) -> Option<String> {
    match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tunnel_tests;
