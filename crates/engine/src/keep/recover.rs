//! VMs that died while nobody looked: the host was switched off, a supervisor was killed. Those that
//! live may have been changed in part.

use std::sync::Mutex;
use std::thread;

use ignite_api::Uid;
use ignite_store::{Liveness, VmSummary};

use crate::vm::repair::is_orphaned;
use crate::{Engine, Error};

/// VMs repaired at once: their plugins wait for each other's packet filter most of the time.
const WORKERS: usize = 4;

impl Engine {
    /// The VMs that [`recover`](Self::recover) would look at.
    pub fn recoverable(&self) -> Result<Vec<Uid>, Error> {
        Ok(self.vms.summary()?.vms.iter().map(|vm| vm.uid).collect())
    }

    /// Repairs every VM that died without release, a few at a time, and tells of each VM when it is
    /// through with it. VMs that somebody else is at work on are left to him.
    pub fn recover(&self, tell: &(dyn Fn(Uid, Result<(), Error>) + Sync)) -> Result<(), Error> {
        let queue = Mutex::new(self.vms.summary()?.vms.into_iter());
        let next = || queue.lock().ok()?.next();
        let work = || {
            while let Some(vm) = next() {
                let done = match self.recover_one(&vm) {
                    Err(Error::Store(error)) if error.is_not_found() => Ok(()),
                    done => done,
                };
                tell(vm.uid, done);
            }
        };
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(work);
            }
        });
        Ok(())
    }

    fn recover_one(&self, vm: &VmSummary) -> Result<(), Error> {
        let status = self.vms.status(vm.uid)?;
        if !Liveness::is_held(&self.config.paths, vm.uid)? {
            let is_clean = !status.state.is_live() && self.vms.network(vm.uid)?.is_released();
            return if is_clean {
                Ok(())
            } else {
                self.repair_one(vm.uid)
            };
        }
        if is_orphaned(&status) {
            // Its VMM holds the lock still, and is ended.
            self.repair_one(vm.uid)
        } else {
            self.settle_update(vm.uid)
        }
    }
}
