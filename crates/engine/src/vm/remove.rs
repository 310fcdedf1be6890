//! `rm`: a VM with all that is its own.

use std::time::Duration;

use super::stop::Done;
use crate::{Engine, Error};

impl Engine {
    /// Removes the VM that `text` means; one that runs only if `force`.
    pub fn remove(&self, text: &str, force: bool) -> Result<Done, Error> {
        let uid = self.vms.resolve(text)?;
        let done = |name| Done {
            uid,
            name,
            what: "removed",
        };
        if force {
            let killed = self.kill(uid.as_str())?;
            if self.vms.get(uid).is_err_and(|error| error.is_not_found()) {
                // It removed itself when it ended.
                return Ok(done(killed.name));
            }
        }
        let (lock, live) = self.lock_idle(uid)?;
        let record = lock.record()?;
        self.repair(&lock, &live)?;
        drop(live);
        lock.remove()?;
        Ok(done(record.name))
    }

    /// Removes VMs that use an image or kernel, for `rmi -f` and `rmk -f`; refuses without `force`.
    pub(crate) fn remove_users(
        &self,
        what: &str,
        users: Vec<ignite_store::VmRecord>,
        force: bool,
    ) -> Result<(), Error> {
        if !force && let Some(first) = users.first() {
            return Err(Error::InUse {
                what: what.to_owned(),
                vms: users.iter().map(|vm| vm.name.to_string()).collect(),
                first: first.name.to_string(),
            });
        }
        for user in users {
            self.remove(user.uid.as_str(), true)?;
        }
        Ok(())
    }
}

/// Time between two looks at something that is about to end.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
