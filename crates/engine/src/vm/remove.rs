//! `rm`: a VM with all that is its own.

use std::io::ErrorKind;
use std::time::Duration;

use super::stop::Done;
use super::vmm::disk_file;
use crate::{Cancel, Engine, Error};

impl Engine {
    /// Removes the VM that `text` means; one that runs only if `force`.
    pub fn remove(&self, text: &str, force: bool) -> Result<Done, Error> {
        self.remove_unless(text, force, None)
    }

    /// The same; called off, the VM has its disk still, though it may not run any more.
    pub fn remove_unless(
        &self,
        text: &str,
        force: bool,
        cancel: Option<&Cancel>,
    ) -> Result<Done, Error> {
        let go_on = || cancel.map_or(Ok(()), Cancel::check);
        go_on()?;
        let uid = self.vms.resolve(text)?;
        let done = |name| Done {
            uid,
            name,
            what: "removed",
        };
        let mut tried = None;
        if force {
            match self.kill(uid.as_str()) {
                Ok(killed) if self.vms.get(uid).is_err_and(|error| error.is_not_found()) => {
                    // It removed itself when it ended.
                    return Ok(done(killed.name));
                }
                // It has ended; what stays is seen to below.
                Err(error) if error.is_only_a_container() => tried = Some(error),
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        let (lock, live) = self.lock_idle(uid)?;
        // Others may have been at work on it for minutes.
        go_on()?;
        let record = lock.record()?;
        // An engine that hangs is not asked twice.
        match tried.map_or_else(|| self.repair(&lock, &live), Err) {
            // Its own disk makes room for what is written down of its release.
            Err(error) if is_full(&error) => {
                let disk = lock.dir().join(disk_file(record.disk));
                std::fs::remove_file(&disk).map_err(Error::prepare(&disk))?;
                self.repair(&lock, &live)?;
            }
            Err(error) if force && error.is_only_a_container() => {
                tracing::warn!(%error, "the container is left to: ignite network gc");
                self.forsake(&lock)?;
            }
            repaired => repaired?,
        }
        drop(live);
        self.note("remove", uid, &record.name, &[]);
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
