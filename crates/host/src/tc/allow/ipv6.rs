//! IPv6 in the allow-list: the source, extension headers, neighbour discovery.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::super::frame::{
    DESTINATION, DHCPV6, FRAGMENT, HOP_BY_HOP, ICMPV6, ICMPV6_LISTENERS, ICMPV6_PLAIN,
    NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, OPAQUE, REDIRECT, ROUTER_SOLICITATION,
    ROUTING, UDP, at,
};
use super::HEADERS;
use super::program::{ADDRESS, Builder, FRAGMENTED, NEXT, UNSPECIFIED};
use crate::bpf::{Is, Label, Width};

impl Builder<'_> {
    pub(super) fn ipv6(&mut self) {
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
}
