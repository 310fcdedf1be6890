//! Keys of leases in etcd: what comes after `<prefix>/subnets/`.
//!
//! ```text
//!   10.5.3.0-24                          IPv4
//!   10.5.3.0-24&fd00:5:0:59::-64         dual stack
//! ```
//!
//! Each subnet has exactly one key here: what is read must be what would be written, else a lease
//! could not be renewed or deleted under the key it was found by.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::Subnet;
use crate::json::quoted;

/// Why a key is not a subnet's. Peers skip such keys (or most of them) with a warning, and so do we.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Another shape.
    #[error("{key:?} is not of the form ADDRESS-LENGTH or ADDRESS-LENGTH&IPV6ADDRESS-LENGTH")]
    Form {
        /// The key as it was found.
        key: String,
    },
    /// A part that is no address.
    #[error("{address:?} in {key:?} is not an address")]
    Address {
        /// The key as it was found.
        key: String,
        /// The part.
        address: String,
    },
    /// A part that is no length.
    #[error("{length:?} in {key:?} is not a length from 0 to {most}")]
    Length {
        /// The key as it was found.
        key: String,
        /// The part.
        length: String,
        /// The greatest length there is.
        most: u8,
    },
    /// An address within the subnet. Peers take such a key, but the kernel refuses their route.
    #[error("{key:?} is not the address of a subnet: its key would be {subnet:?}")]
    HostBits {
        /// The key as it was found.
        key: String,
        /// The key of the subnet that the address is in.
        subnet: String,
    },
    /// A subnet spelt in another way than everybody does.
    #[error("{key:?} is spelt differently from {subnet:?}")]
    Spelling {
        /// The key as it was found.
        key: String,
        /// The usual spelling.
        subnet: String,
    },
}

/// The greatest lengths that peers read: five and seven bits.
const MOST_V4: u8 = 31;
const MOST_V6: u8 = 127;

/// No key is longer; the longest has some 70 bytes.
const MAX_BYTES: usize = 128;

/// The key of a subnet.
pub fn format(subnet: &Subnet) -> String {
    let v4 = format!("{}-{}", subnet.v4.network(), subnet.v4.prefix_len());
    match subnet.v6 {
        Some(v6) => format!("{v4}&{}-{}", v6.network(), v6.prefix_len()),
        None => v4,
    }
}

/// The subnet of a key.
pub fn parse(key: &str) -> Result<Subnet, KeyError> {
    let (v4, v6) = match key.split_once('&') {
        Some((v4, v6)) => (v4, Some(v6)),
        None => (key, None),
    };
    if key.len() > MAX_BYTES {
        return Err(form(key));
    }
    let (address, length) = halves(key, v4)?;
    let (address, length): (Ipv4Addr, u8) = (
        self::address(key, address)?,
        self::length(key, length, MOST_V4)?,
    );
    let mut found = Subnet {
        v4: Ipv4Net::new(address, length).map_err(|_| form(key))?,
        v6: None,
    };
    if let Some(v6) = v6 {
        let (address, length) = halves(key, v6)?;
        // Peers know no capital letters, and no IPv4 address at the end.
        let plain = |c: char| matches!(c, '0'..='9' | 'a'..='f' | ':');
        if !address.chars().all(plain) {
            return Err(not_an_address(key, address));
        }
        let (address, length): (Ipv6Addr, u8) = (
            self::address(key, address)?,
            self::length(key, length, MOST_V6)?,
        );
        found.v6 = Some(Ipv6Net::new(address, length).map_err(|_| form(key))?);
    }
    canonical(key, found)
}

/// Refuses what [`format`] would not write.
fn canonical(key: &str, found: Subnet) -> Result<Subnet, KeyError> {
    let subnet = Subnet {
        v4: found.v4.trunc(),
        v6: found.v6.map(|v6| v6.trunc()),
    };
    let written = format(&subnet);
    if written == key {
        return Ok(subnet);
    }
    let (key, subnet_key) = (quoted(key), written);
    Err(if subnet == found {
        KeyError::Spelling {
            key,
            subnet: subnet_key,
        }
    } else {
        KeyError::HostBits {
            key,
            subnet: subnet_key,
        }
    })
}

fn halves<'a>(key: &str, part: &'a str) -> Result<(&'a str, &'a str), KeyError> {
    part.split_once('-').ok_or_else(|| form(key))
}

fn address<A: std::str::FromStr>(key: &str, text: &str) -> Result<A, KeyError> {
    text.parse().map_err(|_| not_an_address(key, text))
}

fn length(key: &str, text: &str, most: u8) -> Result<u8, KeyError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let length = text.parse().ok().filter(|length| digits && *length <= most);
    length.ok_or_else(|| KeyError::Length {
        key: quoted(key),
        length: quoted(text),
        most,
    })
}

fn form(key: &str) -> KeyError {
    KeyError::Form { key: quoted(key) }
}

fn not_an_address(key: &str, address: &str) -> KeyError {
    KeyError::Address {
        key: quoted(key),
        address: quoted(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn subnet(v4: &str, v6: Option<&str>) -> Subnet {
        Subnet {
            v4: v4.parse().expect("a network"),
            v6: v6.map(|v6| v6.parse().expect("a network")),
        }
    }

    #[test]
    fn keys_of_peers_are_read_and_written() {
        for (key, expected) in [
            ("10.12.13.0-24", subnet("10.12.13.0/24", None)),
            (
                "10.12.13.0-24&fd00:12:13::-56",
                subnet("10.12.13.0/24", Some("fd00:12:13::/56")),
            ),
            (
                "10.5.3.0-24&fd00:5:0:59::-64",
                subnet("10.5.3.0/24", Some("fd00:5:0:59::/64")),
            ),
            ("10.5.3.2-31", subnet("10.5.3.2/31", None)),
            // What a flanneld writes that has IPv6 alone.
            (
                "0.0.0.0-0&fc00:0:0:7::-64",
                subnet("0.0.0.0/0", Some("fc00:0:0:7::/64")),
            ),
            (
                "10.5.3.0-24&fd00::2-127",
                subnet("10.5.3.0/24", Some("fd00::2/127")),
            ),
        ] {
            assert_eq!(parse(key).as_ref(), Ok(&expected), "{key}");
            assert_eq!(format(&expected), key);
        }
    }

    #[test]
    fn what_peers_reject_is_rejected() {
        for key in [
            "",
            "10",
            "10.12.13.0",
            "10.12.13-24",
            "10.12.13.300-24",
            "10.12.13.0-24hi",
            "&2001::-56",
            "10.12.13.0-24&:12:13:-56",
            "10.12.13.0-24&20011::-56",
            "10.12.13.0-24&2001-56",
            "10.12.13.0-24&2001::",
            "10.12.13.0-24&2001::-56hi",
            "10.12.13.0-32",
            "10.12.13.0-+24",
            "10.12.13.0-",
            "10.12.13.0-256",
            "10.12.13.0-24&2001::-128",
            "10.12.13.0-24&FD00::-64",
            "10.12.13.0-24&::ffff:10.1.0.0-112",
            "10.12.13.0-24&",
            "10.12.13.0-24/x",
        ] {
            assert!(parse(key).is_err(), "{key}");
        }
        assert!(
            matches!(parse(&"1".repeat(1 << 20)), Err(KeyError::Form { key }) if key.len() == 100)
        );
    }

    #[test]
    fn addresses_within_a_subnet_are_no_keys() {
        let error = parse("10.5.207.5-24").expect_err("host bits");
        assert!(matches!(&error, KeyError::HostBits { subnet, .. } if subnet == "10.5.207.0-24"));
        let error = parse("10.5.2.0-24&fd00::1-64").expect_err("host bits");
        assert_eq!(
            error.to_string(),
            "\"10.5.2.0-24&fd00::1-64\" is not the address of a subnet: its key would be \"10.5.2.0-24&fd00::-64\""
        );
    }

    #[test]
    fn other_spellings_are_no_keys() {
        for key in [
            "10.5.2.0-024",
            "10.5.2.0-24&fd00:0:0:0::-64",
            "10.5.2.0-24&fd00::-064",
        ] {
            assert!(
                matches!(parse(key), Err(KeyError::Spelling { .. })),
                "{key}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_key_is_read_as_it_was_written(
            v4 in any::<u32>(), l4 in 0..=MOST_V4, v6 in any::<[u16; 8]>(), zeros in any::<u8>(),
            l6 in 0..=MOST_V6, dual in any::<bool>(),
        ) {
            // Groups of zeros are what is abbreviated.
            let groups = std::array::from_fn(|i| if zeros >> i & 1 == 1 { 0 } else { v6[i] });
            let v6 = Ipv6Net::new(Ipv6Addr::from(groups), l6).expect("a length").trunc();
            let mapped = v6.network().to_ipv4_mapped().is_some();
            let v4 = Ipv4Net::new(Ipv4Addr::from(v4), l4).expect("a length").trunc();
            let subnet = Subnet { v4, v6: (dual && !mapped).then_some(v6) };
            prop_assert_eq!(parse(&format(&subnet)), Ok(subnet));
        }

        #[test]
        fn no_text_panics(text in "[0-9a-f.:&-]{0,40}", any in ".{0,40}") {
            for text in [text, any] {
                if let Ok(subnet) = parse(&text) {
                    prop_assert_eq!(format(&subnet), text);
                }
            }
        }
    }
}
