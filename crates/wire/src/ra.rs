//! Router advertisements as one VM needs them (RFC 4861, 4191, 8106): for images whose own network
//! service asks for a router and believes nothing else.
//!
//! ```text
//!   guest --tap--> router solicitation -----> Advertiser::hear      who must be asked for first
//!                  who has the router? ---->    |
//!   guest <--tap-- router advertisement <---- Advertiser::advertise
//!                  the gateway has it <------ Advertiser::answer
//! ```
//!
//! An advertisement's next hop is always its sender, by a link-local address. A gateway that has one
//! for its address is the sender itself. For a gateway of another address there is a router that is
//! but a name ([`Router::link_local`]): it answers on the tap with the gateway's MAC, so that frames go
//! where they belong. Addresses are not made of what is advertised: they are DHCPv6's.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use crate::dhcp::SERVER_MAC;
use crate::ipv6::{ALL_NODES, ICMPV6, Packet, link_local};
use crate::neighbour::{Advertisement, CHECKSUM, ON_LINK, Solicitation};
use crate::supervisor::Lease6;

/// Time after which a guest that asked once is told again: the longest that a router stays one in a
/// guest's eyes is 65535 s.
pub const REPEAT_SECONDS: u64 = 5 * 3600;

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;

/// Gateways of one VM at most; routes by further ones are left out.
const MAX_ROUTERS: usize = 4;
/// Prefixes, routes and name servers of one advertisement at most: it fits into 1280 bytes.
const MAX_OPTIONS: usize = 16;
const MAX_DNS: usize = 8;

const LIFETIME: u16 = u16::MAX;
const FOR_EVER: [u8; 4] = [0xff; 4];
const HOP_LIMIT: u8 = 64;
/// Addresses, and all else, by DHCPv6.
const MANAGED: u8 = 0x80;
const OTHER: u8 = 0x40;
/// On this link, but nothing to make an address of.
const ON_THIS_LINK: u8 = 0x80;

/// The next hop of some routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Router {
    /// What it is called on the tap.
    pub link_local: Ipv6Addr,
    /// The address of the network's gateway; none if that is `link_local` itself.
    pub gateway: Option<Ipv6Addr>,
    /// Whether the default route is by it.
    pub default: bool,
    /// The other routes by it.
    pub routes: Vec<Ipv6Net>,
}

/// What a guest asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Any router.
    Routers,
    /// The router of this number.
    Router {
        /// Its place in [`Advertiser::routers`].
        number: usize,
        /// Who asks.
        guest: Ipv6Addr,
    },
}

/// Answers the router solicitations of one guest.
#[derive(Debug, Clone)]
pub struct Advertiser {
    mac: [u8; 6],
    lease: Lease6,
    routers: Vec<Router>,
}

impl Advertiser {
    /// For the guest with this MAC; all others are not heard.
    pub fn new(mac: [u8; 6], lease: Lease6) -> Self {
        let routers = routers(&lease);
        Self {
            mac,
            lease,
            routers,
        }
    }

    /// The next hops.
    pub fn routers(&self) -> &[Router] {
        &self.routers
    }

    /// The link-local addresses that are asked for on the tap and nowhere else.
    pub fn names(&self) -> Vec<Ipv6Addr> {
        let names = self
            .routers
            .iter()
            .filter(|router| router.gateway.is_some());
        names.map(|router| router.link_local).collect()
    }

    /// What a frame of the guest asks for, if anything. Takes any bytes.
    pub fn hear(&self, frame: &[u8]) -> Option<Asked> {
        let packet = Packet::parse(frame)?;
        if packet.source_mac != self.mac || packet.hop_limit != ON_LINK {
            return None;
        }
        if packet.next_header == ICMPV6
            && packet.payload.len() >= 8
            && packet.payload.starts_with(&[ROUTER_SOLICITATION, 0])
        {
            return Some(Asked::Routers);
        }
        let asked = Solicitation::parse(frame).filter(|asked| !asked.is_detection())?;
        let named = |router: &Router| router.gateway.is_some() && router.link_local == asked.target;
        Some(Asked::Router {
            number: self.routers.iter().position(named)?,
            guest: asked.source,
        })
    }

    /// The frame that tells of the router of this number, whose gateway has the MAC `gateway`. Without
    /// such a number it tells of none, only of prefixes and names; likewise of one whose gateway has
    /// not answered.
    pub fn advertise(&self, number: usize, gateway: Option<[u8; 6]>) -> Vec<u8> {
        let router = self.routers.get(number);
        let usable = router.filter(|router| router.gateway.is_none() || gateway.is_some());
        let lifetime = match usable {
            Some(router) if router.default => LIFETIME,
            _ => 0,
        };
        let mut payload = vec![ROUTER_ADVERTISEMENT, 0, 0, 0, HOP_LIMIT, MANAGED | OTHER];
        payload.extend(lifetime.to_be_bytes());
        // How long a neighbour is reachable, when it is asked again: as the guest likes.
        payload.extend([0; 8]);
        if let Some(mac) = gateway.filter(|_| usable.is_some()) {
            payload.extend([1, 1]);
            payload.extend(mac);
        }
        payload.extend([5, 1, 0, 0]);
        payload.extend(self.lease.mtu.to_be_bytes());
        for prefix in self.on_link() {
            push_prefix(&mut payload, prefix);
        }
        for route in usable
            .iter()
            .flat_map(|router| &router.routes)
            .take(MAX_OPTIONS)
        {
            push_route(&mut payload, *route);
        }
        self.push_dns(&mut payload);
        Packet {
            source_mac: SERVER_MAC,
            destination_mac: self.mac,
            source: router.map_or(link_local(SERVER_MAC), |router| router.link_local),
            destination: ALL_NODES,
            next_header: ICMPV6,
            hop_limit: ON_LINK,
            payload: &payload,
        }
        .encode_with_checksum(CHECKSUM)
        .expect("the number of its options is bounded")
    }

    /// The frame that answers who asked for the router of this number, whose gateway has this MAC.
    pub fn answer(&self, number: usize, guest: Ipv6Addr, gateway: [u8; 6]) -> Option<Vec<u8>> {
        let answer = Advertisement {
            target: self.routers.get(number)?.link_local,
            mac: gateway,
        };
        Some(answer.encode(SERVER_MAC, guest, self.mac))
    }

    /// The prefixes that need no router.
    fn on_link(&self) -> impl Iterator<Item = Ipv6Net> {
        let own = self.lease.addresses.iter().map(Ipv6Net::trunc);
        let routed = self.lease.routes.iter();
        let routed = routed.filter(|(_, gateway)| gateway.is_none());
        own.chain(routed.map(|(net, _)| net.trunc()))
            .filter(|net| net.prefix_len() < 128 && net.prefix_len() > 0)
            .take(MAX_OPTIONS)
    }

    /// Name servers (RFC 8106).
    fn push_dns(&self, payload: &mut Vec<u8>) {
        let servers: Vec<_> = self.lease.dns.iter().take(MAX_DNS).collect();
        if servers.is_empty() {
            return;
        }
        let units = u8::try_from(1 + 2 * servers.len()).expect("eight servers at most");
        payload.extend([25, units, 0, 0]);
        payload.extend(FOR_EVER);
        for server in servers {
            payload.extend(server.octets());
        }
    }
}

fn push_prefix(payload: &mut Vec<u8>, prefix: Ipv6Net) {
    payload.extend([3, 4, prefix.prefix_len(), ON_THIS_LINK]);
    payload.extend([FOR_EVER, FOR_EVER].concat());
    payload.extend([0; 4]);
    payload.extend(prefix.network().octets());
}

/// A route of medium preference (RFC 4191).
fn push_route(payload: &mut Vec<u8>, route: Ipv6Net) {
    payload.extend([24, 3, route.prefix_len(), 0]);
    payload.extend(FOR_EVER);
    payload.extend(route.network().octets());
}

fn routers(lease: &Lease6) -> Vec<Router> {
    let mut routers: Vec<Router> = Vec::new();
    for (net, gateway) in &lease.routes {
        let Some(gateway) = *gateway else { continue };
        let known = routers
            .iter()
            .position(|router| router.gateway.unwrap_or(router.link_local) == gateway);
        let number = known.unwrap_or(routers.len());
        if number == MAX_ROUTERS {
            continue;
        }
        if known.is_none() {
            routers.push(Router::new(number, gateway));
        }
        match net.prefix_len() {
            0 => routers[number].default = true,
            _ => routers[number].routes.push(net.trunc()),
        }
    }
    routers
}

impl Router {
    fn new(number: usize, gateway: Ipv6Addr) -> Self {
        let is_name = !gateway.is_unicast_link_local();
        let mut name = link_local(SERVER_MAC).octets();
        name[15] += u8::try_from(number).expect("four at most");
        Self {
            link_local: if is_name { name.into() } else { gateway },
            gateway: is_name.then_some(gateway),
            default: false,
            routes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
