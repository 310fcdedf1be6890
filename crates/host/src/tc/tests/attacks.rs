//! Everything a guest might try, and what it must be able to do.

use super::*;

const ALL_NODES: &str = "ff02::1";
const ALL_ROUTERS: &str = "ff02::2";
const ALL_REPORTS: &str = "ff02::16";
const ALL_SERVERS: &str = "ff02::1:2";

#[test]
fn arp() {
    let arp = frames::arp;
    let mut lengths = arp(MAC, MAC, GUEST, 2);
    lengths[18] = 8;
    let mut hardware = arp(MAC, MAC, GUEST, 2);
    hardware[15] = 6;
    let mut short = arp(MAC, MAC, GUEST, 2);
    short.truncate(40);
    through(&guest(), |path| {
        path.judge(&[
            ("request", true, arp(MAC, MAC, GUEST, 1)),
            ("answer", true, arp(MAC, MAC, GUEST, 2)),
            ("announcement", true, arp_for(MAC, MAC, GUEST, 1, GUEST)),
            ("probe", true, arp_for(MAC, MAC, [0; 4], 1, GUEST)),
            (
                "probe of another",
                false,
                arp_for(MAC, MAC, [0; 4], 1, OTHER),
            ),
            (
                "answer of nobody",
                false,
                arp_for(MAC, MAC, [0; 4], 2, GUEST),
            ),
            ("another's", false, arp(MAC, MAC, OTHER, 2)),
            (
                "announcement of another",
                false,
                arp_for(MAC, MAC, OTHER, 1, OTHER),
            ),
            ("sender's MAC another", false, arp(MAC, OTHER_MAC, GUEST, 2)),
            ("another MAC", false, arp(OTHER_MAC, MAC, GUEST, 2)),
            (
                "both MACs another",
                false,
                arp(OTHER_MAC, OTHER_MAC, OTHER, 2),
            ),
            ("an inverse request", false, arp(MAC, MAC, GUEST, 8)),
            ("other lengths", false, lengths),
            ("other hardware", false, hardware),
            ("cut short", false, short),
            (
                "reverse ARP",
                false,
                ethernet(MAC, 0x8035, &arp(MAC, MAC, GUEST, 2)[14..]),
            ),
        ]);
    });
}

#[test]
fn ipv4() {
    let plain = |protocol, fragment, payload: &[u8]| {
        ethernet(
            MAC,
            0x0800,
            &frames::ipv4(GUEST, protocol, fragment, 0, payload),
        )
    };
    let mut header = udp4(MAC, GUEST, 1, 2, 0);
    header[14] = 0x44;
    let mut version = udp4(MAC, GUEST, 1, 2, 0);
    version[14] = 0x65;
    let mut short = plain(17, 0, &[0, 67]);
    short.truncate(14 + 22);
    through(&guest(), |path| {
        path.judge(&[
            ("UDP", true, udp4(MAC, GUEST, 1000, 53, 0)),
            ("UDP with options", true, udp4(MAC, GUEST, 1000, 53, 10)),
            ("TCP", true, plain(6, 0, &[0, 67, 0, 68])),
            ("ping", true, plain(1, 0, &[8, 0, 0, 0])),
            ("first fragment", true, plain(17, 0x2000, &udp(1000, 53))),
            ("later fragment", true, plain(17, 0x2003, &udp(67, 68))),
            ("of another", false, udp4(MAC, OTHER, 1000, 53, 0)),
            ("of nobody", false, udp4(MAC, [0; 4], 1000, 53, 0)),
            ("another MAC", false, udp4(OTHER_MAC, GUEST, 1000, 53, 0)),
            ("DHCP request", false, udp4(MAC, [0; 4], 68, 67, 0)),
            ("DHCP renewal", false, udp4(MAC, GUEST, 68, 67, 0)),
            ("DHCP answer", false, udp4(MAC, GUEST, 67, 68, 0)),
            (
                "DHCP answer from elsewhere",
                false,
                udp4(MAC, GUEST, 1000, 68, 0),
            ),
            (
                "DHCP answer behind options",
                false,
                udp4(MAC, GUEST, 67, 68, 10),
            ),
            (
                "DHCP answer in a fragment",
                false,
                plain(17, 0x2000, &udp(67, 68)),
            ),
            ("redirect", false, plain(1, 0, &[5, 1, 0, 0])),
            ("router advertisement", false, plain(1, 0, &[9, 0, 0, 0])),
            ("a header too short", false, header),
            ("version 6", false, version),
            ("cut short", false, short),
            ("other", false, ethernet(MAC, 0x88cc, &[1; 40])),
        ]);
    });
}

#[test]
fn vlan_tags() {
    let tagged = |tag: u16, number: u16, inner: &[u8]| {
        let mut payload = number.to_be_bytes().to_vec();
        payload.extend(&inner[12..]);
        ethernet(MAC, tag, &payload)
    };
    let spoofed = udp4(MAC, OTHER, 1000, 53, 0);
    let own = udp4(MAC, GUEST, 1000, 53, 0);
    through(&guest(), |path| {
        path.judge(&[
            ("VLAN", false, tagged(0x8100, 5, &own)),
            ("VLAN 0", false, tagged(0x8100, 0, &own)),
            ("VLAN of another", false, tagged(0x8100, 0, &spoofed)),
            ("VLAN of a provider", false, tagged(0x88a8, 5, &own)),
            (
                "VLAN in VLAN",
                false,
                tagged(0x88a8, 5, &tagged(0x8100, 0, &own)),
            ),
            (
                "VLAN in VLAN in VLAN",
                false,
                tagged(0x8100, 5, &tagged(0x8100, 0, &tagged(0x8100, 0, &own))),
            ),
        ]);
    });
}

#[test]
fn ipv6() {
    let datagram = |from, to| Behind(17, udp(from, to));
    let tcp = || Behind(6, vec![0; 20]);
    let mut version = echo6(MAC, GUEST6, "fd00::1");
    version[14] = 0x45;
    let mut short = Behind(17, vec![]).frame(GUEST6, "fd00::1");
    short.truncate(56);
    through(&guest(), |path| {
        path.judge(&[
            ("ping", true, echo6(MAC, GUEST6, "fd00::1")),
            ("TCP", true, tcp().frame(GUEST6, "fd00::1")),
            ("UDP", true, datagram(1000, 53).frame(GUEST6, "fd00::1")),
            ("link-local", true, echo6(MAC, LINK_LOCAL, ALL_NODES)),
            (
                "encrypted",
                true,
                Behind(50, vec![1; 24]).frame(GUEST6, "fd00::1"),
            ),
            ("nothing", true, Behind(59, vec![]).frame(GUEST6, "fd00::1")),
            (
                "behind options",
                true,
                tcp().after(60, 3).after(0, 1).frame(GUEST6, "fd00::1"),
            ),
            (
                "first fragment",
                true,
                datagram(1000, 53).fragment(1).frame(GUEST6, "fd00::1"),
            ),
            (
                "later fragment",
                true,
                Behind(58, vec![0; 24]).fragment(9).frame(GUEST6, "fd00::1"),
            ),
            (
                "long ping",
                true,
                icmp6(128, &[]).fragment(1).frame(GUEST6, "fd00::1"),
            ),
            ("of another", false, echo6(MAC, OTHER6, "fd00::1")),
            ("another MAC", false, echo6(OTHER_MAC, GUEST6, "fd00::1")),
            (
                "another's link-local",
                false,
                echo6(MAC, OTHER_LINK_LOCAL, ALL_NODES),
            ),
            (
                "a gateway's link-local",
                false,
                echo6(MAC, "fe80::1", ALL_NODES),
            ),
            ("nearly link-local", false, echo6(MAC, "fec0::1", ALL_NODES)),
            ("of nobody", false, echo6(MAC, "::", ALL_NODES)),
            ("TCP of nobody", false, tcp().frame("::", ALL_NODES)),
            (
                "UDP of nobody",
                false,
                datagram(1000, 53).frame("::", ALL_NODES),
            ),
            (
                "fragment of nobody",
                false,
                tcp().fragment(9).frame("::", ALL_NODES),
            ),
            (
                "DHCPv6 request",
                false,
                datagram(546, 547).frame(LINK_LOCAL, ALL_SERVERS),
            ),
            (
                "DHCPv6 answer",
                false,
                datagram(547, 546).frame(LINK_LOCAL, ALL_NODES),
            ),
            (
                "DHCPv6 answer from elsewhere",
                false,
                datagram(1000, 546).frame(GUEST6, ALL_NODES),
            ),
            (
                "DHCPv6 answer behind options",
                false,
                datagram(547, 546).after(60, 2).frame(GUEST6, ALL_NODES),
            ),
            (
                "DHCPv6 answer in a fragment",
                false,
                datagram(547, 546).fragment(1).frame(GUEST6, ALL_NODES),
            ),
            (
                "authenticated",
                false,
                tcp().after(51, 2).frame(GUEST6, "fd00::1"),
            ),
            ("version 4", false, version),
            ("cut short", false, short),
        ]);
    });
}

#[test]
fn neighbour_discovery() {
    let solicitation = |target| neighbour(135, target);
    let advertisement = |target| neighbour(136, target);
    let report = || icmp6(143, &[]).after(0, 1);
    let chain = |mut behind: Behind, count| {
        for _ in 0..count {
            behind = behind.after(60, 1);
        }
        behind
    };
    let mut short = advertisement(GUEST6);
    short.1.truncate(20);
    let mut short = short.frame(GUEST6, ALL_NODES);
    short.truncate(14 + 40 + 20);
    through(&guest(), |path| {
        path.judge(&[
            (
                "solicitation",
                true,
                solicitation("fd00::1").frame(GUEST6, "ff02::1:ff00:1"),
            ),
            (
                "solicitation from link-local",
                true,
                solicitation("fd00::1").frame(LINK_LOCAL, "fd00::1"),
            ),
            (
                "advertisement",
                true,
                advertisement(GUEST6).frame(GUEST6, ALL_NODES),
            ),
            (
                "advertisement of link-local",
                true,
                advertisement(LINK_LOCAL).frame(LINK_LOCAL, "fe80::1"),
            ),
            (
                "detection",
                true,
                solicitation(GUEST6).frame("::", "ff02::1:ff00:7"),
            ),
            (
                "detection of link-local",
                true,
                solicitation(LINK_LOCAL).frame("::", "ff02::1:ff02:304"),
            ),
            ("report", true, report().frame(LINK_LOCAL, ALL_REPORTS)),
            (
                "report before an address",
                true,
                report().frame("::", ALL_REPORTS),
            ),
            (
                "older report",
                true,
                icmp6(131, &[]).after(0, 1).frame("::", ALL_REPORTS),
            ),
            (
                "packet too big",
                true,
                icmp6(2, &[]).frame(GUEST6, "fd00::1"),
            ),
            (
                "router solicitation",
                false,
                icmp6(133, &[]).frame(LINK_LOCAL, ALL_ROUTERS),
            ),
            (
                "router solicitation of nobody",
                false,
                icmp6(133, &[]).frame("::", ALL_ROUTERS),
            ),
            (
                "router advertisement",
                false,
                icmp6(134, &[]).frame(LINK_LOCAL, ALL_NODES),
            ),
            (
                "router advertisement, global",
                false,
                icmp6(134, &[]).frame(GUEST6, ALL_NODES),
            ),
            (
                "redirect",
                false,
                icmp6(137, &[]).frame(LINK_LOCAL, "fd00::1"),
            ),
            (
                "renumbering",
                false,
                icmp6(138, &[]).frame(LINK_LOCAL, ALL_ROUTERS),
            ),
            (
                "advertisement of another",
                false,
                advertisement(OTHER6).frame(GUEST6, ALL_NODES),
            ),
            (
                "advertisement of another's link-local",
                false,
                advertisement(OTHER_LINK_LOCAL).frame(LINK_LOCAL, ALL_NODES),
            ),
            (
                "advertisement of a gateway",
                false,
                advertisement("fe80::1").frame(GUEST6, ALL_NODES),
            ),
            (
                "advertisement of nobody",
                false,
                advertisement(GUEST6).frame("::", ALL_NODES),
            ),
            (
                "detection of another",
                false,
                solicitation(OTHER6).frame("::", "ff02::1:ff00:8"),
            ),
            (
                "detection of another's link-local",
                false,
                solicitation(OTHER_LINK_LOCAL).frame("::", "ff02::1:ff02:305"),
            ),
            (
                "detection to one",
                false,
                solicitation(GUEST6).frame("::", OTHER6),
            ),
            (
                "hidden behind options",
                false,
                advertisement(OTHER6).after(60, 1).frame(GUEST6, ALL_NODES),
            ),
            (
                "hidden behind hop-by-hop",
                false,
                icmp6(134, &[]).after(0, 4).frame(GUEST6, ALL_NODES),
            ),
            (
                "hidden behind routing",
                false,
                icmp6(134, &[])
                    .after(43, 3)
                    .after(0, 1)
                    .frame(GUEST6, ALL_NODES),
            ),
            (
                "hidden deep",
                false,
                chain(icmp6(134, &[]), 7).frame(GUEST6, ALL_NODES),
            ),
            (
                "hidden too deep",
                false,
                chain(icmp6(134, &[]), 8).frame(GUEST6, ALL_NODES),
            ),
            (
                "hidden by authentication",
                false,
                icmp6(134, &[]).after(51, 2).frame(GUEST6, ALL_NODES),
            ),
            (
                "own, in an atomic fragment",
                false,
                advertisement(GUEST6).fragment(0).frame(GUEST6, ALL_NODES),
            ),
            (
                "own, in a first fragment",
                false,
                solicitation("fd00::1").fragment(1).frame(GUEST6, ALL_NODES),
            ),
            (
                "in a fragment behind options",
                false,
                icmp6(134, &[])
                    .after(60, 1)
                    .fragment(1)
                    .after(60, 1)
                    .frame(GUEST6, ALL_NODES),
            ),
            (
                "a header without end",
                false,
                Behind(58, vec![]).after(60, 1).frame(GUEST6, ALL_NODES)[..62].to_vec(),
            ),
            ("cut short", false, short),
        ]);
    });
}

#[test]
fn allowed_prefixes_open_both_families() {
    let guest = Guest {
        allow: vec![
            net("10.61.9.0/24"),
            net("2001:db8:5::/48"),
            net("fe80::aaaa:0:0:1/128"),
        ],
        ..guest()
    };
    through(&guest, |path| {
        path.judge(&[
            ("IPv4", true, udp4(MAC, [10, 61, 9, 5], 1, 2, 0)),
            ("ARP", true, frames::arp(MAC, MAC, [10, 61, 9, 255], 2)),
            ("probe", true, arp_for(MAC, MAC, [0; 4], 1, [10, 61, 9, 5])),
            ("IPv6", true, echo6(MAC, "2001:db8:5:7::1", "fd00::1")),
            (
                "advertisement",
                true,
                neighbour(136, "2001:db8:5::5").frame("2001:db8:5::5", ALL_NODES),
            ),
            (
                "detection",
                true,
                neighbour(135, "2001:db8:5::5").frame("::", "ff02::1:ff00:5"),
            ),
            (
                "link-local",
                true,
                echo6(MAC, "fe80::aaaa:0:0:1", ALL_NODES),
            ),
            ("still its own", true, udp4(MAC, GUEST, 1, 2, 0)),
            ("IPv4 beside", false, udp4(MAC, [10, 61, 10, 5], 1, 2, 0)),
            (
                "ARP beside",
                false,
                frames::arp(MAC, MAC, [10, 61, 8, 255], 2),
            ),
            ("IPv6 beside", false, echo6(MAC, "2001:db8:6::1", "fd00::1")),
            (
                "advertisement beside",
                false,
                neighbour(136, "2001:db8:6::5").frame(GUEST6, ALL_NODES),
            ),
            ("MAC", false, udp4(OTHER_MAC, [10, 61, 9, 5], 1, 2, 0)),
            ("DHCP", false, udp4(MAC, [10, 61, 9, 5], 67, 68, 0)),
            (
                "router solicitation",
                true,
                icmp6(133, &[]).frame(LINK_LOCAL, ALL_ROUTERS),
            ),
        ]);
    });
}

#[test]
fn a_guest_that_makes_its_ipv6_addresses_asks_the_networks_routers() {
    let guest = Guest {
        mac: MAC,
        addresses: vec![net("10.61.0.7/16")],
        allow: vec![net("2001:db8::/64")],
        ..Guest::default()
    };
    through(&guest, |path| {
        path.judge(&[
            (
                "router solicitation",
                true,
                icmp6(133, &[]).frame(LINK_LOCAL, ALL_ROUTERS),
            ),
            (
                "router advertisement",
                false,
                icmp6(134, &[]).frame(LINK_LOCAL, ALL_NODES),
            ),
            (
                "its address",
                true,
                echo6(MAC, "2001:db8::42:1ff:fe02:304", "2001:db8::1"),
            ),
        ]);
    });
}

#[test]
fn learned_addresses_and_routers_on_the_tap() {
    let router = "fe80::69:67ff:fe6e:6974";
    let own = "fe80::1234:5678:9abc:def0";
    let guest = Guest {
        link_local: vec![own.parse().expect("an address")],
        routers: vec![router.parse().expect("an address")],
        ..guest()
    };
    through(&guest, |path| {
        path.judge(&[
            ("learned", true, echo6(MAC, own, ALL_NODES)),
            (
                "learned, advertisement",
                true,
                neighbour(136, own).frame(own, "fd00::1"),
            ),
            (
                "solicitation of a router on the tap",
                false,
                neighbour(135, router).frame(own, router),
            ),
            (
                "solicitation of another",
                true,
                neighbour(135, "fe80::1").frame(own, "ff02::1:ff00:1"),
            ),
        ]);
    });
}

#[test]
fn own_addresses_are_told_from_others() {
    let guest = Guest {
        allow: vec![net("192.0.2.0/24")],
        link_local: vec!["fe80::5".parse().expect("an address")],
        ..guest()
    };
    let may_use = |text: &str| guest.may_use(text.parse().expect("an address"));
    for own in ["10.61.0.7", "192.0.2.9", GUEST6, LINK_LOCAL, "fe80::5"] {
        assert!(may_use(own), "{own}");
    }
    for other in ["10.61.0.8", "192.0.3.1", OTHER6, OTHER_LINK_LOCAL] {
        assert!(!may_use(other), "{other}");
    }
}

#[test]
fn link_local_addresses_of_macs() {
    assert_eq!(allow::eui64(MAC).to_string(), LINK_LOCAL);
}
