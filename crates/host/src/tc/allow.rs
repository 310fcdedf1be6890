//! Anti-spoofing as an allow-list: which frames of a guest are its own.
//!
//! | frame | passes if |
//! |---|---|
//! | any | its source is the guest's MAC, and one line below holds |
//! | ARP | the sender is the guest's MAC with one of its addresses, or with 0.0.0.0 (a probe, RFC 5227) |
//! | IPv4 | the source is one of the guest's addresses |
//! | IPv6 | the source is one of the guest's addresses, or link-local; or unspecified and the destination multicast (duplicate address detection) |
//!
//! DHCP requests (source 0.0.0.0) match nothing, so they never reach the network; our own server sees
//! them on the tap. A guest on a network without addresses of its own passes everything with its MAC.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{Filter, Key, Match};

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;

const WHOLE: u32 = 0xffff_ffff;
const UPPER: u32 = 0xffff_0000;

/// Where the IPv4 header has the source.
const IPV4_SOURCE: i32 = 12;
/// Where the IPv6 header has the source and the destination.
const IPV6_SOURCE: i32 = 8;
const IPV6_DESTINATION: i32 = 24;

/// The filters, guest to network, of a guest with this MAC and these addresses. The prefix lengths do
/// not matter: a guest speaks for its addresses, not for their networks.
pub fn guest_filters(mac: [u8; 6], addresses: &[IpNet]) -> Vec<Filter> {
    if addresses.is_empty() {
        let matching = Match {
            protocol: None,
            keys: source_mac(mac),
        };
        return vec![Filter {
            priority: 1,
            matching,
        }];
    }
    let mut filters = Vec::new();
    let ipv4 = addresses.iter().filter_map(|net| match net.addr() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    });
    for address in ipv4.clone() {
        filters.push(filter(
            1,
            IPV4,
            mac,
            vec![word(IPV4_SOURCE, address.into(), WHOLE)],
        ));
    }
    for address in ipv4.chain([Ipv4Addr::UNSPECIFIED]) {
        filters.push(filter(2, ARP, mac, arp_sender(mac, address)));
    }
    for source in ipv6_sources(addresses) {
        filters.push(filter(3, IPV6, mac, source));
    }
    filters
}

fn filter(priority: u16, protocol: u16, mac: [u8; 6], mut keys: Vec<Key>) -> Filter {
    keys.extend(source_mac(mac));
    Filter {
        priority,
        matching: Match {
            protocol: Some(protocol),
            keys,
        },
    }
}

/// The source of the ethernet header, at -8 to -3; the two bytes after it are the protocol.
fn source_mac(mac: [u8; 6]) -> Vec<Key> {
    let [a, b, c, d, e, f] = mac;
    vec![
        word(-8, u32::from_be_bytes([a, b, c, d]), WHOLE),
        word(-4, u32::from_be_bytes([e, f, 0, 0]), UPPER),
    ]
}

/// Ethernet and IPv4 ARP whose sender is `mac` with `address`.
fn arp_sender(mac: [u8; 6], address: Ipv4Addr) -> Vec<Key> {
    let [a, b, c, d, e, f] = mac;
    let [w, x, y, z] = address.octets();
    vec![
        // Hardware type 1, protocol type IPv4; lengths 6 and 4.
        word(0, 0x0001_0800, WHOLE),
        word(4, 0x0604_0000, UPPER),
        word(8, u32::from_be_bytes([a, b, c, d]), WHOLE),
        word(12, u32::from_be_bytes([e, f, w, x]), WHOLE),
        word(16, u32::from_be_bytes([y, z, 0, 0]), UPPER),
    ]
}

/// What the IPv6 source may be, each as one list of words.
fn ipv6_sources(addresses: &[IpNet]) -> Vec<Vec<Key>> {
    let mut sources: Vec<Vec<Key>> = addresses
        .iter()
        .filter_map(|net| match net.addr() {
            IpAddr::V6(address) => Some(ipv6(IPV6_SOURCE, address)),
            IpAddr::V4(_) => None,
        })
        .collect();
    // fe80::/10: the upper ten bits.
    sources.push(vec![word(IPV6_SOURCE, 0xfe80_0000, 0xffc0_0000)]);
    let mut detection = ipv6(IPV6_SOURCE, Ipv6Addr::UNSPECIFIED);
    // ff02::/16: link-local multicast.
    detection.push(word(IPV6_DESTINATION, 0xff02_0000, UPPER));
    sources.push(detection);
    sources
}

fn ipv6(offset: i32, address: Ipv6Addr) -> Vec<Key> {
    let bits = u128::from(address);
    (0..4)
        .map(|index| {
            let value = (bits >> (96 - 32 * index)) & u128::from(WHOLE);
            let value = u32::try_from(value).expect("masked to 32 bits");
            word(offset + 4 * index, value, WHOLE)
        })
        .collect()
}

/// A word at `offset`; of its value only the masked bits are kept, as the kernel wants it.
fn word(offset: i32, value: u32, mask: u32) -> Key {
    Key {
        offset,
        value: value & mask,
        mask,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0x02, 0x42, 1, 2, 3, 4];

    fn net(text: &str) -> IpNet {
        text.parse().expect("a network")
    }

    #[test]
    fn an_ipv4_source_is_the_address_and_the_mac() {
        let filters = guest_filters(MAC, &[net("10.61.0.7/16")]);
        let keys = [
            (12, 0x0a3d_0007, 0xffff_ffff),
            (-8, 0x0242_0102, 0xffff_ffff),
            (-4, 0x0304_0000, 0xffff_0000),
        ];
        let keys = keys.map(|(offset, value, mask)| Key {
            offset,
            value,
            mask,
        });
        assert_eq!(filters[0].matching.protocol, Some(0x0800));
        assert_eq!(filters[0].matching.keys, keys);
    }

    #[test]
    fn one_priority_has_one_protocol() {
        let filters = guest_filters(
            MAC,
            &[net("10.61.0.7/16"), net("fd00::7/64"), net("10.0.0.1/8")],
        );
        for one in &filters {
            for two in &filters {
                let same = one.matching.protocol == two.matching.protocol;
                assert_eq!(one.priority == two.priority, same, "{one:?} {two:?}");
            }
        }
        // Two of IPv4, two and the probe of ARP; one of IPv6, link-local, address detection.
        assert_eq!(filters.len(), 8);
    }
}
