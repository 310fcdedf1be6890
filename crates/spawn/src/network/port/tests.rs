//! A port between a guest's end of a tap and a network.

use std::os::fd::OwnedFd;

use ignite_host::bpf::Program;
use ignite_host::netns::Namespace;
use ignite_host::signal::{PollFd, PollFlags, poll};
use ignite_vmm::Tap;
use ignite_wire::ipv6::{ALL_NODES, ICMPV6, Packet, link_local};
use ignite_wire::supervisor::Lease6;

use super::super::{Network, Side};
use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
/// Bytes of the virtio-net header before a frame on the guest's end.
const HEADER: usize = 12;
/// Frames that do not come are not waited for any longer.
const SOON: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(10);

fn ip(text: &str) -> Ipv6Addr {
    text.parse().expect("an address")
}

/// The three ends.
struct Bench {
    guest: OwnedFd,
    network: Network,
    peer: PacketSocket,
}

/// Runs in a namespace of its own with `eth0`, joined to a guest, and its peer.
fn with_port(work: impl FnOnce(Bench) + Send) {
    let attachment = Attachment {
        interface: "eth0".to_owned(),
        tap: "tap0".to_owned(),
        mac: "02:00:00:00:00:01".to_owned(),
        mtu: 1500,
        addresses: ["10.61.0.2/16", "fd00::2/64"]
            .map(|net| net.parse().expect("a network"))
            .to_vec(),
        allow: Vec::new(),
        dhcp: None,
        ipv6: Some(Lease6 {
            addresses: vec!["fd00::2/64".parse().expect("a network")],
            routes: vec![("::/0".parse().expect("a network"), Some(ip("fd00::1")))],
            mtu: 1500,
            ..Lease6::default()
        }),
        rate: None,
    };
    let namespace = Namespace::anonymous().expect("root makes namespaces");
    namespace
        .run(|| {
            let netlink = Netlink::open().expect("netlink");
            let eth = netlink.create_veth("eth0", "peer", None).expect("veth");
            let peer = netlink.link("peer").expect("links").expect("there").index;
            for index in [eth, peer] {
                netlink.disable_ipv6_address(index).expect("quiet");
                netlink.set_up(index).expect("up");
            }
            let (network, mut nics) = Network::build(&[attachment]).expect("an interface");
            let Tap::Open(guest) = nics.remove(0).tap else {
                panic!("it was not handed over");
            };
            work(Bench {
                guest,
                network,
                peer: PacketSocket::open(peer, &Program::always(0xffff)).expect("socket"),
            });
        })
        .expect("a thread");
}

impl Bench {
    fn send(&mut self, frame: &[u8], now: Instant) {
        let bytes = [&[0; HEADER], frame].concat();
        rustix::io::write(&self.guest, &bytes).expect("send");
        self.hear(Side::Guest, now);
    }

    /// Hears what arrives soon, if anything does.
    fn hear(&mut self, side: Side, now: Instant) {
        let socket = self.network.sockets().find(|(_, of, _)| *of == side);
        let (_, _, socket) = socket.expect("it is listened to");
        let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
        poll(&mut fds, Some(SOON)).expect("poll");
        self.network.hear(0, side, now).expect("hear");
    }

    /// The next frame on the peer; none if there is none.
    fn at_peer(&self) -> Option<Vec<u8>> {
        let mut fds = [PollFd::new(&self.peer, PollFlags::IN)];
        poll(&mut fds, Some(SOON)).expect("poll");
        let mut buffer = [0; FRAME_SIZE];
        let length = self.peer.recv(&mut buffer).expect("receive")?;
        Some(buffer[..length].to_vec())
    }

    /// The next frame that the guest gets from its host or its network.
    fn at_guest(&self) -> Vec<u8> {
        let mut fds = [PollFd::new(&self.guest, PollFlags::IN)];
        assert_eq!(poll(&mut fds, Some(LONG)).expect("poll"), 1);
        let mut buffer = [0; FRAME_SIZE];
        let length = rustix::io::read(&self.guest, &mut buffer).expect("read");
        buffer[HEADER..length].to_vec()
    }

    fn counted(&self) -> Refusals {
        self.network.refusals().remove(0)
    }
}

fn detection(target: Ipv6Addr) -> Vec<u8> {
    Solicitation::detection(MAC, target).encode()
}

fn icmp(source: Ipv6Addr, kind: u8) -> Vec<u8> {
    let packet = Packet {
        source_mac: MAC,
        destination_mac: [0x33, 0x33, 0, 0, 0, 1],
        source,
        destination: ALL_NODES,
        next_header: ICMPV6,
        hop_limit: 255,
        payload: &[kind, 0, 0, 0, 0, 0, 0, 0],
    };
    packet.encode().expect("short")
}

#[test]
fn a_link_local_address_is_learned_when_nobody_objects() {
    with_port(|mut bench| {
        let (now, own) = (Instant::now(), ip("fe80::1234:5678:9abc:def0"));
        bench.send(&icmp(own, 128), now);
        assert_eq!(bench.at_peer(), None);
        assert_eq!(bench.counted().addresses, [IpAddr::V6(own)]);
        assert!(bench.network.take_news());
        bench.send(&detection(own), now);
        assert_eq!(bench.at_peer(), Some(detection(own)));
        let at = bench.network.next().expect("a time");
        assert!(at < now + Duration::from_secs(1));
        assert!(bench.network.wake(at).is_empty());
        bench.send(&icmp(own, 128), now);
        assert_eq!(bench.at_peer(), Some(icmp(own, 128)));
        assert!(bench.counted().addresses.is_empty(), "it is its own now");
        assert!(bench.network.take_news());
    });
}

#[test]
fn a_neighbours_address_is_not_learned() {
    with_port(|mut bench| {
        let (now, others) = (Instant::now(), ip("fe80::1234:5678:9abc:def0"));
        bench.send(&detection(others), now);
        let objection = Advertisement {
            target: others,
            mac: ROUTER_MAC,
        };
        let objection = objection.encode(ROUTER_MAC, Ipv6Addr::UNSPECIFIED, [0xff; 6]);
        bench.peer.send(&objection).expect("send");
        bench.hear(Side::Network, now);
        // The guest hears of it as well.
        assert_eq!(bench.at_guest(), objection);
        assert_eq!(bench.network.next(), None);
        assert_eq!(bench.counted().counts.neighbour, 1);
        bench.at_peer();
        bench.send(&icmp(others, 128), now);
        assert_eq!(bench.at_peer(), None);
    });
}

#[test]
fn what_another_is_about_to_take_is_neither_asked_for_nor_learned() {
    with_port(|mut bench| {
        let (now, others) = (Instant::now(), ip("fe80::1234:5678:9abc:def0"));
        let theirs = Solicitation::detection(ROUTER_MAC, others).encode();
        bench.peer.send(&theirs).expect("send");
        // The guest competes as soon as it hears of it, before its supervisor has looked.
        assert_eq!(bench.at_guest(), theirs);
        bench.send(&detection(others), now);
        assert_eq!(bench.at_peer(), None);
        assert_eq!(bench.network.next(), None, "nothing is under way");
        assert_eq!(bench.counted().counts.neighbour, 1);
        assert_eq!(bench.counted().addresses, [IpAddr::V6(others)]);
        bench.send(&icmp(others, 128), now);
        assert_eq!(bench.at_peer(), None);

        // The same while the guest's own question is under way.
        let second = ip("fe80::1234:5678:9abc:def1");
        bench.send(&detection(second), now);
        assert_eq!(bench.at_peer(), Some(detection(second)));
        let theirs = Solicitation::detection(ROUTER_MAC, second).encode();
        bench.peer.send(&theirs).expect("send");
        assert_eq!(bench.at_guest(), theirs);
        let at = bench.network.next().expect("a time");
        assert!(bench.network.wake(at).is_empty());
        bench.send(&icmp(second, 128), now);
        assert_eq!(bench.at_peer(), None);
    });
}

#[test]
fn a_look_at_the_network_is_followed_by_rest() {
    with_port(|mut bench| {
        let others = ip("fe80::1234:5678:9abc:def0");
        let theirs = Solicitation::detection(ROUTER_MAC, others).encode();
        bench.peer.send(&theirs).expect("send");
        bench.hear(Side::Network, Instant::now());
        let is_watched = |bench: &Bench| bench.network.sockets().count() == 2;
        assert!(!is_watched(&bench));
        let at = bench.network.next().expect("a time");
        bench.send(&detection(others), at);
        assert_eq!(bench.at_peer(), None, "remembered");
        let own = ip("fe80::1234:5678:9abc:def1");
        bench.send(&detection(own), at);
        assert_eq!(bench.at_peer(), Some(detection(own)));
        assert!(is_watched(&bench), "an answer is waited for");
        assert!(bench.network.wake(at + LONG).is_empty());
        assert!(is_watched(&bench));
        assert_eq!(bench.network.next(), None);
    });
}

#[test]
fn no_byte_of_the_guests_question_is_sent_and_not_many_questions() {
    with_port(|mut bench| {
        let now = Instant::now();
        let address = |number: u16| Ipv6Addr::new(0xfe80, 0, 0, 0, 0x1234, 1, 1, number);
        for number in 0..10 {
            let target = address(number);
            let question = detection(target);
            let asked = Packet::parse(&question).expect("a packet");
            let options = [asked.payload, &[14, 1, 1, 2, 3, 4, 5, 6]].concat();
            let packet = Packet {
                destination_mac: ROUTER_MAC,
                destination: ip("fe80::9"),
                payload: &options,
                ..asked
            };
            let frame = packet.encode().expect("short");
            bench.send(&[&frame[..], b"trailing"].concat(), now);
            let expected = (number < 4).then_some(question);
            assert_eq!(bench.at_peer(), expected, "{number}");
        }
        assert_eq!(bench.counted().counts.neighbour, 6);
    });
}

#[test]
fn only_made_up_addresses_are_learned_and_not_many() {
    for (address, expected) in [
        ("fe80::1234:5678:9abc:def0", true),
        ("fe80::1:ff:feaa:def0", false),
        ("fe80::1", false),
        ("fe80::9abc:def0", false),
        ("fe80:0:0:1:1234:5678:9abc:def0", false),
        ("fd00::1234:5678:9abc:def0", false),
    ] {
        assert_eq!(is_made_up(ip(address)), expected, "{address}");
    }
    assert!(!is_made_up(link_local(ROUTER_MAC)));
    with_port(|mut bench| {
        let mut now = Instant::now();
        let address = |number: u16| Ipv6Addr::new(0xfe80, 0, 0, 0, 0x1234, 1, 1, number);
        for number in 0..10 {
            bench.send(&detection(address(number)), now);
            now += Duration::from_secs(1);
            assert!(bench.network.wake(now).is_empty());
            while bench.at_peer().is_some() {}
        }
        for number in 0..10 {
            bench.send(&icmp(address(number), 128), now);
            let passes = usize::from(number) < MAX_LEARNED;
            assert_eq!(bench.at_peer().is_some(), passes, "{number}");
        }
    });
}

#[test]
fn a_router_is_told_with_its_gateways_mac() {
    with_port(|mut bench| {
        let now = Instant::now();
        let solicitation = icmp(link_local(MAC), 133);
        bench.send(&solicitation, now);
        let question = bench.at_peer().expect("a question");
        let asked = Solicitation::parse(&question).expect("a solicitation");
        assert_eq!((asked.source, asked.target), (ip("fd00::2"), ip("fd00::1")));
        assert_eq!(bench.at_peer(), None, "the guest's own stays on the tap");
        let gateway = Advertisement {
            target: ip("fd00::1"),
            mac: ROUTER_MAC,
        };
        let answer = gateway.encode(ROUTER_MAC, ip("fd00::2"), MAC);
        bench.peer.send(&answer).expect("send");
        bench.hear(Side::Network, now);
        assert_eq!(bench.at_guest(), answer);
        let told = bench.at_guest();
        let told = Packet::parse(&told).expect("a packet");
        assert_eq!(told.payload[0], 134);
        assert_eq!(told.payload[6..8], [0xff, 0xff]);
        assert_eq!(told.payload[18..24], ROUTER_MAC);

        // Who has the router? The gateway.
        let question = Solicitation {
            source_mac: MAC,
            source: link_local(MAC),
            target: told.source,
        };
        bench.send(&question.encode(), now);
        assert!(bench.at_peer().is_some(), "the gateway is asked for again");
        bench.peer.send(&answer).expect("send");
        bench.hear(Side::Network, now);
        assert_eq!(bench.at_guest(), answer);
        let named = Advertisement::parse(&bench.at_guest()).expect("an answer");
        assert_eq!((named.target, named.mac), (told.source, ROUTER_MAC));
        assert_eq!(bench.counted().counts.total(), 0);
        // Told again in some hours.
        assert!(bench.network.next().is_some_and(|at| at > now + LONG));
    });
}

#[test]
fn a_gateway_that_does_not_answer_is_told_as_none() {
    with_port(|mut bench| {
        let mut now = Instant::now();
        bench.send(&icmp(Ipv6Addr::UNSPECIFIED, 133), now);
        for _ in 0..3 {
            assert!(bench.at_peer().is_some(), "asked for");
            now += Duration::from_millis(400);
            assert!(bench.network.wake(now).is_empty());
        }
        let told = bench.at_guest();
        let told = Packet::parse(&told).expect("a packet");
        assert_eq!(told.payload[6..8], [0, 0]);
    });
}

#[test]
fn a_flood_is_counted_and_keeps_nobody_waiting() {
    with_port(|mut bench| {
        const SENT: usize = 3000;
        let spoofed = [&[0xff; 6][..], &ROUTER_MAC, &[8, 0], &[0; 46]].concat();
        let bytes = [&[0; HEADER], &spoofed[..]].concat();
        for _ in 0..SENT {
            rustix::io::write(&bench.guest, &bytes).expect("send");
        }
        let mut now = Instant::now();
        let mut looks = 0;
        loop {
            bench.network.hear(0, Side::Guest, now).expect("hear");
            let Some(at) = bench.network.next() else {
                break;
            };
            let rests = |(_, side, _)| side == Side::Network;
            assert!(bench.network.sockets().all(rests), "it rests");
            now = at;
            assert!(bench.network.wake(now).is_empty());
            looks += 1;
        }
        let counts = bench.counted().counts;
        assert_eq!(counts.total(), SENT as u64);
        assert_eq!(counts.mac, SENT as u64 - counts.unread);
        assert!(counts.mac <= (MAX_FRAMES * (looks + 1)) as u64);
    });
}

#[test]
fn what_passes_is_counted_as_the_guest_sees_it() {
    with_port(|mut bench| {
        let (now, own) = (Instant::now(), icmp(ip("fd00::2"), 128));
        for _ in 0..3 {
            bench.send(&own, now);
            assert!(bench.at_peer().is_some());
        }
        let unknown = [&[0xff; 6][..], &MAC, &[0x88, 0xcc], &[0; 46]].concat();
        bench.send(&unknown, now);
        for _ in 0..2 {
            bench.peer.send(&icmp(ip("fd00::9"), 128)).expect("send");
            bench.at_guest();
        }
        let traffic = bench.network.traffic().remove(0);
        let bytes = |frames: &[&[u8]]| frames.iter().map(|frame| frame.len() as u64).sum::<u64>();
        assert_eq!(traffic.interface, "eth0");
        assert_eq!(
            (traffic.from_guest.packets, traffic.to_guest.packets),
            (4, 2)
        );
        assert_eq!(
            traffic.from_guest.bytes,
            bytes(&[&own, &own, &own, &unknown])
        );
        assert_eq!(traffic.to_guest.bytes, bytes(&[&own, &own]));
        assert_eq!((traffic.from_guest.lost, traffic.to_guest.lost), (0, 0));
        assert_eq!(bench.counted().counts.total(), 1, "refused, not lost");
    });
}
