//! Makes a VM's container, whatever is in the way.

use std::path::PathBuf;

use ignite_docker::{Container, Docker, Error as DockerError, Holder, Reason};
use ignite_host::step::{self, Step};
use ignite_store::{HolderRecord, Paths, ProcessRecord};

use super::{Error, Identity, labels};
use crate::config::program;
use crate::network::Error as NetworkError;
use crate::network::plugin::Request;

/// How often making the container is tried: its image may be pruned, or a container of its name appear
/// (asked for by a process that was killed), between two requests. Where VMs come and go all the time,
/// it may be pruned more than once.
const TRIES: usize = 10;

/// What a container is made of.
pub(super) struct Maker<'a> {
    docker: &'a Docker,
    paths: &'a Paths,
    request: &'a Request<'a>,
    program: PathBuf,
    identity: Identity,
}

impl<'a> Maker<'a> {
    /// Finds what is needed; of the container, makes nothing.
    pub fn new(
        docker: &'a Docker,
        paths: &'a Paths,
        request: &'a Request<'a>,
    ) -> Result<Self, Error> {
        let program = program("ignite-holder", "IGNITE_HOLDER").ok_or(Error::NoProgram)?;
        Ok(Self {
            docker,
            paths,
            request,
            program,
            identity: Identity::of(paths).map_err(Error::Identity)?,
        })
    }

    /// The container, running.
    pub fn run(&self) -> Result<Container, NetworkError> {
        self.note(|_| {})?;
        step::reached(Step::AttachIntended);
        let id = self.create()?;
        step::reached(Step::HolderCreated);
        self.note(|holder| holder.id = Some(id.clone()))?;
        self.request.cancel.check()?;
        self.docker.start(&id).map_err(Error::Docker)?;
        step::reached(Step::HolderStarted);
        let container = self.docker.inspect(&id).map_err(Error::Docker)?;
        Ok(container.ok_or_else(|| Error::Ended {
            container: self.name().to_owned(),
            reason: "it was removed".into(),
        })?)
    }

    /// Records the container's first process.
    pub fn note_process(&self, process: &ProcessRecord) -> Result<(), NetworkError> {
        self.note(|holder| holder.process = Some(process.clone()))
    }

    /// The VM's container id is its name.
    fn name(&self) -> &str {
        &self.request.record.container_id
    }

    fn note(&self, change: impl FnOnce(&mut HolderRecord)) -> Result<(), NetworkError> {
        let mut network = self.request.lock.network()?;
        let holder = network.holder.get_or_insert_with(|| HolderRecord {
            container: self.name().to_owned(),
            id: None,
            socket: self.docker.socket().to_owned(),
            image: None,
            process: None,
        });
        change(holder);
        Ok(self.request.lock.write_network(&network)?)
    }

    fn create(&self) -> Result<String, NetworkError> {
        let holder = self.holder();
        let mut tries = 1;
        loop {
            self.request.cancel.check()?;
            self.clear_name()?;
            match self.try_create(&holder)? {
                Ok(id) => return Ok(id),
                Err(error) if tries < TRIES && is_passing(&error) => {
                    tracing::info!(%error, "making the container once more");
                    tries += 1;
                }
                Err(error) => return Err(Error::Docker(error).into()),
            }
        }
    }

    /// The container's id, or why Docker does not make it.
    fn try_create(&self, holder: &Holder) -> Result<Result<String, DockerError>, NetworkError> {
        let image = match self.docker.ensure_holder_image(&self.program) {
            Ok(image) => image,
            Err(error) => return Ok(Err(error)),
        };
        self.note(|holder| holder.image = Some(image.clone()))?;
        Ok(self.docker.create(&image, holder))
    }

    /// Removes a container of our name that an earlier start left; another's is not touched.
    fn clear_name(&self) -> Result<(), Error> {
        let found = self.docker.inspect(self.name()).map_err(Error::Docker)?;
        match found {
            None => Ok(()),
            Some(left)
                if labels::uid(&left.labels, self.identity) == Some(self.request.record.uid) =>
            {
                tracing::info!(container = left.name, "removing a container that was left");
                self.docker.remove(&left.id).map_err(Error::Docker)
            }
            Some(other) => Err(Error::NameTaken {
                container: self.name().to_owned(),
                id: other.id,
            }),
        }
    }

    fn holder(&self) -> Holder {
        let record = self.request.record;
        Holder {
            name: record.container_id.clone(),
            mac: record.interfaces[0].mac,
            ports: record.spec.network.ports.clone(),
            labels: labels::of(record, self.paths, self.identity),
        }
    }
}

/// Whether somebody came in between.
fn is_passing(error: &DockerError) -> bool {
    matches!(
        error.reason(),
        Some(Reason::NameTaken | Reason::NoSuchImage)
    )
}
