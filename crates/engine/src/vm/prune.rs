//! `prune`: VMs that have ended, and images and kernels that no VM uses.
//!
//! The newest kernel stays, used or not: it is what the next VM boots, and one that was imported from a
//! file would not be found again.
//!
//! Nothing that is in use is in danger: a VM goes under its lock and its liveness lock, which whoever
//! starts it takes first, an image under the lock that keeps VMs from being made of it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ignite_api::{Label, Uid};
use ignite_store::{Catalogue, StatusRecord, VmRecord};
use jiff::Timestamp;
use serde::Serialize;

use crate::imports::Import;
use crate::kernel::newest;
use crate::{Cancel, Engine, Error};

/// What is removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prune {
    /// Images and kernels as well.
    pub all: bool,
    /// Only what ended, or was imported, before.
    pub until: Option<Timestamp>,
    /// Only VMs with all of these labels; no image has any.
    pub labels: Vec<Label>,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pruned {
    /// VMs.
    pub vms: Vec<Uid>,
    /// Images.
    pub images: Vec<Uid>,
    /// Kernels.
    pub kernels: Vec<Uid>,
    /// Bytes of the disk they had.
    pub freed_bytes: u64,
}

impl Prune {
    fn takes(&self, record: &VmRecord, status: &StatusRecord) -> bool {
        let label = |label: &Label| {
            record.labels.get(label.key()).map(String::as_str) == Some(label.value())
        };
        // What is kept as a manifest says is not ours to take.
        record.managed.is_none()
            && self.is_old(status.ended.unwrap_or(record.created))
            && self.labels.iter().all(label)
    }

    fn is_old(&self, time: Timestamp) -> bool {
        self.until.is_none_or(|until| time <= until)
    }
}

impl Engine {
    /// Removes what is not in use; what failed is told besides what was removed.
    pub fn prune(&self, prune: &Prune, cancel: &Cancel) -> (Pruned, Vec<Error>) {
        let (mut pruned, mut failures) = (Pruned::default(), Vec::new());
        match self.vms.uids() {
            Ok(uids) => {
                for uid in uids.into_iter().take_while(|_| !cancel.is_cancelled()) {
                    match self.prune_vm(uid, prune) {
                        Ok(None) => {}
                        Ok(Some(bytes)) => {
                            pruned.vms.push(uid);
                            pruned.freed_bytes += bytes;
                        }
                        Err(error) => failures.push(error),
                    }
                }
            }
            Err(error) => failures.push(error.into()),
        }
        if prune.all && prune.labels.is_empty() {
            let mut freed = pruned.freed_bytes;
            pruned.images = self.prune_imports(
                &self.images,
                prune,
                |_| None,
                cancel,
                &mut freed,
                &mut failures,
            );
            pruned.kernels = self.prune_imports(
                &self.kernels,
                prune,
                |kernels| newest(kernels).map(|kernel| kernel.uid),
                cancel,
                &mut freed,
                &mut failures,
            );
            pruned.freed_bytes = freed;
        }
        failures.extend(cancel.check().err().map(Error::from));
        (pruned, failures)
    }

    /// Removes a VM that has ended, and tells the bytes it had; none where it stays.
    fn prune_vm(&self, uid: Uid, prune: &Prune) -> Result<Option<u64>, Error> {
        let lock = match self.vms.try_lock(uid) {
            Ok(Some(lock)) => lock,
            // Somebody is at work on it, or removed it.
            Ok(None) => return Ok(None),
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // One whose record cannot be read is for people to look at.
        let Ok(record) = lock.record() else {
            return Ok(None);
        };
        if !prune.takes(&record, &lock.status()?) {
            return Ok(None);
        }
        let Some(live) = self.take_liveness(uid)? else {
            return Ok(None);
        };
        self.repair(&lock, &live)?;
        let bytes = used(&lock.dir());
        drop(live);
        self.note("remove", uid, &record.name, &[]);
        lock.remove()?;
        Ok(Some(bytes))
    }

    fn prune_imports<R: Import>(
        &self,
        catalogue: &Catalogue<R>,
        prune: &Prune,
        spared: impl Fn(&[R]) -> Option<Uid>,
        cancel: &Cancel,
        freed: &mut u64,
        failures: &mut Vec<Error>,
    ) -> Vec<Uid> {
        let records = match catalogue.list() {
            Ok(listing) => listing.records,
            Err(error) => {
                failures.push(error.into());
                return Vec::new();
            }
        };
        let mut removed = Vec::new();
        let spared = spared(&records);
        let old = records
            .into_iter()
            .filter(|record| prune.is_old(record.imported()) && Some(record.uid()) != spared);
        for record in old.take_while(|_| !cancel.is_cancelled()) {
            let bytes = used(&catalogue.dir(record.uid()));
            match self.remove_import(catalogue, record.uid().as_str(), false) {
                Ok(uid) => {
                    removed.push(uid);
                    *freed += bytes;
                }
                Err(Error::InUse { .. }) => {}
                Err(Error::Store(error)) if error.is_not_found() => {}
                Err(error @ Error::UnknownUsers { .. }) => {
                    // It is the same of every other.
                    failures.push(error);
                    break;
                }
                Err(error) => failures.push(error),
            }
        }
        removed
    }
}

/// Bytes of the disk that a directory and the files in it have. What vanishes meanwhile has none.
fn used(directory: &Path) -> u64 {
    const BLOCK: u64 = 512;
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => used(&entry.path()),
        Ok(metadata) => metadata.blocks().saturating_mul(BLOCK),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

#[cfg(test)]
mod tests {
    use ignite_store::KernelRecord;

    use super::*;
    use crate::vm::tests::{add_image, add_kernel, create_as, engine, staged};

    /// It may have its disk upon any image.
    #[test]
    fn a_vm_that_cannot_be_read_keeps_all_images_and_kernels() {
        let root = tempfile::tempdir().expect("tempdir");
        let engine = engine(root.path());
        add_image(&engine);
        add_kernel(&engine);
        let uid = create_as(&engine, ignite_api::VmSpec::default()).expect("a VM");
        let record = engine.vms.dir(uid).join("vm.json");
        std::fs::write(&record, "{").expect("a record that is cut");
        let all = Prune {
            all: true,
            ..Prune::default()
        };
        let cancel = Cancel::new().expect("an eventfd");
        let (pruned, failures) = engine.prune(&all, &cancel);
        assert_eq!(pruned, Pruned::default());
        assert!(!failures.is_empty());
        for failure in &failures {
            assert!(matches!(failure, Error::UnknownUsers { .. }), "{failure:?}");
        }
        assert_eq!(engine.images.list().expect("listed").records.len(), 1);
    }

    #[test]
    fn the_newest_kernel_stays_and_every_other_goes_that_no_vm_uses() {
        let root = tempfile::tempdir().expect("tempdir");
        let engine = engine(root.path());
        add_image(&engine);
        add_kernel(&engine);
        create_as(&engine, ignite_api::VmSpec::default()).expect("a VM");
        let add = |second: i64| {
            let record = KernelRecord {
                uid: Uid::random(),
                names: vec![format!("kernel-{second}")],
                created: Timestamp::from_second(second).expect("in range"),
                digest: format!("sha256:a{second}"),
                source: "file".into(),
                version: "6.1".into(),
                size: ignite_api::Size::MIB,
                guest: None,
            };
            let made = engine.kernels.create(&record, &staged(&engine, "vmlinux"));
            made.expect("a kernel");
            record.uid
        };
        let (old, newest) = (add(1), add(2));
        let cancel = Cancel::new().expect("an eventfd");
        let labelled = Prune {
            all: true,
            labels: vec!["a=b".parse().expect("a label")],
            ..Prune::default()
        };
        assert_eq!(engine.prune(&labelled, &cancel).0, Pruned::default());
        let all = Prune {
            all: true,
            ..Prune::default()
        };
        let (pruned, failures) = engine.prune(&all, &cancel);
        assert!(failures.is_empty(), "{failures:?}");
        assert_eq!((pruned.vms.len(), pruned.images.len()), (1, 1));
        // The VM's own was older still.
        assert_eq!(pruned.kernels.len(), 2);
        assert!(pruned.kernels.contains(&old));
        let left = engine.kernels.list().expect("listed").records;
        assert_eq!(left.iter().map(|it| it.uid).collect::<Vec<_>>(), [newest]);
    }
}
