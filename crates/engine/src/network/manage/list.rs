//! `network ls`: the networks, a line each.

use std::path::PathBuf;

use ignite_cni::NetworkConfig;
use ignite_cni::runtime::Runtime;
use serde::Serialize;

use super::survey::Known;
use crate::{Engine, Error};

/// One network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkLine {
    /// Its name.
    pub name: String,
    /// Its file; none where it is gone and only attachments are left.
    pub file: Option<PathBuf>,
    /// Whether it is the one VMs get unless told otherwise.
    pub default: bool,
    /// Types of its plugins, in the order of ADD.
    pub plugins: Vec<String>,
    /// Version of the specification its plugins are called with.
    pub cni_version: String,
    /// Whether it would take anyone now.
    pub status: Readiness,
    /// How many are attached.
    pub attachments: usize,
}

/// Whether a network would take anyone now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Readiness {
    /// It would.
    Ready,
    /// It would not.
    NotReady {
        /// Why, in its own words.
        reason: String,
    },
    /// It cannot be asked: its version is older than 1.1.0, its file is gone, or we are not root.
    Unknown,
}

impl Engine {
    /// The networks of this host; and what could not be read, in words.
    pub fn networks(&self) -> Result<(Vec<NetworkLine>, Vec<String>), Error> {
        let survey = self.survey()?;
        let lines = survey.networks.iter().map(|known| self.line(known));
        Ok((lines.collect(), survey.faults))
    }

    fn line(&self, known: &Known) -> NetworkLine {
        let config = &known.config;
        NetworkLine {
            name: config.name.clone(),
            file: config.file.clone(),
            default: known.is_default,
            plugins: config
                .plugins
                .iter()
                .map(|plugin| plugin.kind.clone())
                .collect(),
            cni_version: config.cni_version.clone(),
            status: self.readiness(known),
            attachments: known.attachments.len(),
        }
    }

    /// Asks a network by STATUS: a process for each plugin, where it can be asked at all.
    pub(super) fn readiness(&self, known: &Known) -> Readiness {
        readiness(&self.config.cni, &known.config)
    }
}

/// Asks a network by STATUS: a process for each plugin, where it can be asked at all.
pub(crate) fn readiness(runtime: &Runtime, config: &NetworkConfig) -> Readiness {
    let can_be_asked = config
        .version()
        .is_ok_and(ignite_cni::Version::has_gc_and_status);
    if !can_be_asked || config.file.is_none() || !rustix::process::geteuid().is_root() {
        return Readiness::Unknown;
    }
    match runtime.status(config) {
        Ok(_) => Readiness::Ready,
        Err(error) => Readiness::NotReady {
            reason: ignite_cni::error::chain(&error),
        },
    }
}
