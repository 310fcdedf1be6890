//! What can be wrong with a configuration.

use crate::json::JsonError;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not an object, or a member of a wrong type.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A family is enabled and has no network.
    #[error("{field} is missing: it is the network that the subnets of all nodes are taken from")]
    NoNetwork {
        /// The member.
        field: &'static str,
    },
    /// A value that cannot be, or not together with the others.
    #[error("{field} is {value:?}: {reason}")]
    Invalid {
        /// The member.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Neither IPv4 nor IPv6.
    #[error("EnableIPv4 and EnableIPv6 are both false: there is no address to give to anyone")]
    NoFamily,
    /// A backend that nobody has, or none.
    #[error("Backend.Type {kind:?} is not known")]
    UnknownBackend {
        /// The type as it was found; empty if it was missing.
        kind: String,
    },
    /// One of Flannel's backends that we do not have.
    #[error("Backend.Type {kind:?} of Flannel is not supported by Ignite")]
    UnsupportedBackend {
        /// The type.
        kind: &'static str,
    },
}

impl ConfigError {
    /// A value that cannot be.
    pub(crate) fn invalid(
        field: &'static str,
        value: impl ToString,
        reason: impl Into<String>,
    ) -> Self {
        Self::Invalid {
            field,
            value: value.to_string(),
            reason: reason.into(),
        }
    }

    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NoNetwork { .. } => {
                "a configuration looks like {\"Network\":\"10.5.0.0/16\",\"Backend\":{\"Type\":\"vxlan\"}}"
            }
            Self::NoFamily => "leave EnableIPv4 away, or set it to true",
            Self::UnknownBackend { .. } | Self::UnsupportedBackend { .. } => {
                "the supported backends are vxlan, host-gw, wireguard, udp and alloc; all nodes of \
                 a network use the same one"
            }
            Self::Json(_) | Self::Invalid { .. } => return None,
        };
        Some(text.to_owned())
    }
}
