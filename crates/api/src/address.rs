//! Addresses a person asks for, and ranges of them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::text::serde_as_text;

/// An address a VM should have, with its prefix length where the network does not know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    ip: IpAddr,
    prefix: Option<u8>,
}

/// Text that is no address a VM can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not an IP address.
    #[error("{text:?} is not an IP address")]
    Syntax {
        /// The text given.
        text: String,
    },
    /// Not a prefix length of its family.
    #[error("{prefix:?} in {text:?} is not a prefix length")]
    Prefix {
        /// The text given.
        text: String,
        /// The part at fault.
        prefix: String,
    },
    /// Nobody can have it.
    #[error("no VM can have the address {text}: {reason}")]
    Unusable {
        /// The text given.
        text: String,
        /// What it is instead.
        reason: &'static str,
    },
}

impl AddressError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Syntax { .. } => {
                    "write an IPv4 or IPv6 address, such as 10.61.0.50 or 10.61.0.50/16"
                }
                Self::Prefix { .. } => "a prefix length is from 1 to 32 (IPv4) or 128 (IPv6)",
                Self::Unusable { .. } => "choose an address of the network's subnet",
            }
            .into(),
        )
    }
}

impl Address {
    /// The address.
    pub fn ip(self) -> IpAddr {
        self.ip
    }

    /// Its prefix length, where one was given.
    pub fn prefix(self) -> Option<u8> {
        self.prefix
    }

    /// Whether an interface with `given` has what is asked for: the address, and the prefix length
    /// where one was asked for.
    pub fn is_met_by(self, given: IpNet) -> bool {
        given.addr() == self.ip
            && self
                .prefix
                .is_none_or(|prefix| prefix == given.prefix_len())
    }
}

impl From<IpNet> for Address {
    /// Takes an address an interface had, whatever it is.
    fn from(net: IpNet) -> Self {
        Self {
            ip: net.addr(),
            prefix: Some(net.prefix_len()),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (ip, prefix) = match text.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix)),
            None => (text, None),
        };
        let ip: IpAddr = ip
            .parse()
            .map_err(|_| AddressError::Syntax { text: text.into() })?;
        let prefix = prefix.map(|prefix| length(text, prefix, ip)).transpose()?;
        match why_unusable(ip, prefix) {
            Some(reason) => Err(AddressError::Unusable {
                text: text.into(),
                reason,
            }),
            None => Ok(Self { ip, prefix }),
        }
    }
}

/// A prefix length in decimal, without signs or further zeros.
fn length(text: &str, prefix: &str, ip: IpAddr) -> Result<u8, AddressError> {
    let most = if ip.is_ipv4() { 32 } else { 128 };
    prefix
        .parse::<u8>()
        .ok()
        .filter(|length| (1..=most).contains(length) && length.to_string() == prefix)
        .ok_or_else(|| AddressError::Prefix {
            text: text.into(),
            prefix: prefix.into(),
        })
}

fn why_unusable(ip: IpAddr, prefix: Option<u8>) -> Option<&'static str> {
    if ip.is_unspecified() {
        return Some("it stands for no address");
    }
    if ip.is_multicast() {
        return Some("it is a multicast address");
    }
    if ip.is_loopback() {
        return Some("it is a loopback address");
    }
    match (ip, prefix) {
        (IpAddr::V4(v4), _) if v4.octets()[0] == 0 || v4.octets()[0] >= 240 => {
            Some("it is reserved")
        }
        (IpAddr::V6(v6), _) if v6.to_ipv4_mapped().is_some() => {
            Some("it is an IPv4 address in IPv6 notation")
        }
        (IpAddr::V4(v4), Some(length @ 1..=30)) => {
            let net = ipnet::Ipv4Net::new(v4, length).ok()?;
            (v4 == net.network() || v4 == net.broadcast())
                .then_some("it is its subnet's network or broadcast address")
        }
        _ => None,
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix {
            Some(prefix) => write!(f, "{}/{prefix}", self.ip),
            None => self.ip.fmt(f),
        }
    }
}

serde_as_text!(Address);

/// A range of unicast addresses in CIDR notation, without host bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subnet(IpNet);

/// Text that is no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubnetError {
    /// Not in CIDR notation.
    #[error("{text:?} is not a range of addresses")]
    Syntax {
        /// The text given.
        text: String,
    },
    /// An address with a prefix length, not the range it is in.
    #[error("{text:?} has bits set beyond its prefix")]
    HostBits {
        /// The text given.
        text: String,
        /// The range it is in.
        range: IpNet,
        /// The address.
        address: IpAddr,
    },
    /// Addresses no sender has.
    #[error("{text:?} is a range of multicast addresses")]
    Multicast {
        /// The text given.
        text: String,
    },
}

impl SubnetError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Syntax { .. } => {
                "write it in CIDR notation, such as 10.61.9.0/24, or one address, such as 10.61.9.5"
                    .into()
            }
            Self::HostBits { range, address, .. } => {
                format!("write {range} for the whole range, or {address} for the one address")
            }
            Self::Multicast { .. } => "name the addresses the VM sends from".into(),
        })
    }
}

impl From<Subnet> for IpNet {
    fn from(subnet: Subnet) -> Self {
        subnet.0
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let net: IpNet = match text.parse::<IpAddr>() {
            Ok(address) => address.into(),
            Err(_) => text
                .parse()
                .map_err(|_| SubnetError::Syntax { text: text.into() })?,
        };
        if net.trunc() != net {
            return Err(SubnetError::HostBits {
                text: text.into(),
                range: net.trunc(),
                address: net.addr(),
            });
        }
        if net.addr().is_multicast() {
            return Err(SubnetError::Multicast { text: text.into() });
        }
        Ok(Self(net))
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

serde_as_text!(Subnet);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_a_vm_can_have() {
        for text in [
            "10.61.0.50",
            "10.61.0.50/16",
            "fd00::50",
            "fd00::50/64",
            "10.0.0.0/31",
            "10.0.0.255",
            "10.0.0.1/32",
            "fd00::/128",
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn addresses_a_vm_cannot_have() {
        for text in [
            "",
            "here",
            "10.61.0",
            "10.61.0.50/0",
            "10.61.0.50/33",
            "10.61.0.50/+16",
            "10.61.0.50/016",
            "10.61.0.50/",
            "10.61.0.0/16",
            "10.61.255.255/16",
            "0.0.0.0",
            "::",
            "127.0.0.1",
            "::1",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "::ffff:10.0.0.1",
            "fe80::1%eth0",
            "[fd00::1]",
        ] {
            let error = text.parse::<Address>().expect_err(text);
            assert!(error.hint().is_some(), "{error}");
        }
    }

    #[test]
    fn a_prefix_is_compared_where_one_was_asked_for() {
        let given: IpNet = "10.61.0.50/16".parse().expect("an address");
        let met = |text: &str| text.parse::<Address>().expect(text).is_met_by(given);
        assert!(met("10.61.0.50") && met("10.61.0.50/16"));
        assert!(!met("10.61.0.50/24") && !met("10.61.0.51"));
    }

    #[test]
    fn ranges() {
        for (text, shown) in [
            ("10.61.9.0/24", "10.61.9.0/24"),
            ("10.61.9.5", "10.61.9.5/32"),
            ("fd00::/8", "fd00::/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(text.parse::<Subnet>().expect(text).to_string(), shown);
        }
        for text in ["", "10.61.9.0/33", "10.61.9/24", "224.0.0.0/4", "lan"] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
        let bits = "10.61.9.5/24".parse::<Subnet>().expect_err("host bits");
        assert_eq!(
            bits.hint().as_deref(),
            Some("write 10.61.9.0/24 for the whole range, or 10.61.9.5 for the one address")
        );
    }
}
