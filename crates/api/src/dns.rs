//! The address of a DNS server.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::text::serde_as_text;

/// A DNS server a guest may ask: any unicast address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dns(IpAddr);

/// Text that names no DNS server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the address of a DNS server")]
pub struct DnsError {
    text: String,
}

impl DnsError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some("give an IPv4 or IPv6 address, such as 9.9.9.9; a name cannot be resolved without a server".into())
    }
}

impl Dns {
    /// The address.
    pub fn address(self) -> IpAddr {
        self.0
    }
}

impl From<Dns> for IpAddr {
    fn from(dns: Dns) -> Self {
        dns.0
    }
}

impl FromStr for Dns {
    type Err = DnsError;

    fn from_str(text: &str) -> Result<Self, DnsError> {
        match text.parse::<IpAddr>() {
            Ok(address) if !address.is_unspecified() && !address.is_multicast() => {
                Ok(Self(address))
            }
            _ => Err(DnsError { text: text.into() }),
        }
    }
}

impl fmt::Display for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

serde_as_text!(Dns);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_unicast_addresses_only() {
        assert_eq!(
            "9.9.9.9".parse::<Dns>().expect("valid").to_string(),
            "9.9.9.9"
        );
        assert_eq!(
            "2620:fe::fe".parse::<Dns>().expect("valid").to_string(),
            "2620:fe::fe"
        );
        for text in [
            "",
            "dns.example",
            "0.0.0.0",
            "224.0.0.1",
            "::",
            "9.9.9.9:53",
        ] {
            assert!(text.parse::<Dns>().is_err(), "{text}");
        }
    }
}
