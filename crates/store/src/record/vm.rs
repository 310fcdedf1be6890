//! `vm.json`: what a VM is, settled when it is created.

use std::collections::BTreeMap;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use ignite_api::{
    Address, DiskOrigin, IdPrefix, Mac, Name, NetworkPlugin, PortMapping, Uid, VmSpec,
};
use ignite_wire::guest::Process;

/// A VM: what was asked for, and what was found for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VmRecord {
    /// Uid.
    pub uid: Uid,
    /// Name.
    pub name: Name,
    /// Moment of creation.
    pub created: Timestamp,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// What was asked for: processors, memory, disk size, ports, DNS servers, networks.
    pub spec: VmSpec,
    /// Prefix of the container id, frozen at creation.
    pub id_prefix: IdPrefix,
    /// `<prefix>-<uid>`: CNI container id, and name of the sandbox.
    pub container_id: String,
    /// The image.
    pub image: ImageChoice,
    /// The kernel.
    pub kernel: KernelChoice,
    /// Kernel command line, whole.
    pub cmdline: String,
    /// How its disk was made, and so its format.
    #[serde(default)]
    pub disk: DiskOrigin,
    /// Version of the VMM of its last start, where the driver asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vmm_version: Option<String>,
    /// Interfaces in the guest's order.
    pub interfaces: Vec<InterfaceRecord>,
    /// What runs as the user's program.
    pub process: Process,
    /// Which network plugin.
    pub network_plugin: NetworkPlugin,
    /// Whether the VM is removed when it has ended.
    #[serde(default)]
    pub auto_remove: bool,
    /// What keeps it as a manifest says, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<Managed>,
    /// User and group its VMM runs as, its own for life; none before the first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<u32>,
    /// A run that does not have the ports that are wanted yet: those of `spec` are its own and new
    /// ones, and all of them are the VM's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports_pending: Option<PortsPending>,
    /// The run, by its start, that is being asked for other rates or another balloon than `spec` says, and
    /// may have either; no other run is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_pending: Option<Timestamp>,
}

/// Ports that a run of a VM does not have yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortsPending {
    /// When the run was started; no other run is meant.
    pub since: Timestamp,
    /// What the next start publishes; none where it is being brought about without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start: Option<Vec<PortMapping>>,
}

impl VmRecord {
    /// The ports that were asked for last.
    pub fn wanted_ports(&self) -> &[PortMapping] {
        let pending = self.ports_pending.as_ref();
        let next = pending.and_then(|pending| pending.next_start.as_deref());
        next.unwrap_or(&self.spec.network.ports)
    }

    /// A new run has what waited for it; whether anything did.
    pub fn settle_ports(&mut self) -> bool {
        let pending = self.ports_pending.take();
        match pending.and_then(|pending| pending.next_start) {
            Some(ports) => {
                self.spec.network.ports = ports;
                true
            }
            None => false,
        }
    }
}

/// A VM that is kept as a manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Managed {
    /// Where the manifests are from: a directory, or a repository with its branch.
    pub by: String,
    /// The manifest's file, relative to that.
    pub file: String,
    /// Whether the VM should run, as last brought about: a policy speaks only of a VM that did.
    #[serde(default)]
    pub wanted: bool,
    /// What the manifest leaves open is as in these: the defaults when the VM was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<Box<VmSpec>>,
}

/// The image a VM was created from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageChoice {
    /// Its uid.
    pub uid: Uid,
    /// Digest of its manifest.
    pub digest: String,
    /// The name by which it was asked for.
    pub name: String,
}

/// The kernel a VM boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KernelChoice {
    /// Its uid.
    pub uid: Uid,
    /// Its release.
    pub version: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// One interface of a VM, the same for life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InterfaceRecord {
    /// Name in the sandbox and in the guest: `eth0`.
    pub name: String,
    /// MAC, made once.
    pub mac: Mac,
    /// Network asked for; none for the default network, chosen at every start.
    #[serde(default)]
    pub network: Option<String>,
    /// Addresses asked for.
    #[serde(default)]
    pub addresses: Vec<Address>,
    /// Further source addresses the guest may use.
    #[serde(default)]
    pub allow: Vec<IpNet>,
}
