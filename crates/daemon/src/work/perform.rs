//! One order, as calls of the engine. Whatever is cut short is found by the next look at the VM.

use std::sync::Arc;

use ignite_api::{Reference, Uid, Vm};
use ignite_engine::{Cancel, CreateRequest, DEFAULT_GRACE, Engine, Error, Managed, StartOptions};
use ignite_host::error::chain;

use super::report::Lines;
use crate::desired::Fault;
use crate::plan::{Act, Order, fit, not_in_place};

/// An order with all that it needs.
pub struct Job {
    pub engine: Arc<Engine>,
    /// The source for which VMs are kept.
    pub by: String,
    pub order: Order,
    pub cancel: Cancel,
}

impl Job {
    /// Carries it out. A VM that was removed by hand in between is no failure: it is made anew.
    pub fn perform(&self) -> Result<(), Fault> {
        match self.act() {
            Ok(()) => Ok(()),
            Err(Trouble::Engine(_)) if self.is_gone() => Ok(()),
            Err(Trouble::Engine(error)) => Err(fault(error)),
            Err(Trouble::Manifest(fault)) => Err(fault),
        }
    }

    fn act(&self) -> Result<(), Trouble> {
        match self.order.act {
            Act::Create => self.create()?,
            Act::Adopt => self.adopt()?,
            Act::Note => self.note(self.order.wanted)?,
            Act::Update => self.update()?,
            Act::Start => self.start()?,
            Act::Stop => self.stop()?,
            Act::Restart => {
                // One that cannot be started again goes on as it is.
                self.engine.can_start(self.uid()?)?;
                self.stop()?;
                self.start()?;
            }
            Act::Recreate => {
                let (request, uid) = (self.request()?, self.uid()?);
                self.engine
                    .prepare_instead(request, uid, &self.report(), &self.cancel)?;
                self.remove(Some(&self.cancel))?;
                self.create()?;
            }
            Act::Remove => self.remove(None)?,
        }
        Ok(())
    }

    /// Whether the VM of an order about one that was there is not there any more.
    fn is_gone(&self) -> bool {
        let makes = matches!(self.order.act, Act::Create | Act::Recreate);
        let holder = self.order.uid.map(|uid| self.engine.holder(uid));
        !makes && matches!(holder, Some(Ok(None)))
    }

    fn create(&self) -> Result<(), Trouble> {
        let request = self.request()?;
        let created = self.engine.create(request, &self.report(), &self.cancel)?;
        tracing::info!(vm = %created.name, uid = %created.uid, "created");
        Ok(())
    }

    fn request(&self) -> Result<CreateRequest, Fault> {
        let vm = self.manifest()?;
        let reference = |oci: &Option<Reference>| oci.as_ref().map(ToString::to_string);
        Ok(CreateRequest {
            vm: vm.clone(),
            image: reference(&vm.spec.image.oci).ok_or_else(|| Fault::new("it names no image"))?,
            kernel: reference(&vm.spec.kernel.oci),
            remove_when_ended: false,
            managed: Some(self.managed(false)),
        })
    }

    /// Keeps a VM that is there, if no new one is needed for it to be as it should.
    fn adopt(&self) -> Result<(), Trouble> {
        let difference = self.engine.difference(self.uid()?, self.manifest()?)?;
        if !difference.recreate.is_empty() {
            let differs = not_in_place(&difference.recreate);
            let message = format!("its VM is there already, and {differs}");
            let hint = "write the manifest as the VM is, give another uid, \
                        or remove the VM with `ignite rm`";
            return Err(Fault::new(message).with_hint(hint).into());
        }
        self.note(false)
    }

    /// What holds only from the next start on leads to one: the next look at the VM shows it.
    fn update(&self) -> Result<(), Trouble> {
        let uid = self.uid()?;
        let own = self.engine.holder(uid)?.flatten();
        let own = own.and_then(|managed| managed.defaults);
        let vm = fit(self.manifest()?, &self.order.defaults, own.as_deref())?;
        let updated = self.engine.update(uid, &vm, &self.report())?;
        for change in &updated.changes {
            let (path, from, to) = (&change.path, &change.from, &change.to);
            tracing::info!(vm = %self.order.name, "changed {path} from {from} to {to}");
        }
        if updated.needs_restart {
            tracing::info!(vm = %self.order.name, "something of it holds from its next start on");
        }
        Ok(())
    }

    /// That it runs is noted when it does: from then on its policy speaks.
    fn start(&self) -> Result<(), Trouble> {
        let uid = self.uid()?;
        let (options, report) = (StartOptions::default(), self.report());
        match self
            .engine
            .start(uid.as_str(), &options, &report, &self.cancel)
        {
            Ok(started) => tracing::info!("{}", started.describe()),
            // By hand, a moment ago.
            Err(Error::Running { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.note(true)
    }

    /// That it is not to run is noted first: a stop that is cut short is not taken for an end of its own.
    fn stop(&self) -> Result<(), Trouble> {
        let uid = self.uid()?;
        self.note(false)?;
        let done = self.engine.stop(uid.as_str(), DEFAULT_GRACE)?;
        tracing::info!("{}", done.describe());
        Ok(())
    }

    fn remove(&self, cancel: Option<&Cancel>) -> Result<(), Trouble> {
        let uid = self.uid()?;
        match self.engine.remove_unless(uid.as_str(), true, cancel) {
            Ok(done) => tracing::info!("{}", done.describe()),
            Err(Error::Store(error)) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn note(&self, wanted: bool) -> Result<(), Trouble> {
        let mut managed = self.managed(wanted);
        if self.order.act != Act::Adopt {
            managed.defaults = None;
        }
        let managed = Some(managed);
        Ok(self.engine.manage(self.uid()?, managed)?)
    }

    fn managed(&self, wanted: bool) -> Managed {
        Managed {
            by: self.by.clone(),
            file: self.order.file.clone(),
            wanted,
            defaults: Some(Box::new((*self.order.defaults).clone())),
        }
    }

    fn uid(&self) -> Result<Uid, Fault> {
        let uid = self.order.uid;
        uid.ok_or_else(|| Fault::new("the VM is not there yet"))
    }

    fn manifest(&self) -> Result<&Vm, Fault> {
        let vm = self.order.vm.as_deref();
        vm.ok_or_else(|| Fault::new("its manifest is gone"))
    }

    fn report(&self) -> Lines<'_> {
        Lines {
            vm: &self.order.name,
        }
    }
}

/// Why an order was not carried out.
#[derive(Debug)]
enum Trouble {
    /// The engine says so.
    Engine(Error),
    /// It cannot be.
    Manifest(Fault),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Manifest(fault)
    }
}

/// What the engine says, as a fault of the manifest.
pub fn fault(error: Error) -> Fault {
    Fault {
        hint: error.hint(),
        ..Fault::new(chain(&error))
    }
}
