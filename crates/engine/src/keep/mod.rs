//! VMs that are kept as manifests say: what `ignited` asks of the engine.
//!
//! Which VM should be there, and when what is tried again, the daemon decides; here is what can be
//! seen of a VM, what differs from its manifest, and the change that needs no new VM.

mod counters;
pub(crate) mod diff;
mod look;
mod recover;
#[cfg(test)]
mod tests;
mod update;

pub(crate) use counters::counters as interface_counters;

use std::net::IpAddr;

use ignite_api::Uid;
use ignite_store::{Managed, State};
pub use ignite_wire::agent::VmmCounters;
use ignite_wire::supervisor::End;
use jiff::Timestamp;
use serde::Serialize;

/// A VM that is kept for somebody, as it is: a VM whose supervisor vanished is stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Its uid.
    pub uid: Uid,
    /// Its name.
    pub name: String,
    /// For whom, after which file.
    pub managed: Managed,
    /// Its state.
    pub state: State,
    /// How it last ended.
    pub end: Option<End>,
    /// Exit code of its command.
    pub exit_code: Option<i32>,
    /// What there is to say about its end.
    pub message: Option<String>,
    /// When it was last started.
    pub started: Option<Timestamp>,
    /// When it last ended.
    pub ended: Option<Timestamp>,
    /// Its addresses, while it runs.
    pub addresses: Vec<IpAddr>,
}

/// One field in which a VM is not as its manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The field: `spec.memory`.
    pub path: String,
    /// What the VM has.
    pub from: String,
    /// What the manifest says.
    pub to: String,
}

/// In what a VM is not as its manifest says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// What [`Engine::update`] changes.
    pub in_place: Vec<Change>,
    /// What only a new VM can have.
    pub recreate: Vec<Change>,
    /// Whether something is recorded that holds only from the VM's next start on.
    pub restart: bool,
}

/// What [`Engine::update`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Updated {
    /// What was changed.
    pub changes: Vec<Change>,
    /// Whether something of it holds only from the VM's next start on.
    pub needs_restart: bool,
}

/// What was counted of a VM since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Of each interface.
    pub interfaces: Vec<InterfaceCounters>,
    /// By its VMM, where that counts.
    pub vmm: Option<VmmCounters>,
}

/// What passed through one interface of a VM, as the VM sees it, since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InterfaceCounters {
    /// Name in the guest.
    pub interface: String,
    /// The network's name.
    pub network: String,
    /// Bytes to the guest.
    pub rx_bytes: u64,
    /// Packets to the guest.
    pub rx_packets: u64,
    /// Packets to the guest that were lost.
    pub rx_dropped: u64,
    /// Bytes from the guest.
    pub tx_bytes: u64,
    /// Packets from the guest.
    pub tx_packets: u64,
    /// Packets from the guest that were lost.
    pub tx_dropped: u64,
    /// Packets from the guest that it may not send.
    pub refused: u64,
}
