//! The configuration of the overlay, as etcd has it under `<prefix>/config`.
//!
//! ```text
//!   {"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}
//!        |                        '------- Backend: how packets get to the other nodes
//!        '-- Range: which subnets there are, from 10.5.1.0/24 to 10.5.255.0/24
//! ```
//!
//! Read, checked and completed exactly as `flanneld` does it, so that all nodes of a network come to
//! the same; where `flanneld` takes what cannot work, this says so.

mod backend;
#[cfg(test)]
mod backend_tests;
mod error;
mod range;
#[cfg(test)]
mod tests;

use std::net::Ipv6Addr;
use std::str::FromStr;

use ipnet::{Ipv4Net, Ipv6Net};

pub use backend::{Backend, KEEPALIVE, Mode, PresharedKey};
pub use error::ConfigError;
pub use range::{Limits, Names, Prefix, Range};

use crate::json::{self, Fields, Object, quoted};

/// What all nodes of a network agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The IPv4 subnets, unless IPv4 is disabled.
    pub ipv4: Option<Range<Ipv4Net>>,
    /// The IPv6 subnets, if IPv6 is enabled.
    pub ipv6: Option<Range<Ipv6Net>>,
    /// Packet filter rules are to be those of nftables.
    pub nftables: bool,
    /// How packets get to the other nodes.
    pub backend: Backend,
}

impl Config {
    /// A configuration of these subnets; one family at least.
    pub fn new(
        ipv4: Option<Range<Ipv4Net>>,
        ipv6: Option<Range<Ipv6Net>>,
        backend: Backend,
    ) -> Result<Self, ConfigError> {
        if ipv4.is_none() && ipv6.is_none() {
            return Err(ConfigError::NoFamily);
        }
        Ok(Self {
            ipv4,
            ipv6,
            nftables: false,
            backend,
        })
    }

    /// Reads a configuration.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let object = json::object(bytes)?;
        let fields = Fields::new(&object, "");
        let has_ipv4 = fields.flag("EnableIPv4")?.unwrap_or(true);
        let has_ipv6 = fields.flag("EnableIPv6")?.unwrap_or(false);
        let ipv4 = has_ipv4.then(|| range(&fields)).transpose()?;
        let ipv6 = has_ipv6.then(|| range(&fields)).transpose()?;
        let config = Self::new(ipv4, ipv6, Backend::parse(&object)?)?;
        Ok(Self {
            nftables: fields.flag("EnableNFTables")?.unwrap_or(false),
            ..config
        })
    }

    /// The configuration for etcd: the networks, the backend, and of the rest what differs from the
    /// defaults.
    pub fn to_json(&self) -> String {
        let mut object = Object::new();
        match &self.ipv4 {
            Some(range) => write_range(range, &mut object),
            None => drop(object.insert("EnableIPv4".into(), false.into())),
        }
        if let Some(range) = &self.ipv6 {
            object.insert("EnableIPv6".into(), true.into());
            write_range(range, &mut object);
        }
        if self.nftables {
            object.insert("EnableNFTables".into(), true.into());
        }
        object.insert("Backend".into(), self.backend.to_object().into());
        serde_json::Value::Object(object).to_string()
    }
}

/// Reads the members of one family.
fn range<N: Prefix>(fields: &Fields<'_>) -> Result<Range<N>, ConfigError> {
    let names = N::NAMES;
    let network: N =
        parsed(fields, names.network, N::DESCRIPTION)?.ok_or(ConfigError::NoNetwork {
            field: names.network,
        })?;
    let limits = Limits {
        length: fields.number(names.length, 0..=128)?,
        min: parsed(fields, names.min, N::ADDRESS)?,
        max: parsed(fields, names.max, N::ADDRESS)?,
    };
    Range::new(network, limits)
}

/// A text that is to be a network or an address.
fn parsed<T: FromStr>(
    fields: &Fields<'_>,
    field: &'static str,
    expected: &'static str,
) -> Result<Option<T>, ConfigError> {
    let Some(text) = fields.text(field)? else {
        return Ok(None);
    };
    text.parse()
        .map(Some)
        .map_err(|_| ConfigError::invalid(field, quoted(text), format!("it is not {expected}")))
}

fn write_range<N: Prefix>(range: &Range<N>, object: &mut Object) {
    let (names, limits) = (N::NAMES, range.limits());
    object.insert(names.network.into(), range.network().to_string().into());
    if let Some(length) = limits.length {
        object.insert(names.length.into(), length.into());
    }
    for (name, address) in [(names.min, limits.min), (names.max, limits.max)] {
        if let Some(address) = address {
            object.insert(name.into(), address.to_string().into());
        }
    }
}

/// An IPv6 address that stands for an IPv4 one; Go does not take it for IPv6.
fn is_mapped(address: Ipv6Addr) -> bool {
    address.to_ipv4_mapped().is_some()
}
