//! Which network plugin connects a VM.

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

/// The value of `--network-plugin`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum NetworkPlugin {
    /// Networks of the Container Network Interface.
    #[default]
    Cni,
    /// The bridge of a Docker Engine (deprecated).
    DockerBridge,
}

/// Text that names no network plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no network plugin {text:?}")]
pub struct NetworkPluginError {
    text: String,
}

impl NetworkPluginError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some("choose cni or docker-bridge; a CNI network is chosen with --network".into())
    }
}

impl NetworkPlugin {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Cni, Self::DockerBridge];

    /// As written in flags and manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cni => "cni",
            Self::DockerBridge => "docker-bridge",
        }
    }
}

impl FromStr for NetworkPlugin {
    type Err = NetworkPluginError;

    fn from_str(text: &str) -> Result<Self, NetworkPluginError> {
        Self::ALL
            .into_iter()
            .find(|plugin| plugin.as_str() == text)
            .ok_or_else(|| NetworkPluginError { text: text.into() })
    }
}

impl fmt::Display for NetworkPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

serde_as_text!(NetworkPlugin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plugin_is_read_as_it_is_written() {
        for plugin in NetworkPlugin::ALL {
            assert_eq!(plugin.to_string().parse(), Ok(plugin));
        }
        assert!("CNI".parse::<NetworkPlugin>().is_err());
    }
}
