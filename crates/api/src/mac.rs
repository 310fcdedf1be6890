//! Ethernet addresses.

use std::fmt;
use std::str::FromStr;

use crate::text::{random, serde_as_text};

/// The address of one network interface: unicast, written lower-case with colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac([u8; 6]);

/// Text that is no usable MAC address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MacError {
    /// Not six pairs of hexadecimal digits.
    #[error("{text:?} is not a MAC address")]
    Syntax {
        /// The text given.
        text: String,
    },
    /// A group address, or all zero: no interface can have it.
    #[error("{text:?} is not the MAC address of one interface")]
    NotUnicast {
        /// The text given.
        text: String,
    },
}

impl MacError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Syntax { .. } => {
                    "write six pairs of hexadecimal digits, such as 02:42:0a:3d:00:02"
                }
                Self::NotUnicast { .. } => "make the first byte even, such as 02",
            }
            .into(),
        )
    }
}

impl Mac {
    /// A random unicast address with the locally-administered bit set.
    pub fn random_local() -> Self {
        let mut bytes = random::<6>();
        bytes[0] = (bytes[0] & !0x01) | 0x02;
        Self(bytes)
    }

    /// The six bytes.
    pub fn bytes(self) -> [u8; 6] {
        self.0
    }
}

impl From<[u8; 6]> for Mac {
    /// Takes an address the kernel reported, whatever it is.
    fn from(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let bytes = parse(text).ok_or_else(|| MacError::Syntax { text: text.into() })?;
        if bytes[0] & 1 == 1 || bytes == [0; 6] {
            return Err(MacError::NotUnicast { text: text.into() });
        }
        Ok(Self(bytes))
    }
}

fn parse(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next().filter(|part| part.len() == 2)?;
        hex::decode_to_slice(part, std::slice::from_mut(byte)).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

serde_as_text!(Mac);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_no_interface_can_have() {
        for text in [
            "01:00:5e:00:00:01",
            "ff:ff:ff:ff:ff:ff",
            "00:00:00:00:00:00",
        ] {
            assert!(
                matches!(text.parse::<Mac>(), Err(MacError::NotUnicast { .. })),
                "{text}"
            );
        }
        for text in [
            "",
            "02:42",
            "02:42:0a:3d:00:0",
            "02-42-0a-3d-00-02",
            "02:42:0a:3d:00:02:01",
            "é:42:0a:3d:00:02",
        ] {
            assert!(
                matches!(text.parse::<Mac>(), Err(MacError::Syntax { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn random_addresses_are_local_and_unicast() {
        for _ in 0..64 {
            assert_eq!(Mac::random_local().bytes()[0] & 0x03, 0x02);
        }
    }

    proptest! {
        #[test]
        fn round_trip(mut bytes: [u8; 6]) {
            bytes[0] = (bytes[0] & !1) | 2;
            let mac = Mac::from(bytes);
            prop_assert_eq!(mac.to_string().parse::<Mac>(), Ok(mac));
            prop_assert_eq!(mac.to_string().to_uppercase().parse::<Mac>(), Ok(mac));
        }
    }
}
