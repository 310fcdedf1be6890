//! `run`: create and start as one; undone as one.

use ignite_store::Liveness;

use super::create::CreateRequest;
use super::start::Started;
use crate::timings::Timings;
use crate::{Cancel, Engine, Error, Report, StartOptions};

impl Engine {
    /// Creates a VM and starts it. If it cannot be started, or the caller calls it off, nothing of the
    /// VM is left; images and kernels stay.
    pub fn run(
        &self,
        request: CreateRequest,
        options: &StartOptions,
        report: &dyn Report,
        cancel: &Cancel,
    ) -> Result<Started, Error> {
        let mut timings = Timings::new();
        let (lock, record) = self.create_locked(request, report, cancel)?;
        timings.end("create");
        let running = || Error::Running {
            name: record.name.to_string(),
        };
        let started = Liveness::try_acquire(&self.config.paths, record.uid)
            .map_err(Error::from)
            .and_then(|live| live.ok_or_else(running))
            .and_then(|live| self.start_locked(&lock, live, options, report, cancel, timings));
        match started {
            Ok(started) => Ok(started),
            Err(error) => {
                let released = lock.network().is_ok_and(|network| network.is_released());
                if released {
                    self.undo_create(lock);
                } else {
                    report.warn("the VM is kept, because its network could not be released; try: ignite rm -f");
                }
                Err(error)
            }
        }
    }
}
