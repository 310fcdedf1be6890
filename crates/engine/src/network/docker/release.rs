//! Release: the sandbox's name, then the container, with either or both gone if need be.

use std::time::{Duration, Instant};

use ignite_api::Uid;
use ignite_docker::{Container, Docker};
use ignite_host::netns;
use ignite_host::step::{self, Step};
use ignite_store::{AttachmentState, HolderRecord, NetworkRecord, VmLock};

use super::{DockerBridge, Error, Identity, labels};
use crate::network::Error as NetworkError;

/// For each answer: an engine that works removes a container within a second, and the VM's lock is
/// held meanwhile.
const PATIENCE: Duration = Duration::from_secs(15);

/// What took longer was done by an engine that has enough to do.
const QUICK: Duration = Duration::from_secs(3);

impl DockerBridge<'_> {
    /// Removes the VM's container. Where its engine does not do it, the container stays recorded; all
    /// failures are returned.
    pub fn release(&self, lock: &VmLock) -> Result<(), Vec<NetworkError>> {
        let mut network = lock.network().map_err(|error| vec![error.into()])?;
        announce(lock, &mut network);
        let mut failures = Vec::new();
        // Docker needs it not, and it would keep what Docker cannot take away.
        let unnamed = network.sandbox.as_deref().map_or(Ok(()), netns::delete);
        failures.extend(unnamed.err().map(NetworkError::Namespace));
        let removed = network
            .holder
            .as_ref()
            .map(|holder| self.remove(lock, holder));
        match removed {
            Some(Err(error)) => failures.push(error.into()),
            Some(Ok(())) | None => {
                network.holder = None;
                network.attachments.clear();
                let written = lock.write_network(&network);
                failures.extend(written.err().map(NetworkError::from));
            }
        }
        step::reached(Step::ReleaseCleared);
        if failures.is_empty() {
            Ok(())
        } else {
            Err(failures)
        }
    }

    fn remove(&self, lock: &VmLock, holder: &HolderRecord) -> Result<(), Error> {
        let remains = remains(&holder.container);
        let begun = Instant::now();
        let docker = Docker::at(&holder.socket)
            .map_err(&remains)?
            .within(PATIENCE);
        let key = holder.id.as_ref().unwrap_or(&holder.container);
        match docker.inspect(key).map_err(&remains)? {
            Some(found) if self.is_of(lock.uid(), holder, &found) => {
                remove(&docker, &found.id, &holder.container)?;
            }
            Some(other) => {
                tracing::info!(container = other.name, "another's container is not touched");
            }
            None => {}
        }
        step::reached(Step::HolderRemoved);
        if begun.elapsed() < QUICK {
            prune(&docker);
        }
        Ok(())
    }

    /// Whether the container is the VM's: the recorded one, or one that this data directory asked for.
    /// The record is enough, should the directory have lost its identity.
    fn is_of(&self, vm: Uid, holder: &HolderRecord, found: &Container) -> bool {
        let whose = match holder.id.as_ref() == Some(&found.id) {
            true => labels::claimed(&found.labels),
            false => Identity::known(self.paths)
                .unwrap_or_default()
                .and_then(|identity| labels::uid(&found.labels, identity)),
        };
        whose == Some(vm)
    }
}

/// Removes a container, which has a `name` for messages.
pub(crate) fn remove(docker: &Docker, id: &str, name: &str) -> Result<(), Error> {
    docker.remove(id).map_err(remains(name))
}

fn remains(container: &str) -> impl Fn(ignite_docker::Error) -> Error {
    let container = container.to_owned();
    move |source| Error::Remains {
        container: container.clone(),
        source: Box::new(source),
    }
}

/// Records that the release begins.
fn announce(lock: &VmLock, network: &mut NetworkRecord) {
    for made in &mut network.attachments {
        made.state = AttachmentState::Releasing;
    }
    if let Err(error) = lock.write_network(network) {
        // The release can be run again, whatever the record says.
        tracing::warn!(%error, "the release is not recorded before it begins");
    }
    step::reached(Step::ReleaseIntended);
}

/// Takes the image away behind the last container. An image that stays is in nobody's way, so nobody
/// waits for it.
pub(crate) fn prune(docker: &Docker) {
    if let Err(error) = docker.clone().within(QUICK).prune_holder_images() {
        tracing::info!(%error, "an image without a container stays");
    }
}

/// Gives up a container that its engine does not remove: it is found by its labels once the engine is
/// well again (`network gc`).
pub(crate) fn forsake(lock: &VmLock) -> Result<(), NetworkError> {
    let mut network = lock.network()?;
    network.holder = None;
    network.attachments.clear();
    Ok(lock.write_network(&network)?)
}

#[cfg(test)]
mod tests {
    use ignite_store::Paths;

    use super::*;

    #[test]
    fn the_recorded_container_is_the_vms_whatever_its_directory_is_called() {
        let root = tempfile::tempdir().expect("a directory");
        let paths = Paths::under(root.path()).with_data(root.path());
        let (vm, id, name) = (Uid::random(), "f0".repeat(32), "ignite-x".to_owned());
        let found = |labels: &[(&str, &str)]| Container {
            id: id.clone(),
            name: name.clone(),
            running: false,
            pid: None,
            network: None,
            labels: labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            exit_code: 0,
            error: String::new(),
        };
        let holder = |id: Option<&String>| HolderRecord {
            container: name.clone(),
            id: id.cloned(),
            socket: "/run/docker.sock".into(),
            image: None,
            process: None,
        };
        let bridge = DockerBridge::new(&paths);
        let bare = found(&[("ignite.uid", vm.as_str())]);
        assert!(bridge.is_of(vm, &holder(Some(&id)), &bare));
        assert!(!bridge.is_of(Uid::random(), &holder(Some(&id)), &bare));
        // By its name alone it must be of this data directory.
        assert!(!bridge.is_of(vm, &holder(None), &bare));
        let identity = Identity::of(&paths).expect("an identity");
        let ours = [
            ("ignite.uid", vm.as_str()),
            ("ignite.data-id", identity.as_str()),
        ];
        assert!(bridge.is_of(vm, &holder(None), &found(&ours)));
        let theirs = [
            ("ignite.uid", vm.as_str()),
            ("ignite.data-id", "0123456789abcdef"),
        ];
        assert!(!bridge.is_of(vm, &holder(None), &found(&theirs)));
    }
}
