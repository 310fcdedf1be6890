//! Containers: made, started, looked at, removed.

use std::thread::sleep;
use std::time::{Duration, Instant};

use ignite_host::http::Method;
use serde_json::json;

use crate::client::{encode, part, unless_absent};
use crate::{Container, Docker, Error, Holder, Listed, Reason, answer, request};

/// For making and starting: the engine sets up a network, a file system and a process, of many at once.
const WORK: Duration = Duration::from_secs(60);
/// For a removal that somebody else began.
const REMOVAL: Duration = Duration::from_secs(20);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(50);
/// Bytes of a list: a thousand containers, with what an engine says of each.
const LIST: usize = 16 << 20;

impl Docker {
    /// Makes a container of `image` as `holder` says, on Docker's default bridge; its id. It is not started.
    ///
    /// # Errors
    /// Besides those of the way to the engine: [`Reason::NameTaken`], [`Reason::NoSuchImage`].
    pub fn create(&self, image: &str, holder: &Holder) -> Result<String, Error> {
        let action = || format!("create the container {:?}", holder.name);
        let path = format!("/containers/create?name={}", encode(part(&holder.name)?));
        let body = request::create(image, holder, self.version()).to_string();
        // Not called off: who does not hear of the container could not remove it.
        let request = self.request(Method::POST, &path).deadline(WORK).until(None);
        let created = self.ask(
            request.body("application/json", body.into_bytes()),
            answer::created,
            action,
        )?;
        for warning in created.warnings {
            tracing::debug!(container = holder.name, warning, "Docker warns");
        }
        Ok(created.id)
    }

    /// Starts a container, by its id or name; one that runs is fine.
    ///
    /// # Errors
    /// Besides those of the way to the engine: [`Reason::PortTaken`], [`Reason::NoSuchContainer`].
    pub fn start(&self, container: &str) -> Result<(), Error> {
        let path = format!("/containers/{}/start", part(container)?);
        let request = self.request(Method::POST, &path).deadline(WORK);
        self.send(request, || format!("start the container {container:?}"))?;
        Ok(())
    }

    /// What the engine knows of a container, by its id or name; nothing if there is none.
    ///
    /// # Errors
    /// Those of the way to the engine, and an answer that cannot be believed.
    pub fn inspect(&self, container: &str) -> Result<Option<Container>, Error> {
        let path = format!("/containers/{}/json", part(container)?);
        let action = || format!("inspect the container {container:?}");
        unless_absent(self.ask(self.request(Method::GET, &path), answer::container, action))
    }

    /// Ends a container and removes it with its volumes, whatever state it is in: nothing in it is worth a
    /// grace. One that is absent is fine; one that somebody else removes is waited for.
    ///
    /// # Errors
    /// If it is still there.
    pub fn remove(&self, container: &str) -> Result<(), Error> {
        let path = format!("/containers/{}?v=true&force=true", part(container)?);
        let request = self.request(Method::DELETE, &path);
        let removed = self.send(request, || format!("remove the container {container:?}"));
        match unless_absent(removed) {
            Err(error) if error.reason() == Some(Reason::Removing) => self.gone(container),
            result => result.map(drop),
        }
    }

    fn gone(&self, container: &str) -> Result<(), Error> {
        let end = Instant::now() + REMOVAL;
        while self.inspect(container)?.is_some() {
            if Instant::now() > end {
                return Err(Error::Removing {
                    container: container.to_owned(),
                });
            }
            sleep(LOOK);
        }
        Ok(())
    }

    /// Containers with this label (`key`, or `key=value`), running or not.
    ///
    /// # Errors
    /// Those of the way to the engine, and an answer that cannot be believed.
    pub fn list(&self, label: &str) -> Result<Vec<Listed>, Error> {
        let filters = encode(&json!({ "label": [label] }).to_string());
        let path = format!("/containers/json?all=true&filters={filters}");
        let request = self.request(Method::GET, &path).limit(LIST);
        self.ask(request, answer::listed, || {
            format!("list the containers with the label {label:?}")
        })
    }
}
