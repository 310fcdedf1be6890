//! `restart`: stop and start as one.

use std::time::Duration;

use super::start::Started;
use crate::timings::Timings;
use crate::{Cancel, Engine, Error, Report, StartOptions};

impl Engine {
    /// Shuts the guest down in order, ends it past `grace`, and starts the VM again. One that does not run
    /// is started.
    pub fn restart(
        &self,
        text: &str,
        grace: Duration,
        options: &StartOptions,
        report: &dyn Report,
        cancel: &Cancel,
    ) -> Result<Started, Error> {
        cancel.check()?;
        let uid = self.vms.resolve(text)?;
        let record = self.vms.get(uid)?;
        if record.auto_remove {
            return Err(Error::RemovesItself {
                name: record.name.to_string(),
            });
        }
        if self.end_in_order(&record, grace)? {
            self.note("stop", uid, &record.name, &[]);
        }
        cancel.check()?;
        // Held until it runs again: nobody starts, changes or removes what is about to come back.
        let (lock, live) = self.lock_idle(uid)?;
        self.start_locked(&lock, live, options, report, cancel, Timings::new())
    }
}
