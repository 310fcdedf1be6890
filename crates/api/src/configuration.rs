//! The configuration file as an object: `/etc/ignite/config.yaml`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{DetachKeys, IdPrefix, NetworkPlugin, Object, VmSpec, VmmChoice, VmmUsers};

/// What holds on a host where nothing else is said.
pub type Configuration = Object<ConfigurationSpec, NoStatus>;

/// Defaults of a host; each may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConfigurationSpec {
    /// The container runtime: read from older configurations, not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// How new VMs get their network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_plugin: Option<NetworkPlugin>,
    /// What a new VM has where nothing else is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm_defaults: Option<VmSpec>,
    /// Which VMM runs a new VM that names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vmm: Option<VmmChoice>,
    /// Firecracker's program, where it is in none of the usual directories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firecracker: Option<PathBuf>,
    /// The program of Firecracker's jailer, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jailer: Option<PathBuf>,
    /// First part of the names of all that is made on the host for a new VM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_prefix: Option<IdPrefix>,
    /// Directory of Docker's `config.json`, with credentials of registries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry_config_dir: Option<PathBuf>,
    /// The users VMMs run as, one for each VM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vmm_users: Option<VmmUsers>,
    /// The keys that leave a terminal session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detach_keys: Option<DetachKeys>,
}

/// A configuration has no status; an empty one is read.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct NoStatus {}
