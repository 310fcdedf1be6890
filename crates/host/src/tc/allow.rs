//! Anti-spoofing as an allow-list: which frames of a guest are its own.
//!
//! | frame | passes if |
//! |---|---|
//! | any | its source is the guest's MAC, it has no VLAN tag, and one line below holds |
//! | ARP | it asks or answers (operation 1, 2), and the sender is the guest's MAC with one of its addresses; or it is a probe for one of them, with the sender 0.0.0.0 (RFC 5227) |
//! | IPv4 | the source is one of its addresses; and it is no DHCP, redirect or router advertisement |
//! | IPv6 | the source is one of its addresses; and it is no DHCPv6, and of neighbour discovery only a solicitation, or an advertisement of one of its addresses |
//! | IPv6, source unspecified | duplicate address detection for one of its addresses, or a report of multicast listeners |
//!
//! "Its addresses" are those of the attachment, the prefixes allowed besides, and of link-local ones
//! that made of the MAC (EUI-64) and those learned since. Extension headers are followed to what they
//! hold, through fragments as well; what is not followed to its end in [`HEADERS`] steps, or hides its
//! end (authentication, mobility), does not pass, nor does neighbour discovery in fragments (RFC 6980).
//!
//! What a guest asks of its host (DHCP of either kind, router solicitations) does not pass either: it
//! never reaches the network, and is answered on the tap; but a guest that may make addresses of a
//! whole IPv6 prefix asks the network's routers. A guest on a network without addresses of its own
//! passes everything with its MAC.
//!
//! The allow-list is one program, which `tc` runs to redirect what passes, and a packet socket with its
//! answers exchanged to see the rest: so the two agree on every frame.

mod ipv6;
mod program;

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::bpf::Program;
use program::Builder;

/// Prefixes of one guest at most: the kernel bounds the length of a program.
pub const MAX_PREFIXES: usize = 48;

/// Extension headers followed in one packet.
const HEADERS: usize = 8;

/// What the kernel may give a packet socket of one frame.
const WHOLE_FRAME: u32 = 0xffff;

/// `tc` takes that as "it matches, and goes where the filter says".
const MATCHES: u32 = 0xffff_ffff;

/// A guest, as its frames are judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guest {
    /// The MAC of all its frames.
    pub mac: [u8; 6],
    /// Its addresses; the prefix lengths do not matter. None at all: everything with its MAC passes.
    pub addresses: Vec<IpNet>,
    /// Prefixes it may use besides, as a whole.
    pub allow: Vec<IpNet>,
    /// Link-local addresses it may use besides that made of its MAC.
    pub link_local: Vec<Ipv6Addr>,
    /// Link-local addresses of routers that answer on the tap: asking for them stays there.
    pub routers: Vec<Ipv6Addr>,
}

/// More prefixes than a program can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{count} addresses and allowed prefixes are more than the {MAX_PREFIXES} an interface can have"
)]
pub struct TooMany {
    /// How many there are.
    pub count: usize,
}

impl TooMany {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some("allow fewer, shorter prefixes".to_owned())
    }
}

/// The link-local address that a system makes of its MAC by default (EUI-64, RFC 4291).
pub fn eui64([a, b, c, d, e, f]: [u8; 6]) -> Ipv6Addr {
    let pair = |high, low| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(
        0xfe80,
        0,
        0,
        0,
        pair(a ^ 2, b),
        pair(c, 0xff),
        pair(0xfe, d),
        pair(e, f),
    )
}

impl Guest {
    /// Gives `tc` a match for what passes.
    pub fn passing(&self) -> Result<Program, TooMany> {
        self.program(MATCHES, 0)
    }

    /// Gives a packet socket the rest, whole.
    pub fn refused(&self) -> Result<Program, TooMany> {
        self.program(0, WHOLE_FRAME)
    }

    fn program(&self, pass: u32, refuse: u32) -> Result<Program, TooMany> {
        let count = self.addresses.len() + self.allow.len() + self.link_local.len();
        if count > MAX_PREFIXES {
            return Err(TooMany { count });
        }
        Ok(Builder::new(self).build(pass, refuse))
    }

    /// Whether this address is one of its own, as the table above has it.
    pub fn may_use(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.ipv4().iter().any(|net| net.contains(&address)),
            IpAddr::V6(address) => self.ipv6().iter().any(|net| net.contains(&address)),
        }
    }

    /// Each address a prefix of full length; then those allowed.
    fn prefixes(&self) -> impl Iterator<Item = IpNet> {
        let own = self.addresses.iter().map(|net| IpNet::from(net.addr()));
        own.chain(self.allow.iter().map(IpNet::trunc))
    }

    fn ipv4(&self) -> Vec<Ipv4Net> {
        let ipv4 = self.prefixes().filter_map(|net| match net {
            IpNet::V4(net) => Some(net),
            IpNet::V6(_) => None,
        });
        ipv4.collect()
    }

    fn ipv6(&self) -> Vec<Ipv6Net> {
        let ipv6 = self.prefixes().filter_map(|net| match net {
            IpNet::V6(net) => Some(net),
            IpNet::V4(_) => None,
        });
        let link_local = [eui64(self.mac)].into_iter().chain(self.link_local.clone());
        ipv6.chain(link_local.map(Ipv6Net::from)).collect()
    }

    /// Whether it is to find the network's routers: it may make addresses of their prefixes, which
    /// are 64 bits long or shorter.
    fn solicits_routers(&self) -> bool {
        let is_prefix = |net: &IpNet| net.addr().is_ipv6() && net.prefix_len() <= 64;
        self.allow.iter().any(is_prefix)
    }
}
