//! Real frames through real filters.
//!
//! ```text
//!  guest (descriptor) -- tap0  [sandbox, redirects]  eth0 --veth-- network
//!                          '-- socket: what the filter refuses
//! ```

mod attacks;
mod frames;

use std::os::fd::OwnedFd;
use std::time::Duration;

use ipnet::IpNet;

use super::allow::Guest;
use super::*;
use crate::netns::Namespace;
use crate::packet::PacketSocket;
use crate::signal::{PollFd, PollFlags, poll};
use crate::tap::Tap;
use frames::*;

fn net(text: &str) -> IpNet {
    text.parse().expect("a network")
}

/// The guest with an address of each family.
fn guest() -> Guest {
    Guest {
        mac: MAC,
        addresses: vec![net("10.61.0.7/16"), net("fd00::7/64")],
        ..Guest::default()
    }
}

/// One end of the path: a packet socket, or the guest's end of a tap with its virtio-net header.
struct End {
    fd: OwnedFd,
    header: usize,
}

/// The path, whole.
struct Path {
    guest: End,
    network: End,
    refused: PacketSocket,
    netlink: Netlink,
    tap: u32,
    eth: u32,
}

/// Runs `test` with a path as `guest` may use it.
fn through(guest: &Guest, test: impl FnOnce(&Path) + Send) {
    Namespace::anonymous()
        .expect("namespace")
        .run(|| {
            let netlink = Netlink::open().expect("netlink");
            let device = Tap::create("tap0").expect("tap");
            let tap = device.index();
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
                .redirect(eth, &guest.incoming(), tap)
                .expect("to the guest");
            netlink
                .redirect(tap, &guest.passing().expect("few"), eth)
                .expect("to the network");
            let refused = guest.refused().expect("few");
            test(&Path {
                guest: End {
                    fd: device.into_fd(),
                    header: 12,
                },
                network: End {
                    fd: crate::packet::everything(network),
                    header: 0,
                },
                refused: PacketSocket::open(tap, &refused).expect("packet socket"),
                netlink,
                tap,
                eth,
            });
        })
        .expect("enter");
}

impl End {
    fn send(&self, frame: &[u8]) {
        let mut bytes = vec![0; self.header];
        bytes.extend(frame);
        let written = rustix::io::write(&self.fd, &bytes).expect("send");
        assert_eq!(written, bytes.len());
    }

    /// The frames that arrive, up to and with `last`.
    fn receive(&self, last: &[u8]) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        loop {
            let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
            let ready = poll(&mut fds, Some(Duration::from_secs(10))).expect("poll");
            assert_eq!(
                ready, 1,
                "the last frame did not come; before it: {frames:?}"
            );
            let mut buffer = [0; 2048];
            let length = rustix::io::read(&self.fd, &mut buffer).expect("receive");
            frames.push(buffer[self.header..length].to_vec());
            if buffer[self.header..length] == *last {
                return frames;
            }
        }
    }
}

impl Path {
    /// Sends each frame from the guest: those named "passes" must arrive, all others must be seen by
    /// the socket, and none both.
    fn judge(&self, frames: &[(&str, bool, Vec<u8>)]) {
        for (name, passes, frame) in frames {
            self.guest.send(frame);
            // What passes for certain, behind each.
            let last = mark();
            self.guest.send(&last);
            let arrived = self.network.receive(&last);
            assert_eq!(arrived.len() == 2, *passes, "{name}: {arrived:x?}");
            let mut buffer = [0; 4096];
            let seen = self.refused.recv(&mut buffer).expect("receive");
            assert_eq!(seen.is_none(), *passes, "{name}: the socket");
            if let Some(length) = seen
                && !name.contains("VLAN")
            {
                assert_eq!(buffer[..length], frame[..], "{name}");
            }
        }
    }
}

#[test]
fn what_a_guest_asks_of_its_host_stays_there() {
    through(&guest(), |path| {
        let request = udp4(MAC, [0; 4], 68, 67, 0);
        path.guest.send(&request);
        path.guest.send(&mark());
        assert_eq!(path.network.receive(&mark()), [mark()]);
        let mut buffer = [0; 2048];
        let length = path.refused.recv(&mut buffer).expect("receive");
        assert_eq!(buffer[..length.expect("a request")], request);
        let answer = udp4(OTHER_MAC, [10, 61, 0, 1], 67, 68, 0);
        path.refused.send(&answer).expect("send");
        assert_eq!(path.guest.receive(&answer), [answer]);
        assert_eq!(path.refused.recv(&mut buffer).expect("receive"), None);
    });
}

#[test]
fn an_unaddressed_guest_passes_all_with_its_mac() {
    let guest = Guest {
        mac: MAC,
        ..Guest::default()
    };
    through(&guest, |path| {
        path.judge(&[
            ("another MAC", false, udp4(OTHER_MAC, OTHER, 1, 2, 0)),
            ("DHCP", true, udp4(MAC, [0; 4], 68, 67, 0)),
            ("LLDP", true, ethernet(MAC, 0x88cc, &[1; 40])),
            ("ARP of another", true, arp(MAC, OTHER_MAC, OTHER, 1)),
        ]);
    });
}

#[test]
fn the_network_reaches_the_guest_unfiltered() {
    through(&guest(), |path| {
        let frames = [
            ethernet(OTHER_MAC, 0x88cc, &[1; 40]),
            echo6(OTHER_MAC, "fd00::9", "ff02::1"),
            ethernet(OTHER_MAC, 0x0800, &ipv4(OTHER, 17, 1, 0, &udp(67, 68))),
            ethernet(OTHER_MAC, 0x0800, &ipv4(OTHER, 6, 0, 0, &udp(67, 68))),
            udp4(OTHER_MAC, OTHER, 68, 67, 3),
            udp4(OTHER_MAC, OTHER, 1, 2, 0),
        ];
        for frame in &frames {
            path.network.send(frame);
        }
        assert_eq!(path.guest.receive(&frames[5]), frames);
    });
}

#[test]
fn who_leased_the_address_hears_the_server() {
    let answers = [0, 4].map(|options| udp4(OTHER_MAC, OTHER, 67, 68, options));
    through(&guest(), |path| {
        let client = End {
            fd: crate::packet::unfiltered(path.eth, libc::ETH_P_IP),
            header: 0,
        };
        for answer in &answers {
            path.network.send(answer);
            assert_eq!(client.receive(answer), std::slice::from_ref(answer));
        }
        path.network.send(&mark());
        assert_eq!(path.guest.receive(&mark()), [mark()]);
    });
    // One without an address of its network's giving asks for itself.
    let guest = Guest {
        mac: MAC,
        ..Guest::default()
    };
    through(&guest, |path| {
        path.network.send(&answers[0]);
        assert_eq!(path.guest.receive(&answers[0]), [answers[0].clone()]);
    });
}

#[test]
fn another_filter_takes_the_place_of_the_first() {
    through(&guest(), |path| {
        let frame = udp4(MAC, OTHER, 1, 2, 0);
        path.judge(&[("not yet", false, frame.clone())]);
        let more = Guest {
            allow: vec![net("10.61.0.8/32")],
            ..guest()
        };
        let matching = more.passing().expect("few");
        path.netlink
            .redirect(path.tap, &matching, path.eth)
            .expect("replace");
        path.refused
            .choose(&more.refused().expect("few"))
            .expect("replace");
        path.judge(&[("now", true, frame.clone())]);
        let less = guest().passing().expect("few");
        path.netlink
            .redirect(path.tap, &less, path.eth)
            .expect("replace");
        path.refused
            .choose(&guest().refused().expect("few"))
            .expect("replace");
        path.judge(&[("no more", false, frame)]);
    });
}

#[test]
fn as_many_prefixes_as_promised_fit() {
    let prefix = |number: usize| match number % 2 {
        0 => net(&format!("2001:db8::{number:x}/128")),
        _ => net(&format!("192.0.2.{number}/32")),
    };
    let many = |count| Guest {
        allow: (0..count).map(prefix).collect(),
        ..guest()
    };
    let error = many(allow::MAX_PREFIXES).passing().expect_err("two more");
    assert_eq!(
        error.to_string(),
        "50 addresses and allowed prefixes are more than the 48 an interface can have"
    );
    through(&many(allow::MAX_PREFIXES - 2), |path| {
        path.judge(&[
            (
                "IPv4 of the last",
                true,
                udp4(MAC, [192, 0, 2, 45], 1, 2, 0),
            ),
            (
                "IPv4 of another",
                false,
                udp4(MAC, [192, 0, 2, 46], 1, 2, 0),
            ),
            (
                "IPv6 of the last",
                true,
                echo6(MAC, "2001:db8::2c", "fd00::1"),
            ),
            (
                "IPv6 of another",
                false,
                echo6(MAC, "2001:db8::2d", "fd00::1"),
            ),
        ]);
        // In place of one as long.
        path.refused
            .choose(&many(allow::MAX_PREFIXES - 2).refused().expect("few"))
            .expect("replace");
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
            let all = Program::always(1);
            let error = netlink.redirect(index, &all, index).expect_err("no queue");
            assert!(
                error
                    .to_string()
                    .starts_with("cannot redirect from link a to a"),
                "{error}"
            );
            netlink.ingress(index).expect("add");
            netlink.redirect(index, &all, index).expect("redirect");
            netlink.delete_ingress(index).expect("delete");
            netlink.delete_ingress(index).expect("gone is fine");
            netlink.delete(index).expect("delete");
            netlink.delete_ingress(index).expect("no link is fine");
        })
        .expect("enter");
}
