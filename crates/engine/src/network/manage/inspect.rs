//! `network inspect`: all that is known of a network.

use std::path::PathBuf;

use ignite_cni::Networks;
use ignite_cni::load::NoNetwork;
use serde::Serialize;
use serde_json::Value;

use super::survey::{AttachmentLine, Known};
use super::{Readiness, ipam_of, no_network};
use crate::{Engine, Error};

/// One network, whole.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkDetail {
    /// Its name.
    pub name: String,
    /// Its file; none where it is gone and only attachments are left.
    pub file: Option<PathBuf>,
    /// Whether it is the one VMs get unless told otherwise.
    pub default: bool,
    /// Version of the specification its plugins are called with.
    pub cni_version: String,
    /// Whether it would take anyone now.
    pub status: Readiness,
    /// Whether CHECK is switched off.
    pub disable_check: bool,
    /// Whether GC is switched off.
    #[serde(rename = "disableGC")]
    pub disable_gc: bool,
    /// Its plugins, in the order of ADD.
    pub plugins: Vec<PluginDetail>,
    /// Where host-local keeps its leases, if it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leases: Option<PathBuf>,
    /// Who is attached.
    pub attachments: Vec<AttachmentLine>,
    /// Its configuration as it is executed, plugins of its directory included.
    pub configuration: Value,
}

/// One plugin of a network.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginDetail {
    /// Its type.
    pub r#type: String,
    /// Its program; none where there is none.
    pub program: Option<PathBuf>,
    /// Type of its address plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipam: Option<String>,
    /// Capabilities it takes.
    pub capabilities: Vec<String>,
}

impl Engine {
    /// The network of this name; and what could not be read, in words.
    pub fn network(&self, name: &str) -> Result<(NetworkDetail, Vec<String>), Error> {
        let survey = self.survey()?;
        let known = survey
            .networks
            .iter()
            .find(|known| known.config.name == name);
        match known {
            Some(known) => Ok((self.detail(known), survey.faults)),
            None => Err(self.missing(name)),
        }
    }

    /// Says which networks there are.
    fn missing(&self, name: &str) -> Error {
        let directory = self.config.paths.cni_conf.clone();
        let (networks, _) = Networks::load(&directory);
        let missing = networks.by_name(name).err();
        // Written in this moment, if it is there now.
        let missing = missing.unwrap_or(NoNetwork::None {
            directory,
            broken: 0,
        });
        no_network(name, missing).into()
    }

    fn detail(&self, known: &Known) -> NetworkDetail {
        let config = &known.config;
        let plugins: Vec<PluginDetail> = config
            .plugins
            .iter()
            .map(|plugin| PluginDetail {
                r#type: plugin.kind.clone(),
                program: self.config.cni.find(&plugin.kind).ok(),
                ipam: ipam_of(plugin).map(str::to_owned),
                capabilities: plugin.capabilities.iter().cloned().collect(),
            })
            .collect();
        let leases = plugins
            .iter()
            .any(|plugin| plugin.ipam.as_deref() == Some("host-local"))
            .then(|| ignite_cni::lease::directory(config));
        NetworkDetail {
            name: config.name.clone(),
            file: config.file.clone(),
            default: known.is_default,
            cni_version: config.cni_version.clone(),
            status: self.readiness(known),
            disable_check: config.disable_check,
            disable_gc: config.disable_gc,
            plugins,
            leases,
            attachments: known.attachments.clone(),
            configuration: serde_json::from_slice(&config.cache_bytes()).unwrap_or_default(),
        }
    }
}
