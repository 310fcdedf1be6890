//! CNI's own tool, for any namespace: the runtime without a VM.
//!
//! ```text
//!  environment, network, namespace --> container's lock --> network's lock --> runtime
//! ```
//! What libcni's tool leaves out is done here as anywhere else: locks, roll-back, a configuration
//! that is gone, rules that outlive DEL. Nothing is recorded but libcni's cache.

mod environment;
mod lock;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignite_cni::cache::Filter;
use ignite_cni::leak::{self, Subject};
use ignite_cni::runtime::{Run, Runtime};
use ignite_cni::{Attachment, AttachmentId, NetworkConfig, Networks, attachment};
use ignite_store::{Liveness, NetworkLock};
use serde::Serialize;
use serde_json::Value;

pub use environment::{Error as EnvironmentError, ToolEnvironment};

use self::lock::ContainerLock;
use super::Error as NetworkError;
use super::manage::{addresses_of, ours};
use crate::{Engine, Error, Report};

/// The tool, with its environment.
pub struct Tool<'a> {
    engine: &'a Engine,
    environment: ToolEnvironment,
    runtime: Runtime,
    report: &'a dyn Report,
}

/// The answer to STATUS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolStatus {
    /// Every plugin would serve an ADD.
    Ready,
    /// The network's version has no STATUS.
    CannotBeAsked {
        /// Its version.
        version: String,
    },
}

/// What one plugin says of itself.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginVersions {
    /// Its type.
    pub plugin: String,
    /// Its program.
    pub program: Option<PathBuf>,
    /// The versions of the specification it speaks.
    pub versions: Vec<String>,
    /// Why it cannot say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Engine {
    /// CNI's own tool.
    pub fn cni_tool<'a>(
        &'a self,
        environment: ToolEnvironment,
        report: &'a dyn Report,
    ) -> Tool<'a> {
        let mut runtime = self.config.cni.clone();
        if let Some(directories) = &environment.bin_dirs {
            runtime.bin_dirs.clone_from(directories);
        }
        Tool {
            engine: self,
            environment,
            runtime,
            report,
        }
    }
}

impl Tool<'_> {
    /// ADD: attaches the namespace; returns the result.
    pub fn add(&self, network: &str, netns: &Path) -> Result<Value, Error> {
        let network = self.network(network)?;
        let attachment = self.attachment(netns)?;
        let lock = ContainerLock::wait(self, &attachment.container_id)?;
        let _shared = NetworkLock::shared(&self.engine.config.paths, &network.name)?;
        let added = self
            .runtime(&lock)?
            .add(&network, &attachment)
            .map_err(NetworkError::Cni)?;
        self.forward(&added.runs);
        Ok(added.raw)
    }

    /// CHECK: fails if the attachment is no longer as it was made.
    pub fn check(&self, network: &str, netns: &Path) -> Result<(), Error> {
        let network = self.network(network)?;
        let attachment = self.attachment(netns)?;
        let lock = ContainerLock::wait(self, &attachment.container_id)?;
        let _shared = NetworkLock::shared(&self.engine.config.paths, &network.name)?;
        let runs = self
            .runtime(&lock)?
            .check(&network, &attachment)
            .map_err(NetworkError::Cni)?;
        self.forward(&runs);
        Ok(())
    }

    /// DEL: detaches the namespace, whether or not it is still there. A network whose file is gone is
    /// taken from the cache.
    pub fn del(&self, network: &str, netns: &Path) -> Result<(), Error> {
        let attachment = self.attachment(netns)?;
        let id = attachment.id();
        let lock = ContainerLock::wait(self, &id.container_id)?;
        let _shared = NetworkLock::shared(&self.engine.config.paths, network)?;
        let runtime = self.runtime(&lock)?;
        // What cannot be read is done without, by DEL as well.
        let cached = runtime.cached(network, &id).ok().flatten();
        let addresses = cached.as_ref().map(addresses_of).unwrap_or_default();
        let whole =
            cached.is_some() && ours::is_whole(&attachment.netns, &attachment.ifname, &addresses);
        let deleted = match self.network(network) {
            Ok(config) => runtime.del(&config, &attachment),
            Err(_) if cached.is_some() => runtime.del_cached(network, &id),
            Err(missing) => return Err(missing),
        };
        self.forward(&deleted.map_err(NetworkError::Cni)?);
        if !whole {
            self.remove_leaks(network, &id)?;
        }
        Ok(())
    }

    /// GC: releases every cached attachment of the network, but for `keep` and those of VMs, and lets
    /// the plugins do the same. Returns what was released, and whether that is all.
    pub fn gc(
        &self,
        network: &str,
        keep: &[AttachmentId],
    ) -> Result<(Vec<AttachmentId>, Result<(), Error>), Error> {
        let network = self.network(network)?;
        let _alone = NetworkLock::exclusive(&self.engine.config.paths, &network.name)?;
        let mut valid = self.engine.recorded_attachments(&network.name)?;
        valid.extend(keep.iter().cloned());
        valid.extend(self.of_living_vms(&network.name)?);
        let collected = self.runtime.gc(&network, &valid);
        self.forward(&collected.runs);
        let all = ignite_cni::Error::several(collected.errors);
        Ok((
            collected.released,
            all.map_err(|error| NetworkError::Cni(error).into()),
        ))
    }

    /// Attachments of VMs that live, whoever's they are: another data directory has VMs of its own, and
    /// shares the cache.
    fn of_living_vms(&self, network: &str) -> Result<Vec<AttachmentId>, Error> {
        let entries = self.runtime.stale(network, &BTreeSet::new());
        let entries = entries.map_err(NetworkError::Cni)?;
        let ids = entries.iter().map(|entry| entry.attachment.id());
        let lives = |id: &AttachmentId| {
            ours::uid(&id.container_id).is_some_and(|uid| {
                Liveness::is_held(&self.engine.config.paths, uid).unwrap_or(true)
            })
        };
        Ok(ids.filter(lives).collect())
    }

    /// STATUS: fails if the network takes nobody now.
    pub fn status(&self, network: &str) -> Result<ToolStatus, Error> {
        let network = self.network(network)?;
        self.forward(&self.runtime.status(&network).map_err(NetworkError::Cni)?);
        let can_be_asked = network
            .version()
            .is_ok_and(ignite_cni::Version::has_gc_and_status);
        Ok(match can_be_asked {
            true => ToolStatus::Ready,
            false => ToolStatus::CannotBeAsked {
                version: network.cni_version,
            },
        })
    }

    /// VERSION of every plugin of the network.
    pub fn versions(&self, network: &str) -> Result<Vec<PluginVersions>, Error> {
        let network = self.network(network)?;
        let plugin = |name: &str| {
            let answer = self.runtime.versions(name);
            PluginVersions {
                plugin: name.to_owned(),
                program: self.runtime.find(name).ok(),
                error: answer
                    .as_ref()
                    .err()
                    .map(|error| ignite_cni::error::chain(error)),
                versions: answer.unwrap_or_default(),
            }
        };
        Ok(super::manage::programs_of(&network)
            .iter()
            .map(|name| plugin(name))
            .collect())
    }

    fn network(&self, name: &str) -> Result<NetworkConfig, Error> {
        let usual = &self.engine.config.paths.cni_conf;
        let directory = self.environment.conf_dir.as_ref().unwrap_or(usual);
        let (networks, faults) = Networks::load(directory);
        for fault in faults {
            let text = ignite_cni::error::chain(&fault);
            self.report.warn(&format!("{text}; it is left out"));
        }
        match networks.by_name(name) {
            Ok(found) => Ok(found.clone()),
            Err(missing) => Err(super::manage::no_network(name, missing).into()),
        }
    }

    fn attachment(&self, netns: &Path) -> Result<Attachment, Error> {
        let environment = &self.environment;
        let netns = environment::absolute(netns).map_err(NetworkError::from)?;
        let made = || attachment::container_id_of(&netns);
        Ok(Attachment {
            container_id: environment.container_id.clone().unwrap_or_else(made),
            ifname: environment.ifname.clone(),
            args: environment.args.clone(),
            capabilities: environment.capabilities.clone(),
            netns,
        })
    }

    /// The runtime, whose plugins hold the container's lock with us.
    fn runtime(&self, lock: &ContainerLock) -> Result<Runtime, Error> {
        let mut runtime = self.runtime.clone();
        let held = lock.to_fd().map_err(NetworkError::Lock)?;
        runtime.inherited.push(Arc::new(held));
        Ok(runtime)
    }

    /// Plugins find some of their rules by looking at the interface; without it they leave them.
    fn remove_leaks(&self, network: &str, id: &AttachmentId) -> Result<(), Error> {
        let filter = Filter {
            network: Some(network),
            container_id: Some(&id.container_id),
        };
        let others = self.runtime.cache().list(filter);
        if others.is_ok_and(|others| !others.is_empty()) {
            // The plugins' chains are those of all interfaces of the container on this network.
            return Ok(());
        }
        let (removed, errors) = leak::remove(&Subject {
            network: network.to_owned(),
            container_id: id.container_id.clone(),
            ifname: id.ifname.clone(),
            // After DEL they may be another's.
            addresses: Vec::new(),
        });
        tracing::debug!(rules = removed.rules, "rules that outlived DEL");
        let errors = errors
            .into_iter()
            .map(|error| NetworkError::Leak(error).into());
        Error::all(errors.collect())
    }

    /// What plugins say although they end well is for the caller's eyes.
    fn forward(&self, runs: &[Run]) {
        for run in runs.iter().filter(|run| !run.stderr.trim().is_empty()) {
            let said = run.stderr.trim();
            self.report.info(&format!("{}: {said}", run.plugin));
        }
    }
}
