//! Messages of the family `wireguard`: values in, values out, no socket.

use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use netlink_packet_core::Nla;
use netlink_packet_wireguard::{
    WireguardAddressFamily, WireguardAllowedIp, WireguardAllowedIpAttr, WireguardAttribute,
    WireguardCmd, WireguardDeviceFlags, WireguardMessage, WireguardPeer, WireguardPeerAttribute,
    WireguardPeerFlags, WireguardTimeSpec,
};

use super::{Change, Device, Identity, Known, Peer, Secret};

/// Bytes of peers in one message, about: an attribute can have 65535.
const ROOM: usize = 16 * 1024;
/// Networks in one part of a peer, which take 40 bytes each at most.
const NETWORKS: usize = 128;

/// Asks for a device.
pub(super) fn get(index: u32) -> WireguardMessage {
    WireguardMessage {
        cmd: WireguardCmd::GetDevice,
        attributes: vec![WireguardAttribute::IfIndex(index)],
    }
}

/// Sets the key and the port, and takes mark and peers away.
pub(super) fn reset(index: u32, identity: &Identity) -> WireguardMessage {
    WireguardMessage {
        cmd: WireguardCmd::SetDevice,
        attributes: vec![
            WireguardAttribute::IfIndex(index),
            WireguardAttribute::Flags(WireguardDeviceFlags::ReplacePeers),
            WireguardAttribute::PrivateKey(identity.private.0),
            WireguardAttribute::ListenPort(identity.port),
            WireguardAttribute::Fwmark(0),
        ],
    }
}

/// Makes the changes, in order, in as many messages as they take.
pub(super) fn changes(index: u32, changes: &[Change]) -> Vec<WireguardMessage> {
    let mut batches: Vec<(usize, Vec<WireguardPeer>)> = Vec::new();
    for part in changes.iter().flat_map(parts) {
        let length = part.value_len();
        match batches.last_mut() {
            Some((used, batch)) if *used + length <= ROOM => {
                *used += length;
                batch.push(part);
            }
            _ => batches.push((length, vec![part])),
        }
    }
    let message = |(_, peers)| WireguardMessage {
        cmd: WireguardCmd::SetDevice,
        attributes: vec![
            WireguardAttribute::IfIndex(index),
            WireguardAttribute::Peers(peers),
        ],
    };
    batches.into_iter().map(message).collect()
}

/// What a change says of a peer. The first part has everything, the others only more networks: said
/// twice, the flag would take the first part's networks away again.
fn parts(change: &Change) -> Vec<WireguardPeer> {
    let peer = match change {
        Change::Set(peer) => peer,
        Change::Remove(key) => {
            return vec![WireguardPeer(vec![
                WireguardPeerAttribute::PublicKey(*key),
                WireguardPeerAttribute::Flags(WireguardPeerFlags::RemoveMe),
            ])];
        }
    };
    // All zeros are no key.
    let preshared = peer.preshared.map_or([0; 32], |secret| secret.0);
    let mut first = vec![
        WireguardPeerAttribute::PublicKey(peer.key),
        WireguardPeerAttribute::Flags(WireguardPeerFlags::ReplaceAllowedIps),
        WireguardPeerAttribute::PresharedKey(preshared),
        WireguardPeerAttribute::PersistentKeepalive(peer.keepalive),
    ];
    first.extend(peer.endpoint.map(WireguardPeerAttribute::Endpoint));
    let mut networks = peer.allowed.chunks(NETWORKS).map(allowed);
    first.extend(networks.next());
    let more =
        |networks| WireguardPeer(vec![WireguardPeerAttribute::PublicKey(peer.key), networks]);
    std::iter::once(WireguardPeer(first))
        .chain(networks.map(more))
        .collect()
}

fn allowed(networks: &[IpNet]) -> WireguardPeerAttribute {
    let network = |network: &IpNet| {
        let family = match network {
            IpNet::V4(_) => WireguardAddressFamily::Ipv4,
            IpNet::V6(_) => WireguardAddressFamily::Ipv6,
        };
        WireguardAllowedIp(vec![
            WireguardAllowedIpAttr::Family(family),
            WireguardAllowedIpAttr::IpAddr(network.network()),
            WireguardAllowedIpAttr::Cidr(network.prefix_len()),
        ])
    };
    WireguardPeerAttribute::AllowedIps(networks.iter().map(network).collect())
}

/// The device that the messages of an answer describe. Where a peer has no room in one, the next one
/// goes on with it.
pub(super) fn device(parts: Vec<Vec<WireguardAttribute>>) -> Device {
    let mut device = Device {
        public: None,
        port: 0,
        mark: 0,
        peers: Vec::new(),
    };
    for attribute in parts.into_iter().flatten() {
        match attribute {
            WireguardAttribute::PublicKey(key) => device.public = Some(key),
            WireguardAttribute::ListenPort(port) => device.port = port,
            WireguardAttribute::Fwmark(mark) => device.mark = mark,
            WireguardAttribute::Peers(peers) => {
                for peer in peers {
                    add(&mut device.peers, known(peer));
                }
            }
            _ => {}
        }
    }
    device
}

fn add(peers: &mut Vec<Known>, known: Known) {
    match peers.last_mut() {
        Some(last) if last.peer.key == known.peer.key => {
            last.peer.allowed.extend(known.peer.allowed);
        }
        _ => peers.push(known),
    }
}

fn known(attributes: WireguardPeer) -> Known {
    let mut peer = Peer {
        key: [0; 32],
        preshared: None,
        endpoint: None,
        keepalive: 0,
        allowed: Vec::new(),
    };
    let mut handshake = None;
    for attribute in attributes.0 {
        match attribute {
            WireguardPeerAttribute::PublicKey(key) => peer.key = key,
            WireguardPeerAttribute::PresharedKey(key) => peer.preshared = secret(key),
            WireguardPeerAttribute::Endpoint(endpoint) => peer.endpoint = Some(endpoint),
            WireguardPeerAttribute::PersistentKeepalive(seconds) => peer.keepalive = seconds,
            WireguardPeerAttribute::LastHandshake(time) => handshake = moment(time),
            WireguardPeerAttribute::AllowedIps(networks) => {
                peer.allowed
                    .extend(networks.into_iter().filter_map(network));
            }
            _ => {}
        }
    }
    Known { peer, handshake }
}

fn network(attributes: WireguardAllowedIp) -> Option<IpNet> {
    let (mut address, mut length) = (None, None);
    for attribute in attributes.0 {
        match attribute {
            WireguardAllowedIpAttr::IpAddr(value) => address = Some(value),
            WireguardAllowedIpAttr::Cidr(value) => length = Some(value),
            _ => {}
        }
    }
    IpNet::new(address?, length?).ok()
}

fn secret(key: [u8; 32]) -> Option<Secret> {
    (key != [0; 32]).then_some(Secret(key))
}

/// The moment 0 is never.
fn moment(time: WireguardTimeSpec) -> Option<SystemTime> {
    let seconds = u64::try_from(time.seconds).ok()?;
    let nanoseconds = u32::try_from(time.nano_seconds).ok()?;
    let since = Duration::new(seconds, nanoseconds.min(999_999_999));
    let moment = SystemTime::UNIX_EPOCH.checked_add(since);
    moment.filter(|_| !since.is_zero())
}
