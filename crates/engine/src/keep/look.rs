//! What can be seen of the VMs that are kept, and for whom they are.

use ignite_api::Uid;
use ignite_host::process::Watched;
use ignite_store::{Managed, VmSummary};

use super::Kept;
use crate::vm::children;
use crate::vm::repair::is_alive;
use crate::{Engine, Error};

impl Engine {
    /// The VMs kept for `by`, and the uids of VMs whose records cannot be read.
    pub fn kept(&self, by: &str) -> Result<(Vec<Kept>, Vec<Uid>), Error> {
        children::reap();
        let summary = self.vms.summary()?;
        let (mut kept, mut damaged) = (Vec::new(), summary.damaged);
        for vm in summary.vms {
            let uid = vm.uid;
            match self.kept_one(vm, by) {
                Ok(one) => kept.extend(one),
                // Removed since it was listed.
                Err(Error::Store(error)) if error.is_not_found() => {}
                Err(error) => {
                    tracing::debug!(%uid, %error, "the VM's records cannot be read");
                    damaged.push(uid);
                }
            }
        }
        Ok((kept, damaged))
    }

    fn kept_one(&self, vm: VmSummary, by: &str) -> Result<Option<Kept>, Error> {
        let managed = self.vms.get(vm.uid)?.managed;
        let Some(managed) = managed.filter(|managed| managed.by == by) else {
            return Ok(None);
        };
        let is_live = vm.state.is_live();
        Ok(Some(Kept {
            uid: vm.uid,
            name: vm.name,
            managed,
            state: vm.state,
            end: vm.end.filter(|_| !is_live),
            exit_code: vm.exit_code,
            message: self.vms.status(vm.uid)?.message,
            started: vm.started,
            ended: vm.ended,
            addresses: match is_live {
                true => vm.addresses.iter().map(ipnet::IpNet::addr).collect(),
                false => Vec::new(),
            },
        }))
    }

    /// Whatever VM has this uid, and for whom it is kept.
    pub fn holder(&self, uid: Uid) -> Result<Option<Option<Managed>>, Error> {
        match self.vms.get(uid) {
            Ok(record) => Ok(Some(record.managed)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps an existing VM for somebody, after this file, or for nobody any more. The defaults it
    /// was made with stay the same where none are given.
    pub fn manage(&self, uid: Uid, mut managed: Option<Managed>) -> Result<(), Error> {
        let lock = self.vms.lock(uid)?;
        let mut record = lock.record()?;
        if let (Some(new), Some(old)) = (&mut managed, &record.managed) {
            new.defaults = new.defaults.take().or_else(|| old.defaults.clone());
        }
        if record.managed != managed {
            record.managed = managed;
            lock.write_record(&record)?;
        }
        Ok(())
    }

    /// Readable when the VM's supervisor has ended; none where the VM does not run.
    pub fn watch(&self, uid: Uid) -> Result<Option<Watched>, Error> {
        let Some(supervisor) = self.vms.status(uid)?.supervisor else {
            return Ok(None);
        };
        let watched = Watched::open(supervisor.pid, supervisor.start_time);
        let watched = watched.map_err(|error| Error::Watch(error.source))?;
        // After a reboot both numbers may be another's.
        Ok(watched.filter(|_| is_alive(&supervisor)))
    }
}
