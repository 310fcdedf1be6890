//! Host names: the guest's own, and those its `/etc/hosts` knows besides.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::text::serde_as_text;

/// Most characters of a guest's own name: more its kernel does not keep (`HOST_NAME_MAX`).
pub const MAX_HOSTNAME: usize = 64;

/// Most further hosts of a VM.
pub const MAX_EXTRA_HOSTS: usize = 256;

/// What stands for the address of the VM's gateway.
const GATEWAY: &str = "host-gateway";

/// A host's name: letters, digits, `-` and `_`, in parts between dots. No more than a name is in it, so
/// that it is one word of one line wherever it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostName(String);

/// Text that names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostNameError {
    /// Has a character no host name has, or one in the wrong place, or nothing.
    #[error("{text:?} is no host name")]
    Characters {
        /// The text given.
        text: String,
    },
    /// Longer than a host can be called.
    #[error("the host name {text:?} is too long")]
    TooLong {
        /// The text given.
        text: String,
    },
}

impl HostNameError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Characters { .. } => {
                "use letters, digits, '-', '_' and '.', with a letter or a digit at both ends"
                    .into()
            }
            Self::TooLong { .. } => format!(
                "use up to {} characters, {} between dots",
                HostName::MAX,
                HostName::MAX_LABEL
            ),
        })
    }
}

impl HostName {
    /// Most characters.
    pub const MAX: usize = 253;
    /// Most characters between two dots (RFC 1123).
    pub const MAX_LABEL: usize = 63;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        if !text.split('.').all(is_label) {
            return Err(HostNameError::Characters { text: text.into() });
        }
        if text.len() > Self::MAX || text.split('.').any(|label| label.len() > Self::MAX_LABEL) {
            return Err(HostNameError::TooLong { text: text.into() });
        }
        Ok(Self(text.into()))
    }
}

fn is_label(label: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = label.as_bytes();
    ends(bytes.first())
        && ends(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

serde_as_text!(HostName);

/// A further line of the guest's `/etc/hosts`: `NAME:ADDRESS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraHost {
    /// What it is called there.
    pub name: HostName,
    /// Where it is.
    pub address: HostAddress,
}

/// Where a further host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostAddress {
    /// There.
    At(IpAddr),
    /// Where the VM's gateway is at the start: `host-gateway`.
    Gateway,
}

/// Text that says of no host where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtraHostError {
    /// There are not two parts, or the second is no address.
    #[error("{text:?} does not say which host is where")]
    Form {
        /// The text given.
        text: String,
    },
    /// The first part is no name.
    #[error(transparent)]
    Name(#[from] HostNameError),
}

impl ExtraHostError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Form { .. } => Some(format!(
                "write a name and an address: db:10.0.0.7, db:fd00::7, or db:{GATEWAY} for the VM's gateway"
            )),
            Self::Name(error) => error.hint(),
        }
    }
}

impl FromStr for ExtraHost {
    type Err = ExtraHostError;

    fn from_str(text: &str) -> Result<Self, ExtraHostError> {
        let form = || ExtraHostError::Form { text: text.into() };
        // Docker takes both; no name has either.
        let (name, address) = text.split_once([':', '=']).ok_or_else(form)?;
        let address = match address {
            GATEWAY => HostAddress::Gateway,
            address => {
                let bare = address
                    .strip_prefix('[')
                    .and_then(|it| it.strip_suffix(']'));
                let bare: Option<IpAddr> = bare.unwrap_or(address).parse().ok();
                HostAddress::At(bare.ok_or_else(form)?)
            }
        };
        let name = name.parse()?;
        Ok(Self { name, address })
    }
}

impl fmt::Display for ExtraHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            HostAddress::At(address) => write!(f, "{}:{address}", self.name),
            HostAddress::Gateway => write!(f, "{}:{GATEWAY}", self.name),
        }
    }
}

serde_as_text!(ExtraHost);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_host_name_is_one_word() {
        let long = "a".repeat(63);
        for text in ["a", "DB-1", "my_host.example", &long, "0.a"] {
            assert_eq!(text.parse::<HostName>().expect(text).as_str(), text);
        }
        for text in [
            "",
            ".",
            "a.",
            "-a",
            "a-",
            "_a",
            "a b",
            "a\tb",
            "a\nb",
            "a#b",
            "é",
            "a/b",
            "a:b",
            "a\0",
            "\u{1b}[2J",
        ] {
            let error = text.parse::<HostName>().expect_err(text);
            assert!(matches!(error, HostNameError::Characters { .. }), "{text}");
        }
        for text in ["a".repeat(64), format!("{long}.{long}.{long}.{long}")] {
            let error = text.parse::<HostName>().expect_err(&text);
            assert!(matches!(error, HostNameError::TooLong { .. }), "{text}");
        }
    }

    #[test]
    fn an_extra_host_is_a_name_and_an_address() {
        for (text, shown) in [
            ("db:10.0.0.7", "db:10.0.0.7"),
            ("db=10.0.0.7", "db:10.0.0.7"),
            ("db:fd00::7", "db:fd00::7"),
            ("db:[fd00::7]", "db:fd00::7"),
            ("db:::1", "db:::1"),
            (
                "Host.docker.internal:host-gateway",
                "Host.docker.internal:host-gateway",
            ),
        ] {
            assert_eq!(text.parse::<ExtraHost>().expect(text).to_string(), shown);
        }
        for text in [
            "",
            "db",
            "db:",
            ":10.0.0.7",
            "db:gateway",
            "db:10.0.0",
            "db:10.0.0.7/24",
            "db:a b",
            "db:10.0.0.7\n10.0.0.8 x",
            "a b:10.0.0.7",
            "db:[fd00::7",
            "db:fe80::1%eth0",
            "a\nb:::1",
        ] {
            let error = text.parse::<ExtraHost>().expect_err(text);
            assert!(error.hint().is_some(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_one_line_of_two_words(text in ".*") {
            if let Ok(host) = text.parse::<ExtraHost>() {
                let shown = host.to_string();
                prop_assert!(!shown.contains(|c: char| c.is_whitespace() || c.is_control()));
                prop_assert_eq!(shown.parse::<ExtraHost>(), Ok(host));
            }
        }
    }
}
