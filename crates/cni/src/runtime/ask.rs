//! STATUS and VERSION: questions that change nothing.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::{Run, Runtime, Step, version_of};
use crate::config::NetworkConfig;
use crate::error::{Command, Error};
use crate::exec::{self, ExecError, Variable};
use crate::stdin::Extra;
use crate::version::{self, NEWEST, OLDEST};

/// What plugins of the first versions say to VERSION.
const NO_VERSION_COMMAND: &str = "unknown CNI_COMMAND: VERSION";

impl Runtime {
    /// Asks every plugin in order whether ADD could be served now; the first that
    /// says no is the answer, its code in [`Error::code`]. Below 1.1.0 nobody can
    /// be asked, and all is well.
    pub fn status(&self, network: &NetworkConfig) -> Result<Vec<Run>, Error> {
        if !version_of(network)?.has_gc_and_status() {
            return Ok(Vec::new());
        }
        Step::all(network, Command::Status)
            .map(|step| Ok(self.call(&step, None, Extra::Nothing)?.run))
            .collect()
    }

    /// The versions a plugin supports, as it spells them. Plugins too old to know
    /// the question support 0.1.0.
    pub fn versions(&self, plugin: &str) -> Result<Vec<String>, Error> {
        let failed = |source| Error::Plugin {
            network: "(none)".to_owned(),
            plugin: plugin.to_owned(),
            command: Command::Version,
            source: Box::new(source),
        };
        let path = self.find(plugin).map_err(failed)?;
        let variables = exec::environment(std::env::vars_os(), version_variables());
        let stdin = format!(r#"{{"cniVersion":"{NEWEST}"}}"#);
        match self
            .program(&path)
            .run(Command::Version, &variables, stdin.as_bytes())
        {
            Ok(ran) => version::parse_reply(&ran.stdout).map_err(|source| Error::Reply {
                plugin: plugin.to_owned(),
                source,
            }),
            Err(ExecError::Reported(error)) if error.msg == NO_VERSION_COMMAND => {
                Ok(vec![OLDEST.to_string()])
            }
            Err(source) => Err(failed(source)),
        }
    }

    /// Whether every plugin of a network is there and speaks its version. Returns
    /// the capabilities the network takes, or all that is wrong.
    pub fn validate(&self, network: &NetworkConfig) -> Result<BTreeSet<String>, Error> {
        let wanted = match network.cni_version.as_str() {
            "" => OLDEST.to_string(),
            version => version.to_owned(),
        };
        let mut errors = Vec::new();
        for plugin in &network.plugins {
            match self.versions(&plugin.kind) {
                Ok(supported) if supported.contains(&wanted) => {}
                Ok(supported) => errors.push(Error::PluginVersion {
                    network: network.name.clone(),
                    plugin: plugin.kind.clone(),
                    version: wanted.clone(),
                    supported,
                }),
                Err(error) => errors.push(in_network(error, &network.name)),
            }
        }
        Error::several(errors)?;
        Ok(network
            .capabilities()
            .into_iter()
            .map(str::to_owned)
            .collect())
    }
}

/// The same error, with the network that was asked about.
fn in_network(error: Error, name: &str) -> Error {
    match error {
        Error::Plugin {
            plugin,
            command,
            source,
            ..
        } => Error::Plugin {
            network: name.to_owned(),
            plugin,
            command,
            source,
        },
        other => other,
    }
}

/// VERSION needs only its command; old plugins insist on the rest being there.
fn version_variables() -> Vec<Variable> {
    [
        ("CNI_COMMAND", "VERSION"),
        ("CNI_CONTAINERID", ""),
        ("CNI_NETNS", "dummy"),
        ("CNI_IFNAME", "dummy"),
        ("CNI_ARGS", ""),
        ("CNI_PATH", "dummy"),
    ]
    .map(|(name, value)| (OsString::from(name), OsString::from(value)))
    .to_vec()
}
