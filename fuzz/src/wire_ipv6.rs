//! Frames of a guest that reach the router and the DHCPv6 server of its tap, or are refused.

use std::net::Ipv6Addr;
use std::sync::LazyLock;

use ignite_wire::dhcp6::{CLIENT_PORT, Message, Responder, SERVER_PORT};
use ignite_wire::ipv6::{ICMPV6, Packet, UDP, link_local};
use ignite_wire::neighbour::{Advertisement, Solicitation};
use ignite_wire::ra::{Advertiser, Asked};
use ignite_wire::refused::Refused;
use ignite_wire::supervisor::Lease6;

const GUEST: [u8; 6] = [2, 0, 0, 0, 0, 1];
const STRANGER: [u8; 6] = [2, 0, 0, 0, 0, 2];
const GROUP: [u8; 6] = [0x33, 0x33, 0, 1, 0, 2];
/// Ethernet header and the largest packet that is sent.
const LARGEST_FRAME: usize = 14 + 1280;

static LEASE: LazyLock<Lease6> = LazyLock::new(|| Lease6 {
    addresses: vec!["fd00:61::2/64".parse().expect("a network"); 30],
    routes: vec![
        (
            "::/0".parse().expect("a network"),
            Some(Ipv6Addr::new(0xfd00, 0x61, 0, 0, 0, 0, 0, 1)),
        ),
        ("2001:db8::/32".parse().expect("a network"), None),
    ],
    dns: vec![Ipv6Addr::LOCALHOST; 30],
    search: vec!["example.org".into(); 30],
    mtu: 1450,
});
static RESPONDER: LazyLock<Responder> = LazyLock::new(|| Responder::new(GUEST, LEASE.clone()));
static ADVERTISER: LazyLock<Advertiser> = LazyLock::new(|| Advertiser::new(GUEST, LEASE.clone()));

/// The bytes are taken as a frame; as ICMPv6, and as a message to a DHCPv6 server, in honest frames of
/// the guest and of another.
pub fn run(bytes: &[u8]) {
    frame(bytes);
    if let Some(message) = Message::parse(bytes) {
        assert_eq!(Message::parse(&message.encode()), Some(message));
    }
    in_packet(ICMPV6, 255, bytes);
    let Ok(length) = u16::try_from(8 + bytes.len()) else {
        return;
    };
    let mut datagram = CLIENT_PORT.to_be_bytes().to_vec();
    datagram.extend(SERVER_PORT.to_be_bytes());
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(bytes);
    in_packet(UDP, 1, &datagram);
}

fn in_packet(next_header: u8, hop_limit: u8, payload: &[u8]) {
    let packet = Packet {
        source_mac: GUEST,
        destination_mac: GROUP,
        source: link_local(GUEST),
        destination: Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2),
        next_header,
        hop_limit,
        payload,
    };
    let Some(whole) = packet.encode() else {
        return;
    };
    assert_eq!(Packet::parse(&whole), Some(packet));
    frame(&whole);
    let foreign = Packet {
        source_mac: STRANGER,
        ..packet
    };
    let foreign = foreign.encode().expect("as long as the guest's");
    assert_eq!(RESPONDER.answer(&foreign), None, "answered a stranger");
    assert_eq!(ADVERTISER.hear(&foreign), None, "heard a stranger");
}

fn frame(frame: &[u8]) {
    if let Some(answer) = RESPONDER.answer(frame) {
        let packet = checked(&answer);
        assert!(Message::parse(&packet.payload[8..]).is_some());
    }
    match ADVERTISER.hear(frame) {
        Some(Asked::Routers) => drop(checked(&ADVERTISER.advertise(0, Some(STRANGER)))),
        Some(Asked::Router { number, guest }) => {
            let answer = ADVERTISER.answer(number, guest, STRANGER);
            let answer = answer.expect("there is such a router");
            assert!(Advertisement::parse(&answer).is_some_and(|read| read.mac == STRANGER));
        }
        None => {}
    }
    if let Some(asked) = Solicitation::parse(frame) {
        assert_eq!(Solicitation::parse(&asked.encode()), Some(asked));
    }
    let _ = Advertisement::parse(frame);
    let refused = Refused::judge(frame, GUEST, |_| false);
    if let Some(address) = refused.and_then(|refused| refused.address) {
        assert!(!address.is_unspecified() && !address.is_multicast());
    }
}

/// What is sent goes to the guest and is not too long.
fn checked(answer: &[u8]) -> Packet<'_> {
    assert!(answer.len() <= LARGEST_FRAME, "{} bytes", answer.len());
    let packet = Packet::parse(answer).expect("our own frame");
    assert_eq!(packet.destination_mac, GUEST);
    packet
}
