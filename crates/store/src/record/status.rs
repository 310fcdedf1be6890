//! `status.json`: how a VM is doing, written by whoever holds its liveness lock.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use ignite_wire::supervisor::{End, Vmm};

/// The state of a VM.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Never started.
    #[default]
    Created,
    /// The supervisor is at work, the agent has not said it is ready.
    Starting,
    /// The agent is ready.
    Running,
    /// It was running, and somebody stopped its processors.
    Paused,
    /// Ended; [`StatusRecord::end`] says how.
    Stopped,
}

impl State {
    /// As written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }

    /// Whether there should be a supervisor.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Paused)
    }
}

/// How a VM is doing. An absent file is the default: created, never started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusRecord {
    /// Its state.
    pub state: State,
    /// When it was last started.
    pub started: Option<Timestamp>,
    /// When it last ended.
    pub ended: Option<Timestamp>,
    /// How it last ended.
    pub end: Option<End>,
    /// Exit code of its command, where that ended.
    pub exit_code: Option<i32>,
    /// What there is to say about its end.
    pub message: Option<String>,
    /// The supervisor's process.
    pub supervisor: Option<ProcessRecord>,
    /// The VMM's process.
    pub vmm: Option<VmmRecord>,
    /// Addresses the guest used that are not its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedRecord>,
    /// What else a later version wrote: kept when the record is written again.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// Addresses that a guest used on an interface and may not: what it sent never reached the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedRecord {
    /// The interface.
    pub interface: String,
    /// The first of the addresses, a handful at most.
    pub addresses: Vec<IpAddr>,
}

/// A process of this boot, told apart from a later one with the same id by its start time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessRecord {
    /// Process id in the host's namespace.
    pub pid: i32,
    /// Field 22 of `/proc/<pid>/stat`: clock ticks since the boot.
    pub start_time: u64,
    /// `/proc/sys/kernel/random/boot_id`; a process of another boot is gone.
    #[serde(default)]
    pub boot_id: String,
}

/// The VMM's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VmmRecord {
    /// Which VMM.
    pub kind: Vmm,
    /// Whether its machine has a balloon.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub balloon: bool,
    /// Its process.
    #[serde(flatten)]
    pub process: ProcessRecord,
}
