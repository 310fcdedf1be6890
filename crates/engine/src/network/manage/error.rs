//! Why a network cannot be looked after.

use std::net::IpAddr;
use std::path::PathBuf;

use ignite_cni::AttachmentId;
use ignite_cni::load::NoNetwork;

use crate::network::tool::EnvironmentError;

/// Errors of looking after networks.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The environment of CNI's tool.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// There is no network at all.
    #[error("there is no network {name:?}: {} holds none", directory.display())]
    None {
        /// The name asked for.
        name: String,
        /// The directory of network configurations.
        directory: PathBuf,
    },
    /// A leaked attachment could not be released.
    #[error("{id} stays attached to network {network}{}", keeps(addresses))]
    Remains {
        /// The network.
        network: String,
        /// The attachment.
        id: AttachmentId,
        /// Addresses that stay taken.
        addresses: Vec<IpAddr>,
        /// Why.
        source: Box<ignite_cni::Error>,
    },
    /// A VM that died could not be released.
    #[error("VM {name} died, and what it had cannot be released")]
    Dead {
        /// Its name.
        name: String,
        /// Why.
        source: Box<crate::Error>,
    },
    /// Leases of host-local.
    #[error(transparent)]
    Lease(#[from] ignite_cni::lease::LeaseError),
    /// The cache of attachments.
    #[error(transparent)]
    Cache(#[from] ignite_cni::cache::CacheError),
    /// The plugins of a network did not collect.
    #[error("the plugins of network {network} cannot remove what belongs to nobody")]
    Collect {
        /// The network.
        network: String,
        /// Why.
        source: Box<ignite_cni::Error>,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        const AGAIN: &str = "ignite network gc";
        match self {
            Self::Environment(error) => error.hint(),
            Self::None { directory, .. } => Some(format!(
                "put a configuration into {}; the first `ignite run` writes one for VMs",
                directory.display()
            )),
            Self::Remains { source, .. } => Some(match source.hint() {
                Some(hint) => format!("{hint}; then finish with: {AGAIN}"),
                None => format!("correct what the plugin says, then finish with: {AGAIN}"),
            }),
            Self::Dead { source, .. } => Some(match source.hint() {
                Some(hint) => format!("{hint}; then finish with: {AGAIN}"),
                None => format!("finish with: {AGAIN}"),
            }),
            Self::Cache(error) => error.hint(),
            Self::Collect { network, .. } => Some(format!(
                "ask its plugins which versions they are: ignite cni version {network}"
            )),
            Self::Lease(_) => None,
        }
    }
}

/// There is no network `name`; where there is none at all, the name is said.
pub(crate) fn no_network(name: &str, missing: NoNetwork) -> crate::network::Error {
    match missing {
        NoNetwork::None {
            directory,
            broken: 0,
        } => {
            let name = name.to_owned();
            crate::network::Error::Manage(Box::new(Error::None { name, directory }))
        }
        missing => crate::network::Error::NoNetwork(missing),
    }
}

fn keeps(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return String::new();
    }
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    format!(" and keeps {}", all.join(", "))
}

impl From<EnvironmentError> for crate::network::Error {
    fn from(error: EnvironmentError) -> Self {
        Self::Manage(Box::new(error.into()))
    }
}
