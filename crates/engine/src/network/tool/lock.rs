//! The right to do anything to a container, while CNI's tool is at work on it.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use ignite_host::fs::Lock;
use ignite_store::VmLock;

use super::Tool;
use crate::Error;
use crate::network::manage::ours;

/// Held until dropped.
pub(super) struct ContainerLock {
    container_id: String,
    held: Held,
}

enum Held {
    /// The container is a VM: the VM's own lock.
    Vm(VmLock),
    /// It is anybody's: a file in this directory, for that long.
    Any(Lock, PathBuf),
}

impl ContainerLock {
    /// Waits for it.
    pub fn wait(tool: &Tool<'_>, container_id: &str) -> Result<Self, Error> {
        Ok(Self {
            held: Held::wait(tool, container_id)?,
            container_id: container_id.to_owned(),
        })
    }

    /// For plugins at work on the container: should we be killed, it is held until they have ended.
    pub fn to_fd(&self) -> std::io::Result<OwnedFd> {
        match &self.held {
            Held::Vm(lock) => lock.to_fd(),
            Held::Any(lock, _) => lock.try_clone_fd(),
        }
    }
}

impl Held {
    fn wait(tool: &Tool<'_>, container_id: &str) -> Result<Self, Error> {
        if let Some(uid) = ours::uid(container_id) {
            match tool.engine.vms.lock(uid) {
                Err(error) if error.is_not_found() => {}
                lock => return Ok(Self::Vm(lock?)),
            }
        }
        let directory = ours::locks(&tool.engine.config.paths);
        std::fs::create_dir_all(&directory).map_err(Error::prepare(&directory))?;
        let lock = ignite_cni::lock::container(&directory, container_id).map_err(Error::File)?;
        Ok(Self::Any(lock, directory))
    }
}

impl Drop for ContainerLock {
    fn drop(&mut self) {
        let Held::Any(lock, directory) = &self.held else {
            return;
        };
        // Also for plugins that left something running which inherited it.
        let let_go = ignite_cni::lock::forget_container(directory, &self.container_id, lock);
        if let Err(error) = let_go {
            tracing::warn!(%error, "a lock that nobody needs stays");
        }
    }
}
