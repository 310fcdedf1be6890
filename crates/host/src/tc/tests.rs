//! Real frames through real filters.
//!
//! ```text
//!  guest (descriptor) -- tap0  [sandbox, redirects]  eth0 --veth-- network
//! ```

use std::os::fd::OwnedFd;
use std::time::Duration;

use ipnet::IpNet;

use super::*;
use crate::netns::Namespace;
use crate::packet::PacketSocket;
use crate::signal::{PollFd, PollFlags, poll};
use crate::tap::Tap;

const MAC: [u8; 6] = [0x02, 0x42, 1, 2, 3, 4];
const OTHER_MAC: [u8; 6] = [0x02, 0x42, 1, 2, 3, 5];
const BROADCAST: [u8; 6] = [0xff; 6];
const GUEST: [u8; 4] = [10, 61, 0, 7];
const OTHER: [u8; 4] = [10, 61, 0, 8];
const GUEST6: &str = "fd00::7";

fn net(text: &str) -> IpNet {
    text.parse().expect("a network")
}

/// One end of the path: a packet socket, or the guest's end of a tap with its virtio-net header.
struct End {
    fd: OwnedFd,
    header: usize,
}

/// Runs `test` with the guest's and the network's end.
fn through(filters: &[Filter], test: impl FnOnce(&End, &End) + Send) {
    with_server(filters, |guest, network, _| test(guest, network));
}

/// Runs `test` with the guest's and the network's end, and our DHCP server's socket on the tap.
fn with_server(filters: &[Filter], test: impl FnOnce(&End, &End, &PacketSocket) + Send) {
    Namespace::anonymous()
        .expect("namespace")
        .run(|| {
            let netlink = Netlink::open().expect("netlink");
            let guest = Tap::create("tap0").expect("tap");
            let tap = guest.index();
            let eth = netlink.create_veth("eth0", "network", None).expect("veth");
            let network = netlink.link("network").expect("look").expect("there").index;
            for index in [tap, eth, network] {
                netlink.disable_ipv6_address(index).expect("quiet");
                netlink.set_up(index).expect("up");
            }
            netlink.ingress(tap).expect("ingress");
            netlink.ingress(tap).expect("twice is fine");
            netlink.ingress(eth).expect("ingress");
            netlink
                .redirect(eth, 1, &Match::all(), tap)
                .expect("to the guest");
            for filter in filters {
                netlink
                    .redirect(tap, filter.priority, &filter.matching, eth)
                    .expect("to the network");
            }
            let guest = End {
                fd: guest.into_fd(),
                header: 12,
            };
            let network = End {
                fd: crate::packet::everything(network),
                header: 0,
            };
            let server = PacketSocket::open(tap).expect("packet socket");
            test(&guest, &network, &server);
        })
        .expect("enter");
}

fn send(end: &End, frame: &[u8]) {
    let mut bytes = vec![0; end.header];
    bytes.extend(frame);
    assert_eq!(
        rustix::io::write(&end.fd, &bytes).expect("send"),
        bytes.len()
    );
}

/// The frames that arrive, up to and with `last`.
fn receive(end: &End, last: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    loop {
        let mut fds = [PollFd::new(&end.fd, PollFlags::IN)];
        let ready = poll(&mut fds, Some(Duration::from_secs(10))).expect("poll");
        assert_eq!(
            ready, 1,
            "the last frame did not come; before it: {frames:?}"
        );
        let mut buffer = [0; 2048];
        let length = rustix::io::read(&end.fd, &mut buffer).expect("receive");
        frames.push(buffer[end.header..length].to_vec());
        if buffer[end.header..length] == *last {
            return frames;
        }
    }
}

/// Sends `frames` from the guest and tells which arrive in the network. The last must.
fn pass(filters: &[Filter], frames: &[(&str, Vec<u8>)]) -> Vec<String> {
    let mut names = Vec::new();
    through(filters, |guest, network| {
        for (_, frame) in frames {
            send(guest, frame);
        }
        let (_, last) = frames.last().expect("some");
        let arrived = receive(network, last);
        let name = |frame: &Vec<u8>| {
            let found = frames.iter().find(|(_, sent)| sent == frame);
            found.map_or("a stranger", |(name, _)| name).to_owned()
        };
        names = arrived.iter().map(name).collect();
    });
    names
}

fn ethernet(source: [u8; 6], protocol: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = BROADCAST.to_vec();
    frame.extend(source);
    frame.extend(protocol.to_be_bytes());
    frame.extend(payload);
    frame.resize(frame.len().max(60), 0);
    frame
}

fn arp(source: [u8; 6], sender: [u8; 6], address: [u8; 4]) -> Vec<u8> {
    let mut payload = vec![0, 1, 8, 0, 6, 4, 0, 1];
    payload.extend(sender);
    payload.extend(address);
    payload.extend([0; 6]);
    payload.extend([10, 61, 0, 1]);
    ethernet(source, 0x0806, &payload)
}

fn ipv4(source: [u8; 6], address: [u8; 4]) -> Vec<u8> {
    let mut payload = vec![0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0];
    payload.extend(address);
    payload.extend([255, 255, 255, 255, 0, 68, 0, 67]);
    ethernet(source, 0x0800, &payload)
}

fn ipv6(source: [u8; 6], address: &str, destination: &str) -> Vec<u8> {
    let octets = |text: &str| {
        text.parse::<std::net::Ipv6Addr>()
            .expect("an address")
            .octets()
    };
    let mut payload = vec![0x60, 0, 0, 0, 0, 0, 59, 255];
    payload.extend(octets(address));
    payload.extend(octets(destination));
    ethernet(source, 0x86dd, &payload)
}

#[test]
fn an_addressed_guest_passes_only_what_is_its_own() {
    let filters = allow::guest_filters(MAC, &[net("10.61.0.7/16"), net("fd00::7/64")]);
    let all_nodes = "ff02::1";
    let frames = [
        ("IPv4 of another", ipv4(MAC, OTHER)),
        ("DHCP", ipv4(MAC, [0; 4])),
        ("IPv4, another MAC", ipv4(OTHER_MAC, GUEST)),
        ("IPv4", ipv4(MAC, GUEST)),
        ("ARP", arp(MAC, MAC, GUEST)),
        ("ARP probe", arp(MAC, MAC, [0; 4])),
        ("ARP of another", arp(MAC, MAC, OTHER)),
        ("ARP, sender's MAC another", arp(MAC, OTHER_MAC, GUEST)),
        ("ARP, another MAC", arp(OTHER_MAC, MAC, GUEST)),
        ("IPv6", ipv6(MAC, GUEST6, "fd00::1")),
        ("IPv6 of another", ipv6(MAC, "fd00::8", "fd00::1")),
        ("IPv6, another MAC", ipv6(OTHER_MAC, GUEST6, "fd00::1")),
        (
            "IPv6 link-local",
            ipv6(MAC, "fe80::42:1ff:fe02:304", all_nodes),
        ),
        ("IPv6 nearly link-local", ipv6(MAC, "fec0::1", all_nodes)),
        (
            "IPv6 duplicate address detection",
            ipv6(MAC, "::", "ff02::1:ff00:7"),
        ),
        ("IPv6 unspecified to one", ipv6(MAC, "::", "fd00::1")),
        ("VLAN", ethernet(MAC, 0x8100, &[0, 1, 8, 0])),
        ("LLDP", ethernet(MAC, 0x88cc, &[1; 40])),
        ("last", arp(MAC, MAC, GUEST)),
    ];
    let passed = pass(&filters, &with_mark(&frames));
    let expected = [
        "IPv4",
        "ARP",
        "ARP probe",
        "IPv6",
        "IPv6 link-local",
        "IPv6 duplicate address detection",
        "last",
    ];
    assert_eq!(passed, expected);
}

/// Makes the last frame differ from one of its kind before it, behind what filters look at.
fn with_mark<'a>(frames: &[(&'a str, Vec<u8>)]) -> Vec<(&'a str, Vec<u8>)> {
    let mut frames = frames.to_vec();
    let (_, last) = frames.last_mut().expect("some");
    *last.last_mut().expect("not empty") = 0xaa;
    frames
}

#[test]
fn dhcp_stays_between_the_guest_and_our_server() {
    let filters = allow::guest_filters(MAC, &[net("10.61.0.7/16")]);
    with_server(&filters, |guest, network, server| {
        let request = ipv4(MAC, [0; 4]);
        let last = arp(MAC, MAC, GUEST);
        send(guest, &request);
        send(guest, &last);
        assert_eq!(receive(network, &last), [last]);
        let mut buffer = [0; 2048];
        let length = server
            .recv(&mut buffer)
            .expect("receive")
            .expect("a request");
        assert_eq!(buffer[..length], request);
        let answer = ipv4(OTHER_MAC, [10, 61, 0, 1]);
        server.send(&answer).expect("send");
        assert_eq!(receive(guest, &answer), [answer]);
        assert_eq!(server.recv(&mut buffer).expect("receive"), None);
    });
}

#[test]
fn an_unaddressed_guest_passes_all_with_its_mac() {
    let filters = allow::guest_filters(MAC, &[]);
    let frames = [
        ("another MAC", ipv4(OTHER_MAC, OTHER)),
        ("DHCP", ipv4(MAC, [0; 4])),
        ("LLDP", ethernet(MAC, 0x88cc, &[1; 40])),
        ("last", arp(MAC, OTHER_MAC, OTHER)),
    ];
    assert_eq!(pass(&filters, &frames), ["DHCP", "LLDP", "last"]);
}

#[test]
fn the_network_reaches_the_guest_unfiltered() {
    let filters = allow::guest_filters(MAC, &[net("10.61.0.7/16")]);
    through(&filters, |guest, network| {
        let frames = [
            ethernet(OTHER_MAC, 0x88cc, &[1; 40]),
            ipv6(OTHER_MAC, "fd00::9", "ff02::1"),
            ipv4(OTHER_MAC, OTHER),
        ];
        for frame in &frames {
            send(network, frame);
        }
        assert_eq!(receive(guest, &frames[2]), frames);
    });
}

#[test]
fn taking_the_queue_away_ends_the_redirect() {
    Namespace::anonymous()
        .expect("namespace")
        .run(|| {
            let netlink = Netlink::open().expect("netlink");
            let index = netlink.create_veth("a", "b", None).expect("veth");
            netlink.delete_ingress(index).expect("none there is fine");
            let error = netlink
                .redirect(index, 1, &Match::all(), index)
                .expect_err("no queue");
            assert!(
                error
                    .to_string()
                    .starts_with("cannot redirect from link a to a"),
                "{error}"
            );
            netlink.ingress(index).expect("add");
            netlink
                .redirect(index, 1, &Match::all(), index)
                .expect("redirect");
            netlink.delete_ingress(index).expect("delete");
            netlink.delete_ingress(index).expect("gone is fine");
            netlink.delete(index).expect("delete");
            netlink.delete_ingress(index).expect("no link is fine");
        })
        .expect("enter");
}
