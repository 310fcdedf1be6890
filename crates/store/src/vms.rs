//! The VMs of a host.

use std::path::{Path, PathBuf};

use ignite_api::{Kind, Name, Uid};
use ignite_host::fs::Lock;
use ignite_host::step::{self, Step};

use crate::objects::{LOCK, Listing, Objects, remove_tree, store_lock};
use crate::record::network::NetworkRecord;
use crate::record::status::StatusRecord;
use crate::record::vm::VmRecord;
use crate::resolve::{Candidate, resolve};
use crate::summary::{self, Summary, VmSummary};
use crate::{Error, Liveness, Paths, json};

const RECORD: &str = "vm.json";
const NETWORK: &str = "network.json";
const STATUS: &str = "status.json";

/// The VMs of a host.
#[derive(Debug, Clone)]
pub struct Vms {
    paths: Paths,
    objects: Objects<VmRecord>,
}

impl Vms {
    /// The VMs below these paths; nothing is made before it is needed.
    pub fn new(paths: &Paths) -> Self {
        let objects = Objects::new(Kind::Vm, paths.vms(), RECORD);
        Self {
            paths: paths.clone(),
            objects,
        }
    }

    /// Makes a VM whose name and uid nobody has; its lock is held from the first moment.
    pub fn create(&self, record: &VmRecord) -> Result<VmLock, Error> {
        self.begin(record.uid)?.finish(record, || Ok(()))
    }

    /// Begins a VM that has more than a record: what belongs to it is put into its directory before
    /// that gets its name. Nobody else waits for that, however long it takes.
    pub fn begin(&self, uid: Uid) -> Result<Begun, Error> {
        let _store = store_lock(&self.paths.data)?;
        let directory = self.objects.begin(uid)?;
        let lock = Lock::exclusive(&directory.join(LOCK)).inspect_err(|_| {
            // The first failure is the one to report; `repair` sweeps what stays.
            let _ = remove_tree(&directory);
        })?;
        Ok(Begun {
            vms: self.clone(),
            uid,
            directory,
            lock: Some(lock),
        })
    }

    /// Nobody but `own` may be called so, by name or by uid: each of both is enough to mean a VM.
    fn check_name(&self, own: Uid, name: &str) -> Result<(), Error> {
        let vms = self.summary()?.vms;
        let mut others = vms.into_iter().filter(|vm| vm.uid != own);
        let clashes =
            |vm: &VmSummary| vm.name == name || vm.uid.as_str() == name || vm.name == own.as_str();
        match others.find(clashes) {
            None => Ok(()),
            Some(vm) if vm.name == own.as_str() => Err(Error::UidTaken {
                kind: Kind::Vm,
                uid: own,
            }),
            Some(vm) => Err(Error::NameTaken {
                kind: Kind::Vm,
                name: name.to_owned(),
                uid: vm.uid,
            }),
        }
    }

    /// Waits until nobody else is at work on the VM.
    pub fn lock(&self, uid: Uid) -> Result<VmLock, Error> {
        self.locked(uid, Lock::exclusive(&self.dir(uid).join(LOCK)))
    }

    /// The VM's lock, none where somebody else is at work on it.
    pub fn try_lock(&self, uid: Uid) -> Result<Option<VmLock>, Error> {
        match Lock::try_exclusive(&self.dir(uid).join(LOCK)) {
            Ok(None) => Ok(None),
            Ok(Some(lock)) => self.locked(uid, Ok(lock)).map(Some),
            Err(error) => self.locked(uid, Err(error)).map(Some),
        }
    }

    fn locked(
        &self,
        uid: Uid,
        lock: Result<Lock, ignite_host::fs::Error>,
    ) -> Result<VmLock, Error> {
        match lock {
            Ok(lock) => Ok(VmLock {
                vms: self.clone(),
                uid,
                lock,
            }),
            Err(error) if error.is_not_found() => Err(Error::NotFound {
                kind: Kind::Vm,
                text: uid.to_string(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// The record of one VM.
    pub fn get(&self, uid: Uid) -> Result<VmRecord, Error> {
        self.objects.get(uid)
    }

    /// The attachments of one VM; none where it was never attached.
    pub fn network(&self, uid: Uid) -> Result<NetworkRecord, Error> {
        Ok(json::read(&self.dir(uid).join(NETWORK))?.unwrap_or_default())
    }

    /// How one VM is doing, as last written; whether that still holds, [`Liveness`] says.
    pub fn status(&self, uid: Uid) -> Result<StatusRecord, Error> {
        Ok(json::read(&self.dir(uid).join(STATUS))?.unwrap_or_default())
    }

    /// All VMs, in the order of their uids.
    pub fn list(&self) -> Result<Listing<VmRecord>, Error> {
        self.objects.list()
    }

    /// All uids in order, whether or not their records can be read.
    pub fn uids(&self) -> Result<Vec<Uid>, Error> {
        self.objects.uids()
    }

    /// What `ps` shows of all VMs.
    pub fn summary(&self) -> Result<Summary, Error> {
        summary::read(self, &self.paths)
    }

    /// The VM that a uid, a name, or the beginning of either means.
    pub fn resolve(&self, text: &str) -> Result<Uid, Error> {
        // A whole uid is known without a look at all the others.
        if let Ok(uid) = text.parse::<Uid>()
            && self.dir(uid).is_dir()
        {
            return Ok(uid);
        }
        let summary = self.summary()?;
        let named = summary.vms.iter().map(|vm| Candidate {
            uid: vm.uid,
            names: vec![&vm.name],
        });
        // A VM whose record is damaged still has its uid.
        let damaged = summary.damaged.iter().map(|uid| Candidate {
            uid: *uid,
            names: Vec::new(),
        });
        resolve(Kind::Vm, text, named.chain(damaged))
    }

    /// The name that the VM with this durable directory has in this moment.
    pub fn name_in(directory: &Path) -> Result<Option<Name>, Error> {
        let record: Option<VmRecord> = json::read(&directory.join(RECORD))?;
        Ok(record.map(|record| record.name))
    }

    /// Durable directory of a VM.
    pub fn dir(&self, uid: Uid) -> PathBuf {
        self.objects.path(uid)
    }

    pub(crate) fn root(&self) -> &Path {
        self.objects.directory()
    }

    /// Sweeps what is left of VMs half made or half removed; returns what was swept.
    pub fn repair(&self) -> Result<Vec<PathBuf>, Error> {
        let _store = store_lock(&self.paths.data)?;
        self.objects.repair()
    }

    /// What [`repair`](Self::repair) would sweep; what is begun or removed in this moment may be among
    /// it.
    pub fn halves(&self) -> Result<Vec<PathBuf>, Error> {
        self.objects.halves()
    }
}

/// A VM that is being made: nobody finds it, and without [`finish`](Self::finish) it is gone.
#[derive(Debug)]
pub struct Begun {
    vms: Vms,
    uid: Uid,
    directory: PathBuf,
    /// Taken when the VM is made.
    lock: Option<Lock>,
}

impl Begun {
    /// Its directory, to be filled.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Gives the VM its record and its name, which nobody may have. No other VM is made meanwhile, so
    /// what must be no other VM's is compared in `check`; that should not take long.
    pub fn finish<E: From<Error>>(
        mut self,
        record: &VmRecord,
        check: impl FnOnce() -> Result<(), E>,
    ) -> Result<VmLock, E> {
        let vms = self.vms.clone();
        let _store = store_lock(&vms.paths.data)?;
        vms.check_name(self.uid, record.name.as_str())?;
        check()?;
        vms.objects.finish(self.uid, record)?;
        Ok(VmLock {
            vms,
            uid: self.uid,
            lock: self.lock.take().expect("nobody else takes it"),
        })
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if self.lock.is_some() {
            // Of what failed before the caller hears; `repair` sweeps what stays.
            let _ = remove_tree(&self.directory);
        }
    }
}

/// The right to change a VM, held until dropped.
#[derive(Debug)]
pub struct VmLock {
    vms: Vms,
    uid: Uid,
    lock: Lock,
}

impl VmLock {
    /// The VM.
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// Its durable directory.
    pub fn dir(&self) -> PathBuf {
        self.vms.dir(self.uid)
    }

    /// Another descriptor of the lock, for processes at work on the VM: should we die, the lock is
    /// held until they have ended. Should we live, it ends with us all the same, whatever they have
    /// left running.
    pub fn to_fd(&self) -> std::io::Result<std::os::fd::OwnedFd> {
        self.lock.try_clone_fd()
    }

    /// Its record.
    pub fn record(&self) -> Result<VmRecord, Error> {
        self.vms.get(self.uid)
    }

    /// Its attachments.
    pub fn network(&self) -> Result<NetworkRecord, Error> {
        self.vms.network(self.uid)
    }

    /// How it is doing, as last written.
    pub fn status(&self) -> Result<StatusRecord, Error> {
        self.vms.status(self.uid)
    }

    /// Replaces its record.
    pub fn write_record(&self, record: &VmRecord) -> Result<(), Error> {
        self.vms.objects.write(self.uid, record)
    }

    /// Gives it another name, which nobody may have.
    pub fn rename(&self, name: Name) -> Result<(), Error> {
        let _store = store_lock(&self.vms.paths.data)?;
        let mut record = self.record()?;
        if record.name == name {
            return Ok(());
        }
        self.vms.check_name(self.uid, name.as_str())?;
        record.name = name;
        self.write_record(&record)
    }

    /// Replaces its attachments.
    pub fn write_network(&self, record: &NetworkRecord) -> Result<(), Error> {
        json::write(&self.dir().join(NETWORK), record)
    }

    /// Replaces how it is doing, which only the holder of its liveness lock may.
    pub fn write_status(&self, record: &StatusRecord, _live: &Liveness) -> Result<(), Error> {
        write_status(&self.dir(), record)
    }

    /// Removes the VM with all that is in its directories.
    pub fn remove(self) -> Result<(), Error> {
        // The runtime directory first: without the record nobody would look for it any more.
        remove_tree(&self.vms.paths.vm_run(self.uid))?;
        step::reached(Step::RemoveRun);
        self.vms.objects.remove(self.uid)
    }
}

impl Drop for VmLock {
    fn drop(&mut self) {
        self.lock.release();
    }
}

/// Replaces `status.json` in a VM's directory: for the supervisor, which holds the liveness lock.
pub fn write_status(directory: &Path, record: &StatusRecord) -> Result<(), Error> {
    json::write(&directory.join(STATUS), record)
}

#[cfg(test)]
#[path = "vms_tests.rs"]
mod tests;
