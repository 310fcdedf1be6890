//! The allow-list as a program: what holds of every frame, ARP, IPv4. What is of IPv6 is in `ipv6`.

use std::net::Ipv6Addr;

use ipnet::{Ipv4Net, Ipv6Net};

use super::super::frame::{ARP, DHCP, ICMP, ICMP_REFUSED, IPV4, IPV6, UDP, at};
use super::Guest;
use crate::bpf::{Assembler, Is, Label, Program, Width};

/// Cells of the program: an address, word by word; whether the IPv6 source is unspecified; whether
/// the packet is a fragment; the next header.
pub(super) const ADDRESS: u32 = 0;
pub(super) const UNSPECIFIED: u32 = 4;
pub(super) const FRAGMENTED: u32 = 5;
pub(super) const NEXT: u32 = 6;

pub(super) struct Builder<'g> {
    pub(super) guest: &'g Guest,
    ipv4: Vec<Ipv4Net>,
    pub(super) ipv6: Vec<Ipv6Net>,
    pub(super) pass: Label,
    pub(super) refuse: Label,
    pub(super) a: Assembler,
}

impl<'g> Builder<'g> {
    pub(super) fn new(guest: &'g Guest) -> Self {
        let mut assembler = Assembler::default();
        Self {
            guest,
            ipv4: guest.ipv4(),
            ipv6: guest.ipv6(),
            pass: assembler.label(),
            refuse: assembler.label(),
            a: assembler,
        }
    }

    pub(super) fn build(mut self, pass: u32, refuse: u32) -> Program {
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

    /// The ends of a UDP header, `offset` behind the index register.
    pub(super) fn refuse_ports(&mut self, offset: u32, ports: [u32; 2]) {
        self.require_indexed(offset + 4);
        for end in [0, 2] {
            self.a.load_indexed(Width::Half, offset + end);
            for port in ports {
                self.a.goto_if(Is::Equal(port), self.refuse);
            }
        }
        self.a.goto(self.pass);
    }

    pub(super) fn require(&mut self, width: Width, offset: u32, value: u32) {
        self.a.load(width, offset);
        self.a.goto_unless(Is::Equal(value), self.refuse);
    }

    /// A load beyond the end would be 0 for `tc`, and 0 for the socket too.
    pub(super) fn require_length(&mut self, length: u32) {
        self.a.load_length();
        self.a.goto_unless(Is::AtLeast(length), self.refuse);
    }

    /// The same for `length` bytes from the index register on.
    pub(super) fn require_indexed(&mut self, length: u32) {
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
    pub(super) fn match_ipv6(&mut self, nets: &[Ipv6Net], label: Label) {
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
