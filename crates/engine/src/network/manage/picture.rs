//! The networks as a picture shows them, looked at every second: who is on them, and no process run.

use serde::Serialize;

use super::AttachmentLine;
use super::survey::Known;
use crate::{Engine, Error};

/// A network and who is on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkSeen {
    /// Its name.
    pub name: String,
    /// Whether it is the one VMs get unless told otherwise.
    pub default: bool,
    /// Whether its file is gone, and only attachments are left.
    pub gone: bool,
    /// Types of its plugins, in the order of ADD.
    pub plugins: Vec<String>,
    /// Who is attached, VMs first.
    pub attachments: Vec<AttachmentLine>,
}

impl Engine {
    /// The networks of this host with who is on them; and what could not be read, in words.
    pub fn networks_seen(&self) -> Result<(Vec<NetworkSeen>, Vec<String>), Error> {
        let survey = self.survey()?;
        let seen = survey.networks.into_iter().map(NetworkSeen::from);
        Ok((seen.collect(), survey.faults))
    }
}

impl From<Known> for NetworkSeen {
    fn from(known: Known) -> Self {
        let plugins = known.config.plugins.into_iter();
        Self {
            name: known.config.name,
            default: known.is_default,
            gone: known.config.file.is_none(),
            plugins: plugins.map(|plugin| plugin.kind).collect(),
            attachments: known.attachments,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_cni::NetworkConfig;

    #[test]
    fn a_network_whose_file_is_gone_says_so() {
        let text = r#"{"name":"lan","plugins":[{"type":"bridge"},{"type":"portmap"}]}"#;
        let known = Known {
            config: NetworkConfig::parse_list(text.as_bytes()).expect("well formed"),
            is_default: false,
            attachments: Vec::new(),
        };
        let seen = NetworkSeen::from(known);
        assert_eq!((seen.name.as_str(), seen.gone), ("lan", true));
        assert_eq!(seen.plugins, ["bridge", "portmap"]);
    }
}
