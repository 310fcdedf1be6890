//! The kernel's WireGuard: keys, ports and peers of its devices, by the generic netlink family
//! `wireguard` (`linux/wireguard.h`).
//!
//! ```text
//!   Change, Identity --message--> WG_CMD_SET_DEVICE, several where one has no room
//!   Device           <--message-- WG_CMD_GET_DEVICE, several as well
//! ```
//!
//! The devices themselves are links: [`Netlink::create_wireguard`](crate::link::Netlink::create_wireguard).

mod message;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::time::SystemTime;

use ipnet::IpNet;
use netlink_packet_core::ParseableParametrized;
use netlink_packet_generic::GenlMessage;
use netlink_packet_wireguard::WireguardMessage;

pub use crate::netlink::Error;
use crate::netlink::{Refusal, Socket, generic, malformed};

/// `WG_GENL_NAME`
const FAMILY: &str = "wireguard";

/// A connection to the WireGuard devices of one network namespace.
#[derive(Debug)]
pub struct Wireguard {
    socket: Socket,
    family: u16,
}

/// 32 bytes that no message shows: a private key, or a key that both sides share.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}

/// Who a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Its private key.
    pub private: Secret,
    /// Its UDP port, of IPv4 and IPv6; opened when it is switched on.
    pub port: u16,
}

/// A node behind a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its public key.
    pub key: [u8; 32],
    /// A key shared with it besides.
    pub preshared: Option<Secret>,
    /// Where its packets go; none until it has sent one, if nobody said.
    pub endpoint: Option<SocketAddr>,
    /// Seconds between packets that keep translations on the way alive; 0 for none.
    pub keepalive: u16,
    /// What may be sent to it, and come from it.
    pub allowed: Vec<IpNet>,
}

/// A peer as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What it was told of the peer; the endpoint is where its last packet came from.
    pub peer: Peer,
    /// When keys were agreed on last; none if they never were.
    pub handshake: Option<SystemTime>,
}

/// A device as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its public key, if it has a private one.
    pub public: Option<[u8; 32]>,
    /// Its UDP port.
    pub port: u16,
    /// The mark its packets carry; 0 for none.
    pub mark: u32,
    /// Everybody behind it.
    pub peers: Vec<Known>,
}

/// One change of a device's peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Adds a peer, or makes the one with that key so. A session it has goes on; what it is allowed
    /// is taken from others that are allowed the same.
    Set(Peer),
    /// Takes the peer with that key away; one that is not there is fine.
    Remove([u8; 32]),
}

impl Wireguard {
    /// Connects to the calling thread's network namespace; none if the kernel has no WireGuard, nor
    /// a module for it.
    pub fn open() -> Result<Option<Self>, Error> {
        let open = || {
            let socket = Socket::open_generic()?;
            let family = generic::family(&socket, FAMILY)?;
            Ok(family.map(|family| Self { socket, family }))
        };
        open().map_err(|refusal| Error::new("ask for the kernel's WireGuard", refusal))
    }

    /// The device `index`; none if there is none, or it is no WireGuard device.
    pub fn device(&self, index: u32) -> Result<Option<Device>, Error> {
        let request = GenlMessage::from_payload(message::get(index));
        let parts = self.socket.dump(self.family, &request, |payload| {
            GenlMessage::<WireguardMessage>::parse_with_param(payload, self.family)
                .map(|message| Some(message.payload.attributes))
                .map_err(malformed)
        });
        match parts {
            Ok(parts) => Ok(Some(message::device(parts))),
            Err(refusal) if matches!(refusal.errno(), Some(libc::ENODEV | libc::EOPNOTSUPP)) => {
                Ok(None)
            }
            Err(refusal) => Err(Error::new(
                format!("look at the WireGuard device number {index}"),
                refusal,
            )),
        }
    }

    /// Makes the device `index` one with that key and port, without a mark, and without peers.
    pub fn reset(&self, index: u32, identity: &Identity) -> Result<(), Error> {
        self.set(message::reset(index, identity))
            .map_err(|refusal| {
                let action =
                    format!("give the WireGuard device number {index} its key and its port");
                Error::new(action, refusal)
            })
    }

    /// Makes changes in order, and stops at the first message the kernel refuses: what was in
    /// messages before it, and perhaps a part of it, stays.
    pub fn change(&self, index: u32, changes: &[Change]) -> Result<(), Error> {
        let mut messages = message::changes(index, changes).into_iter();
        messages
            .try_for_each(|message| self.set(message))
            .map_err(|refusal| {
                let action = format!("change peers of the WireGuard device number {index}");
                Error::new(action, refusal)
            })
    }

    fn set(&self, message: WireguardMessage) -> Result<(), Refusal> {
        let request = GenlMessage::from_payload(message);
        self.socket.change(self.family, 0, &request)
    }
}
