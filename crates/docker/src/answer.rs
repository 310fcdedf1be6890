//! What the engine answers: bytes in, checked types out.
//!
//! An engine is trusted with a container, not with our memory or our paths: every value is of a type that
//! cannot hold nonsense, and what is quoted of its words is short and harmless on a terminal.

mod container;
mod image;
mod value;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::Deserialize;

pub use container::{container, created, listed};
pub use image::{layers, progress, tags};

/// Why an answer is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Not the JSON that is expected.
    #[error("it is not what the Docker API describes")]
    Json(#[from] serde_json::Error),
    /// A value that makes no sense.
    #[error("{value:?} is no {what}")]
    Value {
        /// What it should be.
        what: &'static str,
        /// What it is, or its beginning.
        value: String,
    },
}

/// A container as the engine describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id, 64 hexadecimal digits.
    pub id: String,
    /// Its name, without the slash.
    pub name: String,
    /// Whether its process lives.
    pub running: bool,
    /// Its first process, as the host counts.
    pub pid: Option<i32>,
    /// Its interface: the one on the default bridge, if it is on more networks.
    pub network: Option<Endpoint>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// How its process ended; 0 while it lives.
    pub exit_code: i64,
    /// Why it did not start, in the engine's words.
    pub error: String,
}

/// A container's interface on a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The network's name.
    pub network: String,
    /// Its address, with the network's prefix.
    pub address: Option<Ipv4Net>,
    /// The way out.
    pub gateway: Option<Ipv4Addr>,
    /// Its IPv6 address, where the network has any.
    pub address6: Option<Ipv6Net>,
    /// The way out for IPv6.
    pub gateway6: Option<Ipv6Addr>,
}

/// A container as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id, 64 hexadecimal digits.
    pub id: String,
    /// Its names, without the slash.
    pub names: Vec<String>,
    /// Whether its process lives.
    pub running: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A container that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its id, 64 hexadecimal digits.
    pub id: String,
    /// What the engine has to say about it.
    pub warnings: Vec<String>,
}

/// The words of a refusal: the engine's `{"message": ...}`, or whatever it said instead.
pub fn refusal(bytes: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    match serde_json::from_slice::<Refusal>(bytes) {
        Ok(Refusal { message }) => value::excerpt(&message),
        Err(_) => value::excerpt(&String::from_utf8_lossy(bytes)),
    }
}

#[cfg(test)]
mod tests;
