//! Messages against bytes written after `linux/wireguard.h`, and devices against this machine's kernel,
//! whether it has WireGuard or not.

use std::net::IpAddr;

use netlink_packet_core::Emitable;
use netlink_packet_wireguard::{
    WireguardAttribute, WireguardPeerAttribute, WireguardPeerFlags, WireguardTimeSpec,
};
use proptest::prelude::*;

use super::*;
use crate::link::Netlink;
use crate::netns::Namespace;

/// Bytes of the largest message, with room to spare below an attribute's 65535.
const LARGEST: usize = 32 * 1024;

/// The first pair of RFC 7748, 6.1.
const PRIVATE: [u8; 32] = [
    0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45,
    0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a,
];
const PUBLIC: [u8; 32] = [
    0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7, 0x5a,
    0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a,
];

fn peer() -> Peer {
    Peer {
        key: [1; 32],
        preshared: Some(Secret([2; 32])),
        endpoint: Some("10.99.0.12:51820".parse().expect("an endpoint")),
        keepalive: 25,
        allowed: vec!["10.5.5.0/24".parse().expect("a network")],
    }
}

fn bytes(message: WireguardMessage) -> Vec<u8> {
    let message = GenlMessage::from_payload(message);
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

fn attributes(bytes: &[u8]) -> Vec<WireguardAttribute> {
    let message = GenlMessage::<WireguardMessage>::parse_with_param(bytes, 0);
    message.expect("readable").payload.attributes
}

/// What the kernel would have after `messages` about new peers.
fn told(messages: Vec<WireguardMessage>) -> Vec<Known> {
    let messages = messages.into_iter().map(bytes);
    message::device(messages.map(|bytes| attributes(&bytes)).collect()).peers
}

#[test]
fn a_device_in_bytes() {
    let identity = Identity {
        private: Secret([3; 32]),
        port: 51820,
    };
    let mut expected = vec![
        1, 1, 0, 0, // WG_CMD_SET_DEVICE, version
        8, 0, 1, 0, 7, 0, 0, 0, // WGDEVICE_A_IFINDEX
        8, 0, 5, 0, 1, 0, 0, 0, // WGDEVICE_A_FLAGS: REPLACE_PEERS
        36, 0, 3, 0, // WGDEVICE_A_PRIVATE_KEY
    ];
    expected.extend([3; 32]);
    expected.extend([6, 0, 6, 0, 0x6c, 0xca, 0, 0]); // WGDEVICE_A_LISTEN_PORT
    expected.extend([8, 0, 7, 0, 0, 0, 0, 0]); // WGDEVICE_A_FWMARK
    assert_eq!(bytes(message::reset(7, &identity)), expected);
    let question = [0, 1, 0, 0, 8, 0, 1, 0, 7, 0, 0, 0];
    assert_eq!(bytes(message::get(7)), question);
    assert_eq!(
        format!("{identity:?}"),
        "Identity { private: Secret(...), port: 51820 }"
    );
}

#[test]
fn a_peer_in_bytes() {
    let messages = message::changes(7, &[Change::Set(peer())]);
    let [message]: [_; 1] = messages.try_into().expect("one message");
    let mut expected = vec![
        1, 1, 0, 0, // WG_CMD_SET_DEVICE, version
        8, 0, 1, 0, 7, 0, 0, 0, // WGDEVICE_A_IFINDEX
        148, 0, 8, 0x80, // WGDEVICE_A_PEERS, nested
        144, 0, 0, 0x80, // the first of them, nested
        36, 0, 1, 0, // WGPEER_A_PUBLIC_KEY
    ];
    expected.extend([1; 32]);
    expected.extend([8, 0, 3, 0, 2, 0, 0, 0]); // WGPEER_A_FLAGS: REPLACE_ALLOWEDIPS
    expected.extend([36, 0, 2, 0]); // WGPEER_A_PRESHARED_KEY
    expected.extend([2; 32]);
    expected.extend([6, 0, 5, 0, 25, 0, 0, 0]); // WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL
    expected.extend([20, 0, 4, 0]); // WGPEER_A_ENDPOINT: struct sockaddr_in
    expected.extend([2, 0, 0xca, 0x6c, 10, 99, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend([32, 0, 9, 0x80, 28, 0, 0, 0x80]); // WGPEER_A_ALLOWEDIPS, the first of them
    expected.extend([6, 0, 1, 0, 2, 0, 0, 0]); // WGALLOWEDIP_A_FAMILY: AF_INET
    expected.extend([8, 0, 2, 0, 10, 5, 5, 0]); // WGALLOWEDIP_A_IPADDR
    expected.extend([5, 0, 3, 0, 24, 0, 0, 0]); // WGALLOWEDIP_A_CIDR_MASK
    assert_eq!(bytes(message), expected);
}

#[test]
fn a_peer_over_ipv6_in_bytes() {
    let over_ipv6 = Peer {
        preshared: None,
        endpoint: Some("[fd99::12]:7".parse().expect("an endpoint")),
        keepalive: 0,
        allowed: vec!["fd00:5:0:7::/64".parse().expect("a network")],
        ..peer()
    };
    let messages = message::changes(7, &[Change::Set(over_ipv6)]);
    let [message]: [_; 1] = messages.try_into().expect("one message");
    let written = bytes(message);
    let has = |part: &[u8]| written.windows(part.len()).any(|window| window == part);
    let mut no_secret = vec![36, 0, 2, 0];
    no_secret.extend([0; 32]);
    let mut endpoint = vec![32, 0, 4, 0, 10, 0, 0, 7, 0, 0, 0, 0, 0xfd, 0x99];
    endpoint.extend([0; 12]);
    endpoint.extend([0, 0x12, 0, 0, 0, 0]);
    let mut network = vec![6, 0, 1, 0, 10, 0, 0, 0, 20, 0, 2, 0];
    network.extend([0xfd, 0, 0, 5, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
    network.extend([5, 0, 3, 0, 64, 0, 0, 0]);
    assert!(has(&no_secret) && has(&endpoint) && has(&network));
    // A keep-alive of an earlier configuration goes.
    assert!(has(&[6, 0, 5, 0, 0, 0, 0, 0]));
}

#[test]
fn a_peer_that_goes_in_bytes() {
    let messages = message::changes(7, &[Change::Remove([9; 32])]);
    let [message]: [_; 1] = messages.try_into().expect("one message");
    let mut expected = vec![1, 1, 0, 0, 8, 0, 1, 0, 7, 0, 0, 0];
    expected.extend([52, 0, 8, 0x80, 48, 0, 0, 0x80, 36, 0, 1, 0]);
    expected.extend([9; 32]);
    expected.extend([8, 0, 3, 0, 1, 0, 0, 0]); // WGPEER_A_FLAGS: REMOVE_ME
    assert_eq!(bytes(message), expected);
    assert_eq!(message::changes(7, &[]), []);
}

#[test]
fn an_answer_in_several_messages_is_one_device() {
    let time = |seconds| {
        WireguardPeerAttribute::LastHandshake(WireguardTimeSpec {
            seconds,
            nano_seconds: 0,
        })
    };
    let mut first = message::changes(
        7,
        &[
            Change::Set(Peer {
                key: [5; 32],
                ..peer()
            }),
            Change::Set(peer()),
        ],
    );
    let mut attributes = first.remove(0).attributes;
    let Some(WireguardAttribute::Peers(peers)) = attributes.last_mut() else {
        panic!("{attributes:?}");
    };
    peers[0].0.push(time(0));
    peers[1].0.push(time(1_700_000_000));
    attributes.push(WireguardAttribute::PublicKey([3; 32]));
    attributes.push(WireguardAttribute::ListenPort(7));
    attributes.push(WireguardAttribute::Fwmark(8));
    let more = Peer {
        endpoint: None,
        allowed: vec!["fd00:5::/64".parse().expect("a network")],
        ..peer()
    };
    let second = message::changes(7, &[Change::Set(more)]).remove(0);
    let device = message::device(vec![attributes, second.attributes]);
    assert_eq!(
        (device.public, device.port, device.mark),
        (Some([3; 32]), 7, 8)
    );
    let keys: Vec<u8> = device.peers.iter().map(|known| known.peer.key[0]).collect();
    assert_eq!(keys, [5, 1]);
    assert_eq!(device.peers[0].handshake, None);
    let since = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    assert_eq!(device.peers[1].handshake, Some(since));
    let allowed: Vec<String> = (device.peers[1].peer.allowed.iter())
        .map(ToString::to_string)
        .collect();
    assert_eq!(allowed, ["10.5.5.0/24", "fd00:5::/64"]);
    assert_eq!(device.peers[1].peer.endpoint, peer().endpoint);
}

#[test]
fn thousands_of_peers_take_several_messages() {
    let peers = (0..5000_u32).map(|number| {
        let mut peer = peer();
        peer.key[..4].copy_from_slice(&number.to_be_bytes());
        peer
    });
    let peers: Vec<Peer> = peers.collect();
    let changes: Vec<Change> = peers.iter().cloned().map(Change::Set).collect();
    let messages = message::changes(7, &changes);
    assert!((40..100).contains(&messages.len()), "{}", messages.len());
    let read: Vec<Peer> = told(messages).into_iter().map(|known| known.peer).collect();
    assert_eq!(read, peers);
}

#[test]
fn devices_of_this_kernel() {
    let work = || {
        let netlink = Netlink::open().expect("netlink");
        let created = netlink.create_wireguard("wg0");
        let control = Wireguard::open().expect("an answer");
        match (created, control) {
            (Ok(index), Some(control)) => use_a_device(&netlink, &control, index),
            (Err(error), None) => {
                assert!(error.is_unsupported(), "{error:?}");
                let text = error.to_string();
                assert!(
                    text.starts_with("cannot create the WireGuard device wg0"),
                    "{text}"
                );
                assert_eq!(netlink.link("wg0").expect("look"), None);
            }
            other => panic!("half a WireGuard: {other:?}"),
        }
    };
    let namespace = Namespace::anonymous().expect("namespace");
    namespace.run(work).expect("enter");
}

fn use_a_device(netlink: &Netlink, control: &Wireguard, index: u32) {
    let link = netlink.link_by_index(index).expect("look").expect("there");
    assert!(link.is_wireguard());
    let identity = Identity {
        private: Secret(PRIVATE),
        port: 51820,
    };
    control.reset(index, &identity).expect("reset");
    netlink.set_up(index).expect("up");
    let gone = Peer {
        key: [4; 32],
        ..peer()
    };
    let set = [Change::Set(peer()), Change::Set(gone)];
    control.change(index, &set).expect("set");
    let remove = [Change::Remove([4; 32]), Change::Remove([6; 32])];
    control.change(index, &remove).expect("remove");
    let device = control.device(index).expect("look").expect("there");
    let known = Known {
        peer: peer(),
        handshake: None,
    };
    let expected = Device {
        public: Some(PUBLIC),
        port: 51820,
        mark: 0,
        peers: vec![known],
    };
    assert_eq!(device, expected);
    assert_eq!(control.device(1).expect("look"), None);
    assert_eq!(control.device(4711).expect("look"), None);
}

fn any_network() -> impl Strategy<Value = IpNet> {
    let v4 = (any::<u32>(), 0u8..=32)
        .prop_map(|(bits, length)| (IpAddr::from(bits.to_be_bytes()), length));
    let v6 = (any::<u128>(), 0u8..=128)
        .prop_map(|(bits, length)| (IpAddr::from(bits.to_be_bytes()), length));
    prop_oneof![v4, v6]
        .prop_map(|(address, length)| IpNet::new(address, length).expect("lengths fit").trunc())
}

fn any_peer() -> impl Strategy<Value = Peer> {
    let endpoint = proptest::option::of((any::<std::net::Ipv6Addr>(), 1u16..));
    (
        any::<[u8; 4]>(),
        proptest::option::of(1u8..),
        endpoint,
        any::<u16>(),
        proptest::collection::vec(any_network(), 0..400),
    )
        .prop_map(|(start, preshared, endpoint, keepalive, allowed)| {
            let mut key = [7; 32];
            key[..4].copy_from_slice(&start);
            Peer {
                key,
                preshared: preshared.map(|byte| Secret([byte; 32])),
                endpoint: endpoint.map(SocketAddr::from),
                keepalive,
                allowed,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_told_is_read_back(mut peers in proptest::collection::vec(any_peer(), 0..8)) {
        peers.sort_by_key(|peer| peer.key);
        peers.dedup_by_key(|peer| peer.key);
        let changes: Vec<Change> = peers.iter().cloned().map(Change::Set).collect();
        let messages = message::changes(7, &changes);
        let flags = messages.iter().flat_map(|message| &message.attributes).map(|attribute| {
            let WireguardAttribute::Peers(parts) = attribute else { return 0 };
            let replace = WireguardPeerAttribute::Flags(WireguardPeerFlags::ReplaceAllowedIps);
            parts.iter().filter(|part| part.0.contains(&replace)).count()
        });
        // Once for each peer: said again, it would take the earlier networks away.
        prop_assert_eq!(flags.sum::<usize>(), peers.len());
        prop_assert!(messages.iter().all(|message| message.buffer_len() <= LARGEST));
        let read: Vec<Peer> = told(messages).into_iter().map(|known| known.peer).collect();
        prop_assert_eq!(read, peers);
    }
}
