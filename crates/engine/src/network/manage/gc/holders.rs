//! Docker's containers of VMs that are gone, or have given them up.
//!
//! Where no engine answers there is nothing to say: most hosts have none.

use ignite_docker::{Docker, Listed};

use super::{Gc, Kind};
use crate::network::Error as NetworkError;
use crate::network::docker;

impl Gc<'_> {
    /// Removes containers with our labels that no VM has.
    pub(super) fn holders(&mut self) {
        let identity = match docker::Identity::known(&self.engine.config.paths) {
            Ok(Some(identity)) => identity,
            Ok(None) => return,
            Err(error) => return self.fail_docker(docker::Error::Identity(error)),
        };
        let engine = match Docker::connect() {
            Ok(engine) => engine,
            Err(error) => return tracing::debug!(%error, "no Docker is asked"),
        };
        match engine.list(&docker::of_all(identity)) {
            Ok(listed) => {
                for container in &listed {
                    self.holder(&engine, identity, container);
                }
                if !listed.is_empty() && !self.is_dry() {
                    docker::prune(&engine);
                }
            }
            Err(error) => self.fail_docker(docker::Error::Docker(error)),
        }
    }

    fn holder(&mut self, engine: &Docker, identity: docker::Identity, container: &Listed) {
        let Some(uid) = docker::uid(&container.labels, identity) else {
            return;
        };
        let Some(_unheld) = self.unheld(uid, container) else {
            return;
        };
        let name = container.names.first().unwrap_or(&container.id);
        let removed = match self.is_dry() {
            true => Ok(()),
            false => docker::remove(engine, &container.id, name),
        };
        match removed {
            Ok(()) => {
                let text = format!("Docker's {}", container.id.get(..12).unwrap_or_default());
                self.release(Kind::Container, None, name, text);
            }
            Err(error) => self.fail_docker(error),
        }
    }

    fn fail_docker(&mut self, error: docker::Error) {
        self.garbage.failures.push(NetworkError::from(error).into());
    }
}
