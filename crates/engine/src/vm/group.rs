//! What is left of a VMM that its supervisor did not take away: its control group, and whatever runs
//! in it.
//!
//! The liveness lock alone proves nothing of a VMM that turned hostile: it may have let go of the
//! lock and outlived its supervisor. So nobody is given the lock while anything is in the group, and
//! two guests never run on one disk.

use std::path::Path;

use ignite_api::{ConfinementStatus, Uid};
use ignite_host::cgroup::{Group, of_vm};
use ignite_store::Liveness;
use ignite_wire::supervisor::JAIL;

use crate::{Engine, Error};

impl Engine {
    /// The liveness lock of a VM that does not run, when nothing of its VMM runs any more; none where
    /// somebody holds it.
    pub(crate) fn take_liveness(&self, uid: Uid) -> Result<Option<Liveness>, Error> {
        let live = Liveness::try_acquire(&self.config.paths, uid)?;
        if live.is_some() {
            end_group(uid)?;
        }
        Ok(live)
    }
}

/// How the VMM of a VM that runs, with this directory, is confined; none where it never had a user of its own.
pub(super) fn confinement(uid: Uid, user: Option<u32>, dir: &Path) -> Option<ConfinementStatus> {
    let cgroup = of_vm(uid.as_str());
    // What cannot be looked at is told of by what needs it.
    let group = Group::find(&cgroup).ok()?;
    let missing = group.missing().iter().map(ToString::to_string).collect();
    Some(ConfinementStatus {
        user: user?,
        cgroup,
        // What the VM's manifest says may hold from the next start on.
        jailer: dir.join(JAIL).is_dir(),
        missing,
    })
}

/// Ends all that is left in the VM's control group, and takes the group away. No group is fine.
pub(super) fn end_group(uid: Uid) -> Result<(), Error> {
    let group = Group::find(&of_vm(uid.as_str()))?;
    if group.exists() {
        tracing::info!(%uid, "removing what is left of a VMM");
        group.remove()?;
    }
    Ok(())
}
