//! Frames of a guest that reach the DHCP server of its tap.

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use ignite_wire::dhcp::{CLIENT_PORT, Datagram, Operation, Packet, Responder, SERVER_PORT};
use ignite_wire::supervisor::Lease;

const GUEST: [u8; 6] = [2, 0, 0, 0, 0, 1];
const STRANGER: [u8; 6] = [2, 0, 0, 0, 0, 2];
const BROADCAST: [u8; 6] = [0xff; 6];
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 61, 0, 2);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 61, 0, 1);
/// Ethernet header and the largest IP packet the server sends.
const LARGEST_FRAME: usize = 14 + 1280;

static RESPONDER: LazyLock<Responder> = LazyLock::new(|| {
    let lease = Lease {
        address: ADDRESS,
        prefix: 16,
        server: SERVER,
        gateway: Some(SERVER),
        routes: vec![(
            "192.0.2.0/24".parse().expect("a network"),
            Ipv4Addr::new(10, 61, 0, 9),
        )],
        dns: vec![Ipv4Addr::new(192, 0, 2, 53); 40],
        hostname: "vm".into(),
        domain: Some("example.org".into()),
        mtu: 1450,
        lease_time: u32::MAX,
    };
    Responder::new(GUEST, lease)
});

/// The bytes are taken as a frame, and as a packet in an honest frame of the guest and of another.
pub fn run(bytes: &[u8]) {
    if let Some(answer) = RESPONDER.answer(bytes) {
        let request = Datagram::parse(bytes).expect("it was answered");
        check(&request, &answer);
    }
    if let Ok(packet) = Packet::parse(bytes) {
        assert_eq!(Packet::parse(&packet.encode()), Ok(packet));
    }
    let request = Datagram {
        source_mac: GUEST,
        destination_mac: BROADCAST,
        source: (Ipv4Addr::UNSPECIFIED, CLIENT_PORT),
        destination: (Ipv4Addr::BROADCAST, SERVER_PORT),
        payload: bytes,
    };
    let Some(frame) = request.encode() else {
        return;
    };
    assert_eq!(Datagram::parse(&frame).as_ref(), Ok(&request));
    if let Some(answer) = RESPONDER.answer(&frame) {
        check(&request, &answer);
        let foreign = Datagram {
            source_mac: STRANGER,
            ..request
        };
        let foreign = foreign.encode().expect("as long as the guest's");
        assert_eq!(RESPONDER.answer(&foreign), None, "answered a stranger");
    }
}

/// An answer goes to the guest that asked, with its own lease or none, and is not too long.
fn check(request: &Datagram<'_>, answer: &[u8]) {
    assert!(answer.len() <= LARGEST_FRAME, "{} bytes", answer.len());
    let datagram = Datagram::parse(answer).expect("our own frame");
    let (asked, said) = (
        Packet::parse(request.payload).expect("it was answered"),
        Packet::parse(datagram.payload).expect("our own packet"),
    );
    assert_eq!((request.source_mac, asked.chaddr), (GUEST, GUEST));
    assert!([GUEST, BROADCAST].contains(&datagram.destination_mac));
    assert_eq!(datagram.source, (SERVER, SERVER_PORT));
    assert_eq!(datagram.destination.1, CLIENT_PORT);
    assert_eq!(said.op, Operation::Reply);
    assert_eq!((said.xid, said.chaddr), (asked.xid, GUEST));
    assert!([ADDRESS, Ipv4Addr::UNSPECIFIED].contains(&said.yiaddr));
}
