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

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::bpf::{Assembler, Is, Label, Program, Width};

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
        let mut assembler = Assembler::default();
        let builder = Builder {
            guest: self,
            ipv4: self.ipv4(),
            ipv6: self.ipv6(),
            pass: assembler.label(),
            refuse: assembler.label(),
            a: assembler,
        };
        Ok(builder.build(pass, refuse))
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

/// Offsets from the beginning of the frame.
pub(super) mod at {
    pub(in super::super) const SOURCE_MAC: u32 = 6;
    pub(in super::super) const PROTOCOL: u32 = 12;
    pub(in super::super) const PAYLOAD: u32 = 14;
    pub(in super::super) const ARP_OPERATION: u32 = PAYLOAD + 6;
    pub(in super::super) const ARP_SENDER_MAC: u32 = PAYLOAD + 8;
    pub(in super::super) const ARP_SENDER: u32 = PAYLOAD + 14;
    pub(in super::super) const ARP_TARGET: u32 = PAYLOAD + 24;
    pub(in super::super) const ARP_END: u32 = PAYLOAD + 28;
    pub(in super::super) const IPV4_FRAGMENT: u32 = PAYLOAD + 6;
    pub(in super::super) const IPV4_PROTOCOL: u32 = PAYLOAD + 9;
    pub(in super::super) const IPV4_SOURCE: u32 = PAYLOAD + 12;
    pub(in super::super) const IPV4_END: u32 = PAYLOAD + 20;
    pub(in super::super) const IPV6_NEXT: u32 = PAYLOAD + 6;
    pub(in super::super) const IPV6_SOURCE: u32 = PAYLOAD + 8;
    pub(in super::super) const IPV6_DESTINATION: u32 = PAYLOAD + 24;
    pub(in super::super) const IPV6_END: u32 = PAYLOAD + 40;
}

pub(super) const IPV4: u32 = 0x0800;
const ARP: u32 = 0x0806;
const IPV6: u32 = 0x86dd;

const ICMP: u32 = 1;
pub(super) const UDP: u32 = 17;
const ICMPV6: u32 = 58;
const HOP_BY_HOP: u32 = 0;
const ROUTING: u32 = 43;
const FRAGMENT: u32 = 44;
const DESTINATION: u32 = 60;
/// Headers behind which more may come, of a form of their own: authentication, mobility, HIP, shim6.
const OPAQUE: [u32; 4] = [51, 135, 139, 140];

/// ICMP: redirect, router advertisement (RFC 1256).
const ICMP_REFUSED: [u32; 2] = [5, 9];
/// ICMPv6: errors, echo; what any node may say. The query for multicast listeners as well.
const ICMPV6_PLAIN: [u32; 7] = [1, 2, 3, 4, 128, 129, 130];
/// Reports of multicast listeners: before a node has an address as well.
const ICMPV6_LISTENERS: [u32; 3] = [131, 132, 143];
const ROUTER_SOLICITATION: u32 = 133;
const NEIGHBOUR_SOLICITATION: u32 = 135;
const NEIGHBOUR_ADVERTISEMENT: u32 = 136;
const REDIRECT: u32 = 137;

/// Both ends of DHCP: a server's answers are known by the port they go to alone.
const DHCP: [u32; 2] = [67, 68];
const DHCPV6: [u32; 2] = [546, 547];

/// Cells of the program: an address, word by word; whether the IPv6 source is unspecified; whether
/// the packet is a fragment; the next header.
const ADDRESS: u32 = 0;
const UNSPECIFIED: u32 = 4;
const FRAGMENTED: u32 = 5;
const NEXT: u32 = 6;

struct Builder<'g> {
    guest: &'g Guest,
    ipv4: Vec<Ipv4Net>,
    ipv6: Vec<Ipv6Net>,
    pass: Label,
    refuse: Label,
    a: Assembler,
}

impl Builder<'_> {
    fn build(mut self, pass: u32, refuse: u32) -> Program {
        let [a, b, c, d, e, f] = self.guest.mac;
        self.require(
            Width::Word,
            at::SOURCE_MAC,
            u32::from_be_bytes([a, b, c, d]),
        );
        self.require(
            Width::Half,
            at::SOURCE_MAC + 4,
            u32::from_be_bytes([0, 0, e, f]),
        );
        if !self.guest.addresses.is_empty() {
            self.addressed();
        }
        self.a.place(self.pass);
        self.a.answer(pass);
        self.a.place(self.refuse);
        self.a.answer(refuse);
        self.a.finish()
    }

    fn addressed(&mut self) {
        // The kernel takes the outer tag out of the frame before anybody sees it.
        self.a.load_ancillary(libc::SKF_AD_VLAN_TAG_PRESENT);
        self.a.goto_unless(Is::Equal(0), self.refuse);
        let [arp, ipv4, ipv6] = [(); 3].map(|()| self.a.label());
        self.a.load(Width::Half, at::PROTOCOL);
        self.a.goto_if(Is::Equal(IPV4), ipv4);
        self.a.goto_if(Is::Equal(IPV6), ipv6);
        self.a.goto_if(Is::Equal(ARP), arp);
        self.a.goto(self.refuse);
        self.a.place(arp);
        self.arp();
        self.a.place(ipv4);
        self.ipv4();
        self.a.place(ipv6);
        self.ipv6();
    }

    fn arp(&mut self) {
        let [a, b, c, d, e, f] = self.guest.mac;
        let (probe, operation) = (self.a.label(), self.a.label());
        self.require_length(at::ARP_END);
        // Ethernet and IPv4, addresses of 6 and 4 bytes.
        self.require(Width::Word, at::PAYLOAD, 0x0001_0800);
        self.require(Width::Half, at::PAYLOAD + 4, 0x0604);
        self.require(
            Width::Word,
            at::ARP_SENDER_MAC,
            u32::from_be_bytes([a, b, c, d]),
        );
        self.require(
            Width::Half,
            at::ARP_SENDER_MAC + 4,
            u32::from_be_bytes([0, 0, e, f]),
        );
        self.a.load(Width::Half, at::ARP_OPERATION);
        self.a.goto_if(Is::Equal(1), operation);
        self.a.goto_unless(Is::Equal(2), self.refuse);
        self.a.place(operation);
        self.a.load(Width::Word, at::ARP_SENDER);
        self.a.goto_if(Is::Equal(0), probe);
        self.require_own_ipv4();
        self.a.place(probe);
        self.require(Width::Half, at::ARP_OPERATION, 1);
        self.a.load(Width::Word, at::ARP_TARGET);
        self.require_own_ipv4();
    }

    fn ipv4(&mut self) {
        let (icmp, udp, own) = (self.a.label(), self.a.label(), self.a.label());
        self.require_length(at::IPV4_END);
        self.a.load(Width::Byte, at::PAYLOAD);
        self.a.goto_unless(Is::AtLeast(0x45), self.refuse);
        self.a.goto_if(Is::AtLeast(0x50), self.refuse);
        self.a.load(Width::Word, at::IPV4_SOURCE);
        self.match_ipv4(own);
        self.a.goto(self.refuse);
        self.a.place(own);
        // Behind the first fragment there are no ports.
        self.a.load(Width::Half, at::IPV4_FRAGMENT);
        self.a.goto_if(Is::Any(0x1fff), self.pass);
        self.a.index_by_header(at::PAYLOAD);
        self.a.load(Width::Byte, at::IPV4_PROTOCOL);
        self.a.goto_if(Is::Equal(UDP), udp);
        self.a.goto_if(Is::Equal(ICMP), icmp);
        self.a.goto(self.pass);
        self.a.place(udp);
        self.refuse_ports(at::PAYLOAD, DHCP);
        self.a.place(icmp);
        self.require_indexed(at::PAYLOAD + 1);
        self.a.load_indexed(Width::Byte, at::PAYLOAD);
        for kind in ICMP_REFUSED {
            self.a.goto_if(Is::Equal(kind), self.refuse);
        }
        self.a.goto(self.pass);
    }

    fn ipv6(&mut self) {
        let (sourced, follow) = (self.a.label(), self.a.label());
        self.require_length(at::IPV6_END);
        self.a.load(Width::Byte, at::PAYLOAD);
        self.a.operate(libc::BPF_AND, 0xf0);
        self.a.goto_unless(Is::Equal(0x60), self.refuse);
        for word in 0..4 {
            self.a.load(Width::Word, at::IPV6_SOURCE + 4 * word);
            self.a.keep(ADDRESS + word);
        }
        self.a.number(0);
        self.a.keep(FRAGMENTED);
        self.a.keep(UNSPECIFIED);
        self.match_ipv6(&self.ipv6.clone(), sourced);
        self.match_ipv6(&[Ipv6Net::from(Ipv6Addr::UNSPECIFIED)], follow);
        self.a.goto(self.refuse);
        self.a.place(follow);
        // To nobody in particular on this link.
        self.require(Width::Half, at::IPV6_DESTINATION, 0xff02);
        self.a.number(1);
        self.a.keep(UNSPECIFIED);
        self.a.place(sourced);
        self.headers();
    }

    /// Follows extension headers; the index register is where the next one begins.
    fn headers(&mut self) {
        let [udp, icmp, other] = [(); 3].map(|()| self.a.label());
        self.a.index(at::IPV6_END);
        self.a.load(Width::Byte, at::IPV6_NEXT);
        self.a.keep(NEXT);
        for _ in 0..HEADERS {
            self.header(udp, icmp, other);
        }
        self.a.goto(self.refuse);
        self.a.place(other);
        self.pass_with_source();
        self.a.place(udp);
        self.a.recall(UNSPECIFIED);
        self.a.goto_unless(Is::Equal(0), self.refuse);
        self.refuse_ports(0, DHCPV6);
        self.a.place(icmp);
        self.icmpv6();
    }

    fn header(&mut self, udp: Label, icmp: Label, other: Label) {
        let [options, fragment, first, step] = [(); 4].map(|()| self.a.label());
        self.a.recall(NEXT);
        self.a.goto_if(Is::Equal(UDP), udp);
        self.a.goto_if(Is::Equal(ICMPV6), icmp);
        for header in [HOP_BY_HOP, ROUTING, DESTINATION] {
            self.a.goto_if(Is::Equal(header), options);
        }
        self.a.goto_if(Is::Equal(FRAGMENT), fragment);
        for header in OPAQUE {
            self.a.goto_if(Is::Equal(header), self.refuse);
        }
        self.a.goto(other);

        self.a.place(fragment);
        self.require_indexed(8);
        self.a.load_indexed(Width::Half, 2);
        self.a.goto_unless(Is::Any(0xfff8), first);
        // Worth nothing without the first one.
        self.pass_with_source();
        self.a.place(first);
        self.a.number(1);
        self.a.keep(FRAGMENTED);
        self.a.load_indexed(Width::Byte, 0);
        self.a.keep(NEXT);
        self.a.number(8);
        self.a.goto(step);

        self.a.place(options);
        self.require_indexed(8);
        self.a.load_indexed(Width::Byte, 0);
        self.a.keep(NEXT);
        // Units of 8 bytes, the first one not counted.
        self.a.load_indexed(Width::Byte, 1);
        self.a.operate(libc::BPF_ADD, 1);
        self.a.operate(libc::BPF_LSH, 3);
        self.a.place(step);
        self.a.operate_index(libc::BPF_ADD);
        self.a.accumulator_to_index();
    }

    fn icmpv6(&mut self) {
        let [whole, solicitation, advertisement, detection] = [(); 4].map(|()| self.a.label());
        self.require_indexed(1);
        self.a.recall(FRAGMENTED);
        self.a.goto_if(Is::Equal(0), whole);
        self.a.load_indexed(Width::Byte, 0);
        let discovery = self.a.label();
        self.a.goto_if(Is::AtLeast(ROUTER_SOLICITATION), discovery);
        self.a.goto(whole);
        self.a.place(discovery);
        self.a.goto_unless(Is::AtLeast(REDIRECT + 1), self.refuse);
        self.a.place(whole);
        self.a.load_indexed(Width::Byte, 0);
        self.a
            .goto_if(Is::Equal(NEIGHBOUR_SOLICITATION), solicitation);
        for kind in ICMPV6_LISTENERS {
            self.a.goto_if(Is::Equal(kind), self.pass);
        }
        // All others come from an address.
        let kind = self.a.label();
        self.a.recall(UNSPECIFIED);
        self.a.goto_if(Is::Equal(0), kind);
        self.a.goto(self.refuse);
        self.a.place(kind);
        self.a.load_indexed(Width::Byte, 0);
        self.a
            .goto_if(Is::Equal(NEIGHBOUR_ADVERTISEMENT), advertisement);
        for kind in ICMPV6_PLAIN {
            self.a.goto_if(Is::Equal(kind), self.pass);
        }
        if self.guest.solicits_routers() {
            self.a.goto_if(Is::Equal(ROUTER_SOLICITATION), self.pass);
        }
        self.a.goto(self.refuse);

        self.a.place(solicitation);
        self.target();
        self.a.recall(UNSPECIFIED);
        self.a.goto_unless(Is::Equal(0), detection);
        let routers = self.guest.routers.iter().copied().map(Ipv6Net::from);
        self.match_ipv6(&routers.collect::<Vec<_>>(), self.refuse);
        self.a.goto(self.pass);

        self.a.place(advertisement);
        self.target();
        self.a.place(detection);
        self.match_ipv6(&self.ipv6.clone(), self.pass);
        self.a.goto(self.refuse);
    }

    /// The target of neighbour discovery as the address.
    fn target(&mut self) {
        self.require_indexed(24);
        for word in 0..4 {
            self.a.load_indexed(Width::Word, 8 + 4 * word);
            self.a.keep(ADDRESS + word);
        }
    }

    fn pass_with_source(&mut self) {
        self.a.recall(UNSPECIFIED);
        self.a.goto_if(Is::Equal(0), self.pass);
        self.a.goto(self.refuse);
    }

    /// The ends of a UDP header, `offset` behind the index register.
    fn refuse_ports(&mut self, offset: u32, ports: [u32; 2]) {
        self.require_indexed(offset + 4);
        for end in [0, 2] {
            self.a.load_indexed(Width::Half, offset + end);
            for port in ports {
                self.a.goto_if(Is::Equal(port), self.refuse);
            }
        }
        self.a.goto(self.pass);
    }

    fn require(&mut self, width: Width, offset: u32, value: u32) {
        self.a.load(width, offset);
        self.a.goto_unless(Is::Equal(value), self.refuse);
    }

    /// A load beyond the end would be 0 for `tc`, and 0 for the socket too.
    fn require_length(&mut self, length: u32) {
        self.a.load_length();
        self.a.goto_unless(Is::AtLeast(length), self.refuse);
    }

    /// The same for `length` bytes from the index register on.
    fn require_indexed(&mut self, length: u32) {
        self.a.load_length();
        self.a.goto_unless(Is::AtLeastIndex, self.refuse);
        self.a.operate_index(libc::BPF_SUB);
        self.a.goto_unless(Is::AtLeast(length), self.refuse);
    }

    /// Passes if the accumulator is one of the guest's IPv4 addresses.
    fn require_own_ipv4(&mut self) {
        self.match_ipv4(self.pass);
        self.a.goto(self.refuse);
    }

    fn match_ipv4(&mut self, label: Label) {
        self.a.keep(ADDRESS);
        for net in self.ipv4.clone() {
            self.a.recall(ADDRESS);
            self.masked(net.netmask().into());
            self.a.goto_if(Is::Equal(net.network().into()), label);
        }
    }

    /// Goes to the label if the address in the cells is in one of these.
    fn match_ipv6(&mut self, nets: &[Ipv6Net], label: Label) {
        for net in nets {
            let other = self.a.label();
            let (mask, value) = (words(net.netmask()), words(net.network()));
            for (cell, (mask, value)) in (ADDRESS..).zip(mask.into_iter().zip(value)) {
                if mask != 0 {
                    self.a.recall(cell);
                    self.masked(mask);
                    self.a.goto_unless(Is::Equal(value), other);
                }
            }
            self.a.goto(label);
            self.a.place(other);
        }
    }

    fn masked(&mut self, mask: u32) {
        if mask != u32::MAX {
            self.a.operate(libc::BPF_AND, mask);
        }
    }
}

fn words(address: Ipv6Addr) -> [u32; 4] {
    let [a, b, c, d, e, f, g, h] = address.segments().map(u32::from);
    [a << 16 | b, c << 16 | d, e << 16 | f, g << 16 | h]
}
