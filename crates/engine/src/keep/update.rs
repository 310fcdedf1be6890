//! The change that needs no new VM.

use ignite_api::{NetworkPlugin, PortMapping, Uid, Vm};
use ignite_store::{Liveness, PortsPending, VmLock, VmRecord};

use super::{Difference, Updated, diff};
use crate::network::cni::{Cni, Way};
use crate::vm::update::Touched;
use crate::{Engine, Error, Report};

impl Engine {
    /// In what a VM is not as `vm` says; nothing on the host is looked at.
    pub fn difference(&self, uid: Uid, vm: &Vm) -> Result<Difference, Error> {
        let (record, status) = (self.vms.get(uid)?, self.vms.status(uid)?);
        Ok(diff::difference(&record, &status, vm))
    }

    /// Changes what needs no new VM. Interrupted, it is finished by doing it again: the difference
    /// is there until then.
    ///
    /// Ports of a running VM are published anew with nothing else of its network touched, where its
    /// network can do that; else they hold from its next start on. Its rates are changed at once, and so
    /// is its balloon, if it was started with one. What fails for one of them does not hold up the rest.
    pub fn update(&self, uid: Uid, vm: &Vm, report: &dyn Report) -> Result<Updated, Error> {
        crate::vm::create::check(vm)?;
        let lock = self.vms.lock(uid)?;
        let mut record = lock.record()?;
        let changes = diff::difference(&record, &lock.status()?, vm).in_place;
        if changes.is_empty() {
            return Ok(Updated::default());
        }
        diff::apply(&mut record, vm);
        lock.write_record(&record)?;
        let touched = Touched {
            rates: diff::has_rates(&changes),
            balloon: changes.iter().any(|change| change.path == diff::BALLOON),
        };
        let set = self.set(&lock, &mut record, &vm.spec, touched);
        let mut needs_restart = diff::runs_otherwise(&record, &lock.status()?);
        if changes.iter().any(|change| change.path == diff::PORTS) {
            needs_restart |= self.publish(&lock, record, &vm.spec.network.ports, report)?;
        }
        set.map(|()| Updated {
            changes,
            needs_restart,
        })
    }

    /// Records other ports, and sees to it that they are published where that can be done now;
    /// whether only a start of the VM does that.
    fn publish(
        &self,
        lock: &VmLock,
        mut record: VmRecord,
        wanted: &[PortMapping],
        report: &dyn Report,
    ) -> Result<bool, Error> {
        let paths = &self.config.paths;
        if !Liveness::is_held(paths, record.uid)? {
            self.settle(lock, &mut record, wanted)?;
            // It may have died with the former ports published.
            if let Some(live) = self.take_liveness(record.uid)? {
                self.repair(lock, &live)?;
            }
            return Ok(false);
        }
        let former = std::mem::replace(&mut record.spec.network.ports, wanted.to_vec());
        let way = match record.network_plugin {
            NetworkPlugin::Cni => {
                let cni = Cni::new(&self.config, lock)?;
                cni.way(&record, &lock.network()?, report)?
            }
            NetworkPlugin::DockerBridge => Way::Restart,
        };
        record.spec.network.ports.clone_from(&former);
        self.reserve_more(lock, &mut record, wanted, report)?;
        match way {
            Way::Live => self.publish_now(lock, record, (&former, wanted), report)?,
            Way::Nothing => self.settle(lock, &mut record, wanted)?,
            // Until then the former ones stay the VM's: they are published still.
            Way::Restart => match &mut record.ports_pending {
                Some(pending) => {
                    pending.next_start = Some(wanted.to_vec());
                    lock.write_record(&record)?;
                }
                None => self.settle(lock, &mut record, wanted)?,
            },
        }
        Ok(way == Way::Restart)
    }

    /// Makes the new ports the VM's, beside those it has: from now on nobody else gets them. Until
    /// all is done the record says that the present run does not have them.
    fn reserve_more(
        &self,
        lock: &VmLock,
        record: &mut VmRecord,
        wanted: &[PortMapping],
        report: &dyn Report,
    ) -> Result<(), Error> {
        let former = record.spec.network.ports.clone();
        let mut asking = record.clone();
        asking.spec.network.ports = unless_had(wanted, &former);
        let _ports = self.free_ports(&asking, &former, report)?;
        record.spec.network.ports = together(wanted, &former);
        let started = lock.status()?.started;
        record.ports_pending = started.map(|since| PortsPending {
            since,
            next_start: None,
        });
        Ok(lock.write_record(record)?)
    }

    /// Publishes the ports, or those the VM had where that fails.
    fn publish_now(
        &self,
        lock: &VmLock,
        mut record: VmRecord,
        (former, wanted): (&[PortMapping], &[PortMapping]),
        report: &dyn Report,
    ) -> Result<(), Error> {
        let cni = Cni::new(&self.config, lock)?;
        record.spec.network.ports = wanted.to_vec();
        let Err(error) = cni.publish(lock, &record, report) else {
            return self.settle(lock, &mut record, wanted);
        };
        record.spec.network.ports = former.to_vec();
        match cni.publish(lock, &record, report) {
            Ok(()) => self.settle(lock, &mut record, former)?,
            // The record says that the run's ports are not as they should be.
            Err(error) => {
                tracing::warn!(uid = %record.uid, %error, "the former ports are not published");
            }
        }
        Err(error.into())
    }

    /// Records that the VM has these ports and no others.
    fn settle(
        &self,
        lock: &VmLock,
        record: &mut VmRecord,
        ports: &[PortMapping],
    ) -> Result<(), Error> {
        record.spec.network.ports = ports.to_vec();
        record.ports_pending = None;
        Ok(lock.write_record(record)?)
    }
}

/// The ports that are not the VM's already: those are taken, by itself.
fn unless_had(wanted: &[PortMapping], former: &[PortMapping]) -> Vec<PortMapping> {
    let place = |port: &PortMapping| (port.bind, port.host_port, port.protocol);
    let new = |port: &&PortMapping| !former.iter().any(|had| place(had) == place(port));
    wanted.iter().filter(new).copied().collect()
}

/// All that are wanted, and of the former ones what can be published beside them.
fn together(wanted: &[PortMapping], former: &[PortMapping]) -> Vec<PortMapping> {
    let beside = |port: &&PortMapping| !wanted.iter().any(|new| new.overlaps(port));
    let beside = former.iter().filter(beside).copied();
    wanted.iter().copied().chain(beside).collect()
}
