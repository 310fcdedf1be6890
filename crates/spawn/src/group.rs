//! The VMM's control group: made before the VMM starts, gone when it has ended.
//!
//! Its name follows from the VM's uid, so whoever repairs finds it without a record.

use ignite_host::cgroup::{self, Bounds, Usage};
use ignite_vmm::{Confinement, Jailer};
use ignite_wire::supervisor::{self, Plan};

use crate::jail;
use crate::log;
use crate::start::Error;

/// The group of a VMM that is confined; nothing for one that is not.
#[derive(Debug)]
pub struct Group {
    confined: Option<(supervisor::Confinement, cgroup::Group)>,
    jailer: Option<Jailer>,
}

impl Group {
    /// Makes the group the plan asks for. What this host does not bound is told.
    pub fn make(plan: &Plan) -> Result<Self, Error> {
        let Some(wanted) = plan.confinement.clone() else {
            return Ok(Self {
                confined: None,
                jailer: None,
            });
        };
        let name = cgroup::of_vm(&plan.uid);
        let group = cgroup::Group::make(&name, &bounds(&wanted)).map_err(Error::Group)?;
        let missing: Vec<&str> = group
            .missing()
            .iter()
            .map(|missing| missing.name())
            .collect();
        if !missing.is_empty() {
            log::line(&format!(
                "this host has no control groups for {}: the virtual machine monitor is not bounded there",
                missing.join(", ")
            ));
        }
        Ok(Self {
            jailer: jail::jailer(plan),
            confined: Some((wanted, group)),
        })
    }

    /// What the driver needs to confine its VMM.
    pub fn confinement(&self) -> Result<Option<Confinement>, Error> {
        let Some((wanted, group)) = &self.confined else {
            return Ok(None);
        };
        Ok(Some(Confinement {
            user: wanted.user,
            tasks: wanted.tasks,
            file_bytes: wanted.file_bytes,
            cgroups: group.joints().map_err(Error::Group)?,
            jailer: self.jailer.clone(),
        }))
    }

    /// Whether the kernel ended something in it for want of memory.
    pub fn ran_out_of_memory(&self) -> bool {
        let usage = self.confined.as_ref().map(|(_, group)| group.usage());
        let Usage { oom_kills, .. } = usage.unwrap_or_default();
        oom_kills.is_some_and(|kills| kills > 0)
    }

    /// Takes it away, with what may be left in it. What cannot be is found by the next command.
    pub fn remove(self) {
        if let Some((_, group)) = self.confined
            && let Err(error) = group.remove()
        {
            log::line(&log::chain(&error));
        }
    }
}

fn bounds(wanted: &supervisor::Confinement) -> Bounds {
    Bounds {
        memory: wanted.memory,
        cpu_millis: wanted.cpu_millis,
        tasks: wanted.tasks,
    }
}
