//! What is attached: one interface of one container, and the rules its names
//! must keep before a plugin sees them.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::args::{self, ArgsError, Pairs};
use crate::json::Object;

/// Everything a plugin is told about an attachment, besides the configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attachment {
    /// Container ID.
    pub container_id: String,
    /// Path of the network namespace. May be empty on DEL, when it is gone.
    pub netns: PathBuf,
    /// Name of the interface inside the namespace.
    pub ifname: String,
    /// `CNI_ARGS`, in order; see [`crate::args`].
    pub args: Pairs,
    /// Capability arguments; see [`crate::capability`].
    pub capabilities: Object,
}

/// The identity of an attachment within one network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttachmentId {
    /// Container ID.
    #[serde(rename = "containerID")]
    pub container_id: String,
    /// Name of the interface inside the namespace.
    pub ifname: String,
}

impl fmt::Display for AttachmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.container_id, self.ifname)
    }
}

impl Attachment {
    /// An attachment without arguments.
    pub fn new(
        container_id: impl Into<String>,
        netns: impl Into<PathBuf>,
        ifname: impl Into<String>,
    ) -> Self {
        Self {
            container_id: container_id.into(),
            netns: netns.into(),
            ifname: ifname.into(),
            ..Self::default()
        }
    }

    /// Its identity.
    pub fn id(&self) -> AttachmentId {
        AttachmentId {
            container_id: self.container_id.clone(),
            ifname: self.ifname.clone(),
        }
    }

    /// Checks the names before an ADD, in the order the reference does:
    /// container ID, network name, interface name. DEL and CHECK do not ask, so
    /// that an old attachment stays deletable.
    pub fn validate(&self, network: &str) -> Result<(), Invalid> {
        if self.container_id.is_empty() {
            return Err(Invalid::NoContainerId);
        }
        if !is_identifier(&self.container_id) {
            return Err(Invalid::ContainerId {
                id: self.container_id.clone(),
            });
        }
        validate_network_name(network)?;
        validate_ifname(&self.ifname)?;
        args::encode(&self.args)?;
        Ok(())
    }
}

/// A name the specification does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Error code 3.
    #[error("missing container ID")]
    NoContainerId,
    /// Error code 4.
    #[error(
        "invalid characters in container ID {id:?}: a letter or digit, then letters, digits, '_', '.', '-'"
    )]
    ContainerId {
        /// The ID as it was given.
        id: String,
    },
    /// Error code 7.
    #[error("missing network name")]
    NoNetworkName,
    /// Error code 7.
    #[error(
        "invalid characters in network name {name:?}: a letter or digit, then letters, digits, '_', '.', '-'"
    )]
    NetworkName {
        /// The name as it was given.
        name: String,
    },
    /// Error code 4.
    #[error("invalid interface name {name:?}: {reason}")]
    Ifname {
        /// The name as it was given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Error code 4.
    #[error(transparent)]
    Args(#[from] ArgsError),
}

impl Invalid {
    /// The error code of the CNI specification.
    pub fn code(&self) -> u32 {
        match self {
            Self::NoContainerId => 3,
            Self::NoNetworkName | Self::NetworkName { .. } => 7,
            Self::ContainerId { .. } | Self::Ifname { .. } | Self::Args(_) => 4,
        }
    }
}

/// `[A-Za-z0-9][A-Za-z0-9_.-]*`
fn is_identifier(text: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.bytes().all(rest)
}

/// The container ID that CNI's own tool makes of the (absolute) path of a
/// namespace, so that each of us can release what the other attached.
pub fn container_id_of(netns: &Path) -> String {
    let path = netns.to_string_lossy();
    format!("cnitool-{}", crate::leak::digest(&[&path], 20))
}

/// Checks a network's name.
pub fn validate_network_name(name: &str) -> Result<(), Invalid> {
    match name {
        "" => Err(Invalid::NoNetworkName),
        _ if is_identifier(name) => Ok(()),
        _ => Err(Invalid::NetworkName {
            name: name.chars().take(100).collect(),
        }),
    }
}

/// Checks an interface's name by the kernel's rules.
pub fn validate_ifname(name: &str) -> Result<(), Invalid> {
    let reason = match name {
        "" => "it is empty",
        "." | ".." => "it is a directory's name",
        _ if name.len() > 15 => "it is longer than 15 bytes",
        _ if name.contains(['/', ':']) => "it contains '/' or ':'",
        _ if name.contains(|c: char| c.is_whitespace() || c == '\0') => "it contains a blank",
        _ => return Ok(()),
    };
    Err(Invalid::Ifname {
        name: name.chars().take(64).collect(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(container_id: &str, network: &str, ifname: &str) -> Option<u32> {
        let attachment = Attachment::new(container_id, "/run/netns/x", ifname);
        attachment.validate(network).err().map(|error| error.code())
    }

    #[test]
    fn the_tools_container_id_comes_from_the_namespace() {
        // printf /var/run/netns/test | sha512sum
        let id = container_id_of(Path::new("/var/run/netns/test"));
        assert_eq!(id, "cnitool-7b8a61d5d8e94d07cbe4");
        assert!(is_identifier(&id));
    }

    #[test]
    fn codes_follow_the_specification() {
        assert_eq!(verdict("c-1_2.3", "net", "eth0"), None);
        assert_eq!(verdict("", "net", "eth0"), Some(3));
        for bad in ["-c", "a/b", "a b", "ä", ".."] {
            assert_eq!(verdict(bad, "net", "eth0"), Some(4), "{bad}");
        }
        for bad in ["", "../x", "a b"] {
            assert_eq!(verdict("c", bad, "eth0"), Some(7), "{bad}");
        }
        for bad in [
            "",
            "1234567890123456",
            ".",
            "..",
            "a/b",
            "a:b",
            "a b",
            "a\u{2003}b",
        ] {
            assert_eq!(verdict("c", "net", bad), Some(4), "{bad}");
        }
    }
}
