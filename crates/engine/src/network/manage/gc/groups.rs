//! Control groups of VMs that are gone, with nothing in them.
//!
//! That of a VM with a record is seen to by the repair of the VM, and what runs in a group is nobody's
//! to end here.

use ignite_api::Uid;
use ignite_host::cgroup::{self, Group};
use ignite_store::Liveness;

use super::{Gc, Kind};

impl Gc<'_> {
    /// Removes those that no VM holds.
    pub(super) fn groups(&mut self) {
        let names = match cgroup::vms() {
            Ok(names) => names,
            Err(error) => return self.garbage.failures.push(error.into()),
        };
        for name in names {
            let Ok(uid) = name.parse() else { continue };
            if let Err(error) = self.group(uid) {
                self.garbage.failures.push(error.into());
            }
        }
    }

    fn group(&mut self, uid: Uid) -> Result<(), cgroup::Error> {
        if !self
            .engine
            .vms
            .get(uid)
            .is_err_and(|error| error.is_not_found())
        {
            return Ok(());
        }
        // One of another data directory: whoever begins a VM holds its liveness first.
        let is_held = || Liveness::is_held(&self.engine.config.paths, uid).unwrap_or(true);
        let name = cgroup::of_vm(uid.as_str());
        let group = Group::find(&name)?;
        if is_held() || !group.exists() || !group.processes()?.is_empty() {
            return Ok(());
        }
        if !self.is_dry() {
            group.remove()?;
        }
        self.release(Kind::Group, None, uid.as_str(), name);
        Ok(())
    }
}
