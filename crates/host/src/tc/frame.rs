//! What filters look at in a frame: where it is, and the numbers that stand there.

/// Offsets from the beginning of the frame.
pub mod at {
    pub const SOURCE_MAC: u32 = 6;
    pub const PROTOCOL: u32 = 12;
    pub const PAYLOAD: u32 = 14;
    pub const ARP_OPERATION: u32 = PAYLOAD + 6;
    pub const ARP_SENDER_MAC: u32 = PAYLOAD + 8;
    pub const ARP_SENDER: u32 = PAYLOAD + 14;
    pub const ARP_TARGET: u32 = PAYLOAD + 24;
    pub const ARP_END: u32 = PAYLOAD + 28;
    pub const IPV4_FRAGMENT: u32 = PAYLOAD + 6;
    pub const IPV4_PROTOCOL: u32 = PAYLOAD + 9;
    pub const IPV4_SOURCE: u32 = PAYLOAD + 12;
    pub const IPV4_END: u32 = PAYLOAD + 20;
    pub const IPV6_NEXT: u32 = PAYLOAD + 6;
    pub const IPV6_SOURCE: u32 = PAYLOAD + 8;
    pub const IPV6_DESTINATION: u32 = PAYLOAD + 24;
    pub const IPV6_END: u32 = PAYLOAD + 40;
}

pub const IPV4: u32 = 0x0800;
pub const ARP: u32 = 0x0806;
pub const IPV6: u32 = 0x86dd;

pub const ICMP: u32 = 1;
pub const UDP: u32 = 17;
pub const ICMPV6: u32 = 58;
pub const HOP_BY_HOP: u32 = 0;
pub const ROUTING: u32 = 43;
pub const FRAGMENT: u32 = 44;
pub const DESTINATION: u32 = 60;
/// Headers behind which more may come, of a form of their own: authentication, mobility, HIP, shim6.
pub const OPAQUE: [u32; 4] = [51, 135, 139, 140];

/// ICMP: redirect, router advertisement (RFC 1256).
pub const ICMP_REFUSED: [u32; 2] = [5, 9];
/// ICMPv6: errors, echo; what any node may say. The query for multicast listeners as well.
pub const ICMPV6_PLAIN: [u32; 7] = [1, 2, 3, 4, 128, 129, 130];
/// Reports of multicast listeners: before a node has an address as well.
pub const ICMPV6_LISTENERS: [u32; 3] = [131, 132, 143];
pub const ROUTER_SOLICITATION: u32 = 133;
pub const NEIGHBOUR_SOLICITATION: u32 = 135;
pub const NEIGHBOUR_ADVERTISEMENT: u32 = 136;
pub const REDIRECT: u32 = 137;

/// Both ends of DHCP: a server's answers are known by the port they go to alone.
pub const DHCP: [u32; 2] = [67, 68];
pub const DHCPV6: [u32; 2] = [546, 547];
