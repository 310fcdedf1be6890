//! Whether anybody has a claim to what a container has on a network.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use ignite_api::Uid;
use ignite_docker::Listed;
use ignite_host::fs::Lock;
use ignite_store::{HolderRecord, Liveness, NetworkRecord, VmLock};

use super::Gc;
use crate::network::manage::ours;

/// Nobody has a claim, and nobody gets one while this is held.
pub(super) struct Vacant {
    /// Of a VM that is there and does not know of it.
    vm: Option<VmLock>,
    /// Of CNI's tool, where it was at work on the container.
    tool: Option<Lock>,
}

impl Vacant {
    /// What plugins keep open: should gc be killed, nobody else works on the container before the last
    /// of them has ended.
    pub(super) fn inherited(&self) -> Vec<Arc<OwnedFd>> {
        let vm = self.vm.as_ref().map(VmLock::to_fd);
        let tool = self.tool.as_ref().map(Lock::try_clone_fd);
        // A descriptor that cannot be copied is no reason to leave things as they are.
        let copied = vm.into_iter().chain(tool).filter_map(Result::ok);
        copied.map(Arc::new).collect()
    }
}

/// What a claim is asked about.
#[derive(Clone, Copy)]
pub(super) struct Holding<'a> {
    pub network: &'a str,
    pub container_id: &'a str,
    /// None where it is not known, and any counts.
    pub ifname: Option<&'a str>,
}

impl Gc<'_> {
    /// Nothing where the container is not a VM's, the VM lives or is being worked on, its record has
    /// the attachment, or cannot be read: what a VM may need is never taken away.
    ///
    /// The liveness lock counts whoever's VM it is: another data directory has VMs of its own, and
    /// shares `/run/ignite`.
    pub(super) fn vacant(&self, holding: Holding<'_>) -> Option<Vacant> {
        let uid = self.prefixes.uid(holding.container_id)?;
        let vm = match self.engine.vms.try_lock(uid) {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => return None,
            Err(error) if error.is_not_found() => None,
            Err(error) => {
                tracing::warn!(%uid, %error, "what the VM has is not known and stays");
                return None;
            }
        };
        if Liveness::is_held(&self.engine.config.paths, uid).unwrap_or(true) {
            return None;
        }
        let record = vm.as_ref().map(VmLock::network).transpose();
        let claimed = match record {
            Ok(record) => record.is_some_and(|record| has(&record, holding)),
            Err(error) => {
                tracing::warn!(%uid, %error, "what the VM has is not known and stays");
                true
            }
        };
        let tool = self.tool_lock(holding.container_id)?;
        (!claimed).then_some(Vacant { vm, tool })
    }

    /// The same for a namespace of a VM's name: nothing where the VM lives, or has it by its record.
    pub(super) fn deserted(&self, name: &str, path: &Path) -> Option<Vacant> {
        let uid = self.prefixes.uid(name)?;
        let vm = match self.engine.vms.try_lock(uid) {
            Ok(Some(lock)) => Some(lock),
            Err(error) if error.is_not_found() => None,
            _ => return None,
        };
        let lives = Liveness::is_held(&self.engine.config.paths, uid).unwrap_or(true);
        let recorded = match vm.as_ref().map(VmLock::network) {
            Some(Ok(record)) => record.sandbox.as_deref() == Some(path),
            Some(Err(_)) => true,
            None => false,
        };
        let tool = None;
        (!lives && !recorded).then_some(Vacant { vm, tool })
    }

    /// The same for a container of Docker's with this VM's label. Who holds the lock of a VM that is there
    /// need not ask whether it lives: what it has is recorded, and a container it was given before it
    /// moved to another network plugin is not.
    pub(super) fn unheld(&self, uid: Uid, container: &Listed) -> Option<Vacant> {
        let vm = match self.engine.vms.try_lock(uid) {
            Ok(Some(lock)) => Some(lock),
            Err(error) if error.is_not_found() => None,
            _ => return None,
        };
        let claimed = match vm.as_ref().map(VmLock::network) {
            Some(Ok(record)) => record.holder.is_some_and(|made| is(&made, container)),
            Some(Err(_)) => true,
            None => Liveness::is_held(&self.engine.config.paths, uid).unwrap_or(true),
        };
        let tool = None;
        (!claimed).then_some(Vacant { vm, tool })
    }

    /// The lock CNI's tool takes; none where it never did, or nothing where it holds it.
    #[expect(clippy::option_option, reason = "held by another, not there, or ours")]
    fn tool_lock(&self, container_id: &str) -> Option<Option<Lock>> {
        let directory = ours::locks(&self.engine.config.paths);
        match ignite_cni::lock::try_container(&directory, container_id) {
            Ok(ignite_cni::lock::Tried::Held) => None,
            Ok(ignite_cni::lock::Tried::Never) => Some(None),
            Ok(ignite_cni::lock::Tried::Taken(lock)) => Some(Some(lock)),
            Err(error) => {
                tracing::warn!(container_id, %error, "cannot tell whether it is in use");
                None
            }
        }
    }
}

/// Whether the container may be the recorded one: it has its name, or its id.
fn is(made: &HolderRecord, container: &Listed) -> bool {
    container.names.contains(&made.container) || made.id.as_ref() == Some(&container.id)
}

fn has(record: &NetworkRecord, holding: Holding<'_>) -> bool {
    record.attachments.iter().any(|made| {
        let same = |ifname: &str| ifname.is_empty() || ifname == made.interface;
        let network = holding.network.is_empty() || made.network == holding.network;
        network && made.container_id == holding.container_id && holding.ifname.is_none_or(same)
    })
}
