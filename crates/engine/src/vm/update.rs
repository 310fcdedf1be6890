//! What may be changed of a VM that is there: in its record, and of one that runs at once.
//!
//! ```text
//!   recorded: this run may have others --> its supervisor is asked --> recorded: these hold
//!                                 killed here, or without an answer: the next command that reads them
//!                                 gives the run those of the record
//! ```

use ignite_api::{Size, Uid, VmSpec, check_balloon};
use ignite_host::step::{self, Step};
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

/// What of a VM is to be set.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Touched {
    /// How fast it may be.
    pub(crate) rates: bool,
    /// How much of its memory it gives back.
    pub(crate) balloon: bool,
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
            wanted.balloon = Some(balloon);
        }
        let touched = Touched {
            rates: changes.rates != Rates::default(),
            balloon: changes.balloon.is_some(),
        };
        self.set(&lock, &mut record, &wanted, touched)?;
        self.note("update", uid, &record.name, &[]);
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

    /// Takes over what is touched of `wanted`; all of it where a change before was cut off, of which
    /// nobody knows how far it came. What fails for one does not hold up the other.
    pub(crate) fn set(
        &self,
        lock: &VmLock,
        record: &mut VmRecord,
        wanted: &VmSpec,
        touched: Touched,
    ) -> Result<(), Error> {
        let all = is_cut_off(record, &lock.status()?);
        let mut failures = Vec::new();
        if touched.rates || all {
            failures.extend(self.set_rates(lock, record, wanted).err());
        }
        if touched.balloon || all {
            failures.extend(self.set_balloon(lock, record, wanted.balloon).err());
        }
        Error::all(failures)?;
        if all {
            record.update_pending = None;
            lock.write_record(record)?;
        }
        Ok(())
    }

    /// Where a change was cut off, gives the VM again what its record says. One that somebody is at work
    /// on is left to him.
    pub(crate) fn settle_update(&self, uid: Uid) -> Result<(), Error> {
        if !is_cut_off(&self.vms.get(uid)?, &self.vms.status(uid)?) {
            return Ok(());
        }
        let Some(lock) = self.vms.try_lock(uid)? else {
            return Ok(());
        };
        let mut record = lock.record()?;
        if is_cut_off(&record, &lock.status()?) {
            tracing::info!(%uid, "a change of the VM was cut off");
            let recorded = record.spec.clone();
            self.set(&lock, &mut record, &recorded, Touched::default())?;
        }
        Ok(())
    }

    /// Takes over the rates of `wanted`.
    fn set_rates(
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
        record.spec = changed.spec;
        Ok(lock.write_record(record)?)
    }

    /// Takes over another balloon. Where the running machine has none, or is to have none, it holds from
    /// the VM's next start on.
    fn set_balloon(
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
    /// was. That this run may have something else is recorded meanwhile, and stays so where the VM does
    /// not say what it did.
    fn tell(
        &self,
        lock: &VmLock,
        record: &mut VmRecord,
        request: Message,
        refused: Refused,
    ) -> Result<(), Error> {
        let Some(status) = self.running(lock)? else {
            return Ok(());
        };
        let former = record.update_pending;
        record.update_pending = status.started;
        lock.write_record(record)?;
        step::reached(Step::UpdateIntended);
        let answer = pause::ask(&self.config.paths.vm_run(record.uid), request);
        step::reached(Step::UpdateAnswered);
        match answer {
            Err(error) if self.running(lock)?.is_some() => {
                // A VM that refuses has what it had; of any other nobody knows.
                if matches!(error, control::Error::Refused { .. }) {
                    record.update_pending = former;
                    lock.write_record(record)?;
                }
                Err(refused(record.name.to_string(), error))
            }
            // One that ended in this moment has it from its next start on.
            Ok(_) | Err(_) => {
                record.update_pending = former;
                Ok(())
            }
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

/// Whether the VM's present run may have something else than its record: a change was cut off.
pub(crate) fn is_cut_off(record: &VmRecord, status: &StatusRecord) -> bool {
    let pending = record.update_pending;
    pending.is_some_and(|since| status.state.is_live() && status.started == Some(since))
}
