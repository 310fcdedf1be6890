//! The counters of one VM at one instant.

use std::time::Duration;

use ignite_api::{Name, Uid};
use ignite_host::cgroup::{self, Group, of_vm};
use ignite_host::process;
use ignite_store::{Liveness, VmRecord};
use ignite_wire::agent::{DiskCounters, SupervisorStatus};

use crate::keep::InterfaceCounters;
use crate::vm::refusals;
use crate::{Engine, Error};

/// A VMM answers its supervisor within this, or is told as it was last heard.
const COUNTING: Duration = Duration::from_millis(30);

/// What was counted of a VM since its start, and what it has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its uid.
    pub uid: Uid,
    /// Its name.
    pub name: Name,
    /// How long ago its VMM was started, by a clock that is never set.
    pub uptime: Duration,
    /// Whether somebody paused it.
    pub is_paused: bool,
    /// Number of its processors.
    pub cpus: u64,
    /// Processor time, of the guest and of the VMM for it.
    pub cpu: Duration,
    /// Bytes of the host's memory it has.
    pub memory: u64,
    /// The most it may have.
    pub memory_limit: u64,
    /// Threads of its VMM, where they are counted.
    pub tasks: Option<u64>,
    /// Its disks together, once its VMM told.
    pub disks: Option<DiskCounters>,
    /// Each interface, in the guest's order.
    pub interfaces: Vec<InterfaceCounters>,
}

impl Engine {
    /// The counters of the VM that `text` means, now. One that does not run is an error.
    pub fn sample(&self, text: &str) -> Result<Sample, Error> {
        let uid = self.vms.resolve(text)?;
        let record = self.vms.get(uid)?;
        let not_running = || Error::NotRunning {
            name: record.name.to_string(),
        };
        let is_held = || Liveness::is_held(&self.config.paths, uid);
        if !is_held()? {
            return Err(not_running());
        }
        match self.status_of_now(uid) {
            Ok(status) => self.sample_of(&record, status),
            // It ended since.
            Err(_) if !is_held()? => Err(not_running()),
            Err(error) => Err(error.into()),
        }
    }

    /// A supervisor asks its VMM, and tells what it had told before: so it is asked twice.
    fn status_of_now(&self, uid: Uid) -> Result<SupervisorStatus, crate::vm::control::Error> {
        let run_dir = self.config.paths.vm_run(uid);
        refusals::status(&run_dir)?;
        std::thread::sleep(COUNTING);
        refusals::status(&run_dir)
    }

    fn sample_of(&self, record: &VmRecord, status: SupervisorStatus) -> Result<Sample, Error> {
        let group = Group::find(&of_vm(record.uid.as_str()));
        let used = group.map(|group| group.usage()).unwrap_or_default();
        let own = process::usage(status.vmm_pid).unwrap_or_default();
        let network = self.vms.network(record.uid)?;
        Ok(Sample {
            uid: record.uid,
            name: record.name.clone(),
            uptime: Duration::from_millis(status.uptime_ms),
            is_paused: status.paused,
            cpus: record.spec.cpus,
            cpu: used.cpu.unwrap_or(own.0),
            memory: memory(&used).unwrap_or(own.1),
            memory_limit: used.memory_limit.unwrap_or(record.spec.memory.bytes()),
            tasks: used.tasks,
            disks: status.disks,
            interfaces: crate::keep::interface_counters(&status, &network),
        })
    }
}

/// What would be missed: without the copies of files that the kernel drops when it needs room.
fn memory(used: &cgroup::Usage) -> Option<u64> {
    let idle = used.memory_idle.unwrap_or_default();
    used.memory.map(|memory| memory.saturating_sub(idle))
}
