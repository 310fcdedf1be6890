//! By which of its addresses a node is reached, where one device carries both families.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::Mode;

/// The address for packets to the node with the public addresses `v4` and `v6`; none if the mode
/// wants IPv6 and the node has none. `own_v6` is this node's public IPv6 address; all nodes have IPv4.
pub(super) fn choose(
    mode: Mode,
    own_v6: Option<Ipv6Addr>,
    v4: Ipv4Addr,
    v6: Option<Ipv6Addr>,
) -> Option<IpAddr> {
    match mode {
        Mode::Separate | Mode::Ipv4 => Some(v4.into()),
        Mode::Ipv6 => v6.map(IpAddr::V6),
        Mode::Auto => Some(auto(own_v6, v4, v6)),
    }
}

/// As Flannel chooses: both ends should take the same family, and both are likely to reach each
/// other by it. Private IPv4 addresses may be behind translation, so that IPv6 goes before them.
fn auto(own_v6: Option<Ipv6Addr>, v4: Ipv4Addr, v6: Option<Ipv6Addr>) -> IpAddr {
    let everywhere = |address: &Ipv6Addr| !address.is_unique_local();
    match v6.filter(everywhere) {
        Some(v6) if v4.is_private() && own_v6.as_ref().is_some_and(everywhere) => v6.into(),
        _ => v4.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLOBAL_V4: &str = "203.0.113.12";
    const GLOBAL_V6: &str = "2001:db8::12";

    fn chosen(mode: Mode, own_v6: &str, v4: &str, v6: &str) -> Option<String> {
        // An empty text is no address.
        let v6_of = |text: &str| text.parse().ok();
        let v4 = v4.parse().expect("an address");
        let chosen = choose(mode, v6_of(own_v6), v4, v6_of(v6));
        chosen.map(|address| address.to_string())
    }

    #[test]
    fn auto_takes_what_reaches_farthest() {
        let (own_global, own_local) = ("2001:db8::11", "fd99::11");
        for (own_v6, v4, v6, expected) in [
            // A node without IPv6, or this one.
            (own_global, "10.99.0.12", "", "10.99.0.12"),
            ("", "10.99.0.12", GLOBAL_V6, "10.99.0.12"),
            // IPv4 that is not private goes before everything.
            (own_global, GLOBAL_V4, GLOBAL_V6, GLOBAL_V4),
            (own_local, GLOBAL_V4, "fd99::12", GLOBAL_V4),
            // 100.64/10 is translated as well, but not in RFC 1918: as Flannel has it.
            (own_global, "100.64.0.12", GLOBAL_V6, "100.64.0.12"),
            // IPv6 goes before private IPv4 if both ends have more than a local address.
            (own_global, "10.99.0.12", GLOBAL_V6, GLOBAL_V6),
            (own_global, "172.31.0.12", GLOBAL_V6, GLOBAL_V6),
            (own_global, "192.168.0.12", GLOBAL_V6, GLOBAL_V6),
            (own_local, "10.99.0.12", GLOBAL_V6, "10.99.0.12"),
            (own_global, "10.99.0.12", "fd99::12", "10.99.0.12"),
            (own_local, "10.99.0.12", "fc99::12", "10.99.0.12"),
        ] {
            let chosen = chosen(Mode::Auto, own_v6, v4, v6);
            assert_eq!(chosen.as_deref(), Some(expected), "{own_v6} {v4} {v6}");
        }
    }

    #[test]
    fn one_family_is_that_family() {
        let ipv6 = |v6| chosen(Mode::Ipv6, "fd99::11", GLOBAL_V4, v6);
        assert_eq!(ipv6("fd99::12").as_deref(), Some("fd99::12"));
        assert_eq!(ipv6(""), None);
        for mode in [Mode::Ipv4, Mode::Separate] {
            let chosen = chosen(mode, "2001:db8::11", "10.99.0.12", GLOBAL_V6);
            assert_eq!(chosen.as_deref(), Some("10.99.0.12"));
        }
    }
}
