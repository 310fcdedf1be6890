//! What the supervisor writes down: `status.json`.

use std::path::{Path, PathBuf};

use ignite_host::process::start_time;
use ignite_store::{ProcessRecord, RefusedRecord, State, StatusRecord, VmmRecord, write_status};
use ignite_wire::agent::Refusals;
use ignite_wire::supervisor::Machine;
use jiff::Timestamp;

use crate::end::Outcome;

/// The VM's status, written at every change.
#[derive(Debug)]
pub struct Status {
    directory: PathBuf,
    record: StatusRecord,
}

impl Status {
    /// Of a VM that starts now. Nothing is written yet.
    pub fn starting(directory: &Path) -> Self {
        let record = StatusRecord {
            state: State::Starting,
            started: Some(Timestamp::now()),
            supervisor: Some(process(std::process::id())),
            ..StatusRecord::default()
        };
        Self {
            directory: directory.to_owned(),
            record,
        }
    }

    /// The VMM is about to be spawned. From here on whoever finds a VMM without a supervisor knows
    /// that it is one.
    pub fn begun(&self) -> Result<(), ignite_store::Error> {
        self.write()
    }

    /// The VMM's process is there.
    pub fn vmm(&mut self, machine: &Machine, pid: u32) -> Result<(), ignite_store::Error> {
        self.record.vmm = Some(VmmRecord {
            kind: machine.vmm,
            balloon: machine.balloon.is_some(),
            process: process(pid),
        });
        self.write()
    }

    /// Somebody stopped the guest's processors.
    pub fn paused(&mut self) -> Result<(), ignite_store::Error> {
        self.record.state = State::Paused;
        self.write()
    }

    /// The agent is ready; or the guest goes on after a pause.
    pub fn running(&mut self) -> Result<(), ignite_store::Error> {
        self.record.state = State::Running;
        self.write()
    }

    /// The guest uses addresses it may not.
    pub fn refused(&mut self, refusals: Vec<Refusals>) -> Result<(), ignite_store::Error> {
        let record = |refusals: Refusals| RefusedRecord {
            interface: refusals.interface,
            addresses: refusals.addresses,
        };
        self.record.refused = refusals
            .into_iter()
            .filter(|refusals| !refusals.addresses.is_empty())
            .map(record)
            .collect();
        self.write()
    }

    /// The VM ended.
    pub fn stopped(&mut self, outcome: &Outcome) -> Result<(), ignite_store::Error> {
        self.record = StatusRecord {
            state: State::Stopped,
            started: self.record.started,
            ended: Some(Timestamp::now()),
            end: Some(outcome.end),
            exit_code: outcome.exit_code,
            message: message(outcome),
            ..StatusRecord::default()
        };
        self.write()
    }

    fn write(&self) -> Result<(), ignite_store::Error> {
        write_status(&self.directory, &self.record)
    }
}

/// The record has one text: what happened and what to do.
fn message(outcome: &Outcome) -> Option<String> {
    match (&outcome.message, &outcome.hint) {
        (Some(message), Some(hint)) => Some(format!("{message}; {hint}")),
        (Some(text), None) | (None, Some(text)) => Some(text.clone()),
        (None, None) => None,
    }
}

/// What tells this process from a later one with the same number. What cannot be read stays empty:
/// no process is like that.
fn process(pid: u32) -> ProcessRecord {
    let pid = pid.try_into().unwrap_or(i32::MAX);
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    ProcessRecord {
        pid,
        start_time: start_time(pid).unwrap_or_default(),
        boot_id: boot_id.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vm_is_known_to_start_before_it_has_a_vmm() {
        let directory = tempfile::tempdir().expect("tempdir");
        Status::starting(directory.path()).begun().expect("written");
        let text = std::fs::read(directory.path().join("status.json")).expect("there");
        let record: StatusRecord = serde_json::from_slice(&text).expect("a status");
        assert_eq!(record.state, State::Starting);
        let supervisor = record.supervisor.expect("recorded");
        assert_eq!(supervisor, process(std::process::id()));
        assert!(record.vmm.is_none());
    }

    #[test]
    fn processes_are_known_by_their_beginning() {
        assert_ne!(process(std::process::id()).start_time, 0);
        assert_eq!(process(u32::MAX).start_time, 0);
    }
}
