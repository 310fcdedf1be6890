//! `rm`: a VM with all that is its own.

use std::io::ErrorKind;
use std::time::Duration;

use super::DISK;
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
        match self.repair(&lock, &live) {
            // Its own disk makes room for what is written down of its release.
            Err(error) if is_full(&error) => {
                let disk = lock.dir().join(DISK);
                std::fs::remove_file(&disk).map_err(Error::prepare(&disk))?;
                self.repair(&lock, &live)?;
            }
            repaired => repaired?,
        }
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

/// Whether a failure comes of a file system without room.
fn is_full(error: &Error) -> bool {
    let full = |kind| matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    if let Error::Several(errors) = error {
        return errors.iter().any(is_full);
    }
    std::iter::successors(Some(error as &dyn std::error::Error), |error| {
        error.source()
    })
    .filter_map(|error| error.downcast_ref::<std::io::Error>())
    .any(|error| full(error.kind()))
}

/// Time between two looks at something that is about to end.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
