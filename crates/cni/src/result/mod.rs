//! What a network answers to ADD: interfaces, addresses, routes, name servers.
//!
//! ```text
//!  JSON of any of the seven versions --decode--> NetworkResult --encode--> JSON of any version
//!                                                     |
//!                                                  validate: nothing in it is believed before
//! ```
//!
//! The types have the shape of version 1.1.0, of which all others are a part.

mod decode;
mod encode;
mod validate;

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use crate::json::Object;
use crate::version::{self, Version};

pub use validate::{MAX_ENTRIES, MAX_ROUTES};

/// A network's answer to ADD.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NetworkResult {
    /// Interfaces made, on the host and in the sandbox.
    pub interfaces: Vec<Interface>,
    /// Addresses given.
    pub ips: Vec<IpConfig>,
    /// Routes for the container.
    pub routes: Vec<Route>,
    /// Name service.
    pub dns: Dns,
}

/// An interface a plugin made or uses.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its hardware address as text.
    pub mac: Option<String>,
    /// The namespace it is in; none is the host's.
    pub sandbox: Option<String>,
    /// Its MTU, from 1.1.0 on.
    pub mtu: Option<u32>,
    /// A socket in its place, from 1.1.0 on.
    pub socket_path: Option<String>,
    /// Its PCI device, from 1.1.0 on.
    pub pci_id: Option<String>,
}

/// An address and where it belongs.
#[derive(Debug, Clone, PartialEq)]
pub struct IpConfig {
    /// The address with its prefix; host bits kept.
    pub address: IpNet,
    /// The gateway of its subnet.
    pub gateway: Option<IpAddr>,
    /// Index into [`NetworkResult::interfaces`].
    pub interface: Option<usize>,
}

/// A route.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Destination.
    pub dst: IpNet,
    /// Gateway; where there is none, the gateway of the family is meant.
    pub gw: Option<IpAddr>,
    /// MTU of the path, in bytes.
    pub mtu: Option<u32>,
    /// Maximal segment size to advertise, in bytes.
    pub advmss: Option<u32>,
    /// Metric.
    pub priority: Option<u32>,
    /// Routing table; 0 is meaningful.
    pub table: Option<u32>,
    /// Scope; 0 is meaningful.
    pub scope: Option<u32>,
}

/// Name service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dns {
    /// Servers, in order.
    pub nameservers: Vec<String>,
    /// The domain.
    pub domain: Option<String>,
    /// Domains to try.
    pub search: Vec<String>,
    /// Options of `resolv.conf`.
    pub options: Vec<String>,
}

impl Dns {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The servers that are addresses usable from inside (`fe80::1%eth0` is not).
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.nameservers
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect()
    }
}

impl Interface {
    /// The hardware address as an Ethernet one.
    pub fn ethernet(&self) -> Option<[u8; 6]> {
        validate::hardware_address(self.mac.as_deref()?)?
            .try_into()
            .ok()
    }
}

/// Why JSON is no result, or one that cannot be believed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ResultError {
    /// There is none.
    #[error("the plugin printed nothing")]
    Empty,
    /// It is not JSON.
    #[error("the result is not JSON ({problem}): {excerpt:?}")]
    NotJson {
        /// What the parser says.
        problem: String,
        /// The first bytes.
        excerpt: String,
    },
    /// A value of a wrong JSON type.
    #[error("{path} in the result must be {expected}, not {found}")]
    Type {
        /// Path of the value.
        path: String,
        /// What is expected.
        expected: &'static str,
        /// What was found.
        found: &'static str,
    },
    /// A value that makes no sense.
    #[error("{path} in the result is {value:?}: {problem}")]
    Value {
        /// Path of the value.
        path: String,
        /// The value.
        value: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A version nobody here can read.
    #[error("the result has CNI version {version:?}; supported are {}", known())]
    Version {
        /// The version as it was found.
        version: String,
    },
    /// More of something than any network needs.
    #[error("the result has {count} {what}; at most {limit} are accepted")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many would be accepted.
        limit: usize,
    },
    /// The oldest versions need an address.
    #[error("cannot convert: no valid IP addresses")]
    NoAddress,
}

fn known() -> String {
    version::KNOWN.map(|version| version.to_string()).join(", ")
}

/// The families of result shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// 0.1.0, 0.2.0: `ip4` and `ip6`.
    Families,
    /// 0.3.0 to 0.4.0: `ips` with `version`.
    Versioned,
    /// 1.0.0 and later.
    Plain,
}

impl Shape {
    fn of(text: &str) -> Result<Self, ResultError> {
        let unknown = || ResultError::Version {
            version: text.chars().take(64).collect(),
        };
        let version: Version = text.parse().map_err(|_| unknown())?;
        if !version.is_known() {
            return Err(unknown());
        }
        Ok(match version {
            v if v < Version::new(0, 3, 0) => Self::Families,
            v if v < Version::new(1, 0, 0) => Self::Versioned,
            _ => Self::Plain,
        })
    }
}

/// Reads a plugin's standard output as a result object. Without a version of its
/// own it has `config_version`, which is written into it. `null` is an empty
/// result; everything a plugin adds of its own stays in it.
pub fn parse_output(stdout: &[u8], config_version: &str) -> Result<Object, ResultError> {
    if stdout.iter().all(u8::is_ascii_whitespace) {
        return Err(ResultError::Empty);
    }
    let not_json = |error: serde_json::Error| ResultError::NotJson {
        problem: error.to_string(),
        excerpt: crate::json::excerpt(stdout, 200),
    };
    let mut object = match serde_json::from_slice(stdout).map_err(not_json)? {
        Value::Null => Object::new(),
        Value::Object(object) => object,
        other => return Err(decode::wrong_type("the top level", "an object", &other)),
    };
    let version = match object.get("cniVersion") {
        None | Some(Value::Null) => "",
        Some(Value::String(text)) => text,
        Some(other) => return Err(decode::wrong_type("cniVersion", "a string", other)),
    };
    if version.is_empty() {
        let config_version = if config_version.is_empty() {
            "0.1.0"
        } else {
            config_version
        };
        object.insert("cniVersion".to_owned(), Value::from(config_version));
    }
    Ok(object)
}

impl NetworkResult {
    /// Decodes a result object by the version it carries (none is 0.1.0).
    pub fn decode(object: &Object) -> Result<Self, ResultError> {
        decode::decode(object)
    }

    /// The result as an object of `version` (empty is 0.1.0).
    pub fn encode(&self, version: &str) -> Result<Object, ResultError> {
        encode::encode(self, version)
    }

    /// Checks that the result can be believed: bounds, names, addresses,
    /// references. `ifname` is the interface that was asked for.
    pub fn validate(&self, ifname: &str) -> Result<(), ResultError> {
        validate::validate(self, ifname)
    }

    /// The addresses of the container's interface `ifname`: those without an
    /// interface, and those whose interface has that name inside a sandbox.
    pub fn addresses_of(&self, ifname: &str) -> Vec<&IpConfig> {
        let belongs = |ip: &&IpConfig| match ip.interface.and_then(|i| self.interfaces.get(i)) {
            Some(interface) => interface.name == ifname && interface.sandbox.is_some(),
            None => true,
        };
        self.ips.iter().filter(belongs).collect()
    }

    /// The interface `ifname` inside a sandbox, if the result names it.
    pub fn interface_of(&self, ifname: &str) -> Option<&Interface> {
        self.interfaces
            .iter()
            .find(|i| i.name == ifname && i.sandbox.is_some())
    }
}

/// The same result in another version. Between versions of one shape only the
/// version changes, and what a plugin added of its own stays.
pub fn convert(object: &Object, version: &str) -> Result<Object, ResultError> {
    let from = version::of(object).unwrap_or_default();
    if Shape::of(from)? != Shape::of(version)? {
        return NetworkResult::decode(object)?.encode(version);
    }
    let mut same = object.clone();
    let version = if version.is_empty() { "0.1.0" } else { version };
    same.insert("cniVersion".to_owned(), Value::from(version));
    Ok(same)
}

#[cfg(test)]
mod tests;
