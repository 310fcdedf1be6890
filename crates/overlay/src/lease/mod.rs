//! Leases: which node has which subnet, and how it is reached.

pub mod data;
pub mod key;
pub mod value;

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use serde_json::Value;

/// The subnet of one node: what a lease is about, and known by. Host bits are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet {
    /// Its IPv4 half.
    pub v4: Ipv4Net,
    /// Its IPv6 half, if the network is dual-stack.
    pub v6: Option<Ipv6Net>,
}

/// What a node says of itself in its lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Attributes {
    /// Where other nodes reach it.
    pub public_ip: Ipv4Addr,
    /// The same for IPv6.
    pub public_ipv6: Option<Ipv6Addr>,
    /// Its backend as written, case and all; none for `udp` and `alloc`.
    pub backend: Option<String>,
    /// What its backend tells those of others.
    pub data: Option<Value>,
    /// The IPv6 half of that.
    pub v6_data: Option<Value>,
}

/// A lease as etcd has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// Whose traffic it is about.
    pub subnet: Subnet,
    /// What its node says.
    pub attributes: Attributes,
}
