//! What may be changed of a VM that is there: in its record, and of one that runs at once.

use ignite_api::{Size, VmSpec, check_balloon};
use ignite_store::{Liveness, StatusRecord, VmLock, VmRecord};
use ignite_wire::agent::Message;

use super::rates::{Rates, limits};
use super::{control, pause};
use crate::{Done, Engine, Error};

/// What shall be otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// How fast it may be.
    pub rates: Rates,
    /// How much of its memory it gives back.
    pub balloon: Option<Size>,
}

/// What becomes of the refusal of a VM of this name.
type Refused = fn(String, control::Error) -> Error;

impl Engine {
    /// Changes a VM. One that runs has it at once, one that does not from its next start on. What is
    /// refused for sure is, before anything is changed.
    pub fn change(&self, text: &str, changes: &Changes) -> Result<Done, Error> {
        let uid = self.vms.resolve(text)?;
        let lock = self.vms.lock(uid)?;
        let mut record = lock.record()?;
        let mut wanted = record.spec.clone();
        changes.rates.change(&mut wanted)?;
        if let Some(balloon) = changes.balloon {
            self.ensure_balloon(&lock, &record, balloon)?;
        }
        if changes.rates != Rates::default() {
            self.set_rates(&lock, &mut record, &wanted)?;
        }
        if changes.balloon.is_some() {
            self.set_balloon(&lock, &mut record, changes.balloon)?;
        }
        Ok(Done {
            uid,
            name: record.name,
            what: "updated",
        })
    }

    /// Whether the VM can have this balloon without a restart.
    fn ensure_balloon(&self, lock: &VmLock, record: &VmRecord, balloon: Size) -> Result<(), Error> {
        check_balloon(balloon, record.spec.memory)?;
        match self.running(lock)? {
            Some(status) if !has_balloon(&status) => Err(Error::NoBalloon {
                name: record.name.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// Takes over the rates of `wanted`.
    pub(crate) fn set_rates(
        &self,
        lock: &VmLock,
        record: &mut VmRecord,
        wanted: &VmSpec,
    ) -> Result<(), Error> {
        let mut changed = record.clone();
        changed.spec.network.take_rates(&wanted.network);
        changed.spec.disk_rate = wanted.disk_rate;
        let request = Message::Limit(limits(&changed));
        self.tell(lock, record, request, |name, source| {
            Error::RatesNotChanged { name, source }
        })?;
        *record = changed;
        Ok(lock.write_record(record)?)
    }

    /// Takes over another balloon. Where the running machine has none, or is to have none, it holds from
    /// the VM's next start on.
    pub(crate) fn set_balloon(
        &self,
        lock: &VmLock,
        record: &mut VmRecord,
        wanted: Option<Size>,
    ) -> Result<(), Error> {
        if let Some(balloon) = wanted {
            // A manifest may speak of another memory than the VM was made with.
            check_balloon(balloon, record.spec.memory)?;
        }
        let has_one = self.running(lock)?.as_ref().is_some_and(has_balloon);
        if let Some(balloon) = wanted.filter(|_| has_one) {
            let bytes = balloon.bytes();
            self.tell(lock, record, Message::Balloon { bytes }, |name, source| {
                Error::BalloonNotChanged { name, source }
            })?;
        }
        record.spec.balloon = wanted;
        Ok(lock.write_record(record)?)
    }

    /// Tells the VM that runs, if it does, before the record is written: where this fails all is as it
    /// was, and where the record is not written any more the same request finds the difference again.
    fn tell(
        &self,
        lock: &VmLock,
        record: &VmRecord,
        request: Message,
        refused: Refused,
    ) -> Result<(), Error> {
        if self.running(lock)?.is_none() {
            return Ok(());
        }
        let run_dir = self.config.paths.vm_run(record.uid);
        match pause::ask(&run_dir, request) {
            // One that ended in this moment has it from its next start on.
            Err(error) if self.running(lock)?.is_some() => {
                Err(refused(record.name.to_string(), error))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// How the VM is, if it runs.
    fn running(&self, lock: &VmLock) -> Result<Option<StatusRecord>, Error> {
        if !Liveness::is_held(&self.config.paths, lock.uid())? {
            return Ok(None);
        }
        Ok(Some(lock.status()?).filter(|status| status.state.is_live()))
    }
}

/// Whether the machine that runs has a balloon.
fn has_balloon(status: &StatusRecord) -> bool {
    status.vmm.as_ref().is_some_and(|vmm| vmm.balloon)
}
