//! Names of networks and of interfaces.

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

/// The longest name of a network: it becomes part of a file's name, beside a container id.
const MAX_NETWORK: usize = 128;

/// The longest name of an interface (`IFNAMSIZ`, without the NUL).
const MAX_INTERFACE: usize = 15;

/// Names with a meaning of their own, in the guest or in the sandbox.
const RESERVED: [&str; 3] = ["lo", "all", "default"];

/// The name of a CNI network: what its configuration says as `name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkName(String);

/// Text that can be no network's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the name of a network")]
pub struct NetworkNameError {
    text: String,
}

impl NetworkNameError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let file = self.text.contains('/') || self.text.ends_with(".conflist");
        Some(if file {
            "give the network's name as its file has it under \"name\", not the file".into()
        } else {
            format!(
                "a name begins with a letter or a digit, then letters, digits, '_', '.' and '-', at most {MAX_NETWORK} in all"
            )
        })
    }
}

impl NetworkName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NetworkName {
    type Err = NetworkNameError;

    fn from_str(text: &str) -> Result<Self, NetworkNameError> {
        if is_identifier(text, MAX_NETWORK) {
            Ok(Self(text.into()))
        } else {
            Err(NetworkNameError { text: text.into() })
        }
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

serde_as_text!(NetworkName);

/// The name of an interface, the same in the sandbox and in the guest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceName(String);

/// Text that can be no interface's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterfaceNameError {
    /// Not what an interface can be called.
    #[error("{text:?} is not the name of an interface")]
    Syntax {
        /// The text given.
        text: String,
    },
    /// It means something else already.
    #[error("no interface of a VM can be called {text}")]
    Reserved {
        /// The text given.
        text: String,
    },
}

impl InterfaceNameError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Syntax { .. } => format!(
                "a name begins with a letter or a digit, then letters, digits, '_', '.' and '-', at most {MAX_INTERFACE} in all, such as eth1"
            ),
            Self::Reserved { .. } => "choose another, such as eth1".into(),
        })
    }
}

impl InterfaceName {
    /// The name of the interface of this number, where none is given: `eth0`, `eth1`, ...
    pub fn numbered(index: usize) -> Self {
        Self(format!("eth{index}"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InterfaceName {
    type Err = InterfaceNameError;

    fn from_str(text: &str) -> Result<Self, InterfaceNameError> {
        if !is_identifier(text, MAX_INTERFACE) {
            return Err(InterfaceNameError::Syntax { text: text.into() });
        }
        // The sandbox has the taps beside the interfaces; the guest renames by way of `ignite<index>`.
        let numbered = ["tap", "ignite"].into_iter().any(|stem| {
            text.strip_prefix(stem)
                .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
        });
        if numbered || RESERVED.contains(&text) {
            return Err(InterfaceNameError::Reserved { text: text.into() });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

serde_as_text!(InterfaceName);

/// `[A-Za-z0-9][A-Za-z0-9_.-]*`, as CNI has it for names: no path, no option, no separator.
fn is_identifier(text: &str, longest: usize) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    text.len() <= longest
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_networks() {
        for text in ["lan", "k8s-pod-network", "cbr0", "a.b_c", "0"] {
            assert_eq!(text.parse::<NetworkName>().expect(text).to_string(), text);
        }
        for text in [
            "",
            "..",
            ".lan",
            "-lan",
            "a/b",
            "a b",
            "a:b",
            "a,b",
            "ü",
            "../net.d/x",
            &"a".repeat(129),
        ] {
            assert!(text.parse::<NetworkName>().is_err(), "{text}");
        }
        let file = "/etc/cni/net.d/10-lan.conflist".parse::<NetworkName>();
        let hint = file.expect_err("a file").hint().expect("a hint");
        assert!(hint.contains("not the file"), "{hint}");
    }

    #[test]
    fn names_of_interfaces() {
        for text in ["eth0", "net1", "eth0.5", "tapestry", "a23456789012345"] {
            assert_eq!(text.parse::<InterfaceName>().expect(text).to_string(), text);
        }
        for text in ["", ".", "..", "a/b", "a:b", "eth 0", "a234567890123456"] {
            assert!(
                matches!(
                    text.parse::<InterfaceName>(),
                    Err(InterfaceNameError::Syntax { .. })
                ),
                "{text}"
            );
        }
        for text in ["lo", "all", "default", "tap0", "tap", "ignite3"] {
            assert!(
                matches!(
                    text.parse::<InterfaceName>(),
                    Err(InterfaceNameError::Reserved { .. })
                ),
                "{text}"
            );
        }
    }
}
