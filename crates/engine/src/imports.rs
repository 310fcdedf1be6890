//! What images and kernels have in common once they are imported: they are listed, looked at, used by
//! VMs, and removed.

use ignite_api::{Metadata, Size, Uid};
use ignite_host::fs::Lock;
use ignite_store::{Catalogue, Entry, VmRecord};
use jiff::Timestamp;

use crate::{Engine, Error};

/// An image or kernel that was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Its uid.
    pub uid: Uid,
    /// Its name.
    pub name: String,
    /// Its size.
    pub size: Size,
    /// Whether it was there before.
    pub already: bool,
}

impl Imported {
    /// One line for people; `kind` is `image` or `kernel`.
    pub fn describe(&self, kind: &str) -> String {
        let how = if self.already {
            "already have"
        } else {
            "imported"
        };
        format!(
            "{how} {kind} {} ({}, {})",
            self.name,
            self.uid,
            self.size.human()
        )
    }
}

/// What is done with images and kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// A VM is made of them.
    Use,
    /// They are removed.
    Remove,
}

/// A record of something imported.
pub(crate) trait Import: Entry {
    /// What people see of it.
    type Object;

    /// What people see of this one.
    fn object(self) -> Self::Object;

    /// When it was imported.
    fn imported(&self) -> Timestamp;

    /// The one of these that a VM uses.
    fn of(vm: &VmRecord) -> Uid;
}

/// All of one kind, and what could not be read, in words.
pub(crate) fn list<R: Import>(
    catalogue: &Catalogue<R>,
) -> Result<(Vec<R::Object>, Vec<String>), Error> {
    let listing = catalogue.list()?;
    let faults = listing.faults.iter().map(ToString::to_string).collect();
    let objects = listing.records.into_iter().map(Import::object).collect();
    Ok((objects, faults))
}

/// The one that `text` means.
pub(crate) fn find<R: Import>(catalogue: &Catalogue<R>, text: &str) -> Result<R::Object, Error> {
    Ok(catalogue.get(catalogue.resolve(text)?)?.object())
}

/// How an object of this record is known.
pub(crate) fn metadata(record: &impl Entry, name: &str, created: Timestamp) -> Metadata {
    Metadata {
        name: name.to_owned(),
        uid: Some(record.uid()),
        created: Some(created),
        ..Metadata::default()
    }
}

impl Engine {
    /// Keeps images and kernels from being removed between their look-up and the record of the VM
    /// that uses them, and the other way round.
    pub(crate) fn in_use(&self, access: Access) -> Result<Lock, Error> {
        let path = self.config.paths.data.join("use.lock");
        let lock = match access {
            Access::Use => Lock::shared(&path),
            Access::Remove => Lock::exclusive(&path),
        };
        lock.map_err(Error::File)
    }

    /// Removes what `text` means; with the VMs that use it only if `force`.
    pub(crate) fn remove_import<R: Import>(
        &self,
        catalogue: &Catalogue<R>,
        text: &str,
        force: bool,
    ) -> Result<Uid, Error> {
        let uid = catalogue.resolve(text)?;
        let _alone = self.in_use(Access::Remove)?;
        let vms = self.vms.list()?;
        let what = format!("{} {text}", R::KIND.to_string().to_lowercase());
        // One whose record cannot be read may have its disk upon it.
        if let (Some(source), false) = (vms.faults.into_iter().next(), force) {
            return Err(Error::UnknownUsers { what, source });
        }
        let users = vms.records.into_iter();
        let users = users.filter(|vm| R::of(vm) == uid).collect();
        self.remove_users(&what, users, force)?;
        catalogue.remove(uid)?;
        Ok(uid)
    }
}
