//! The holder's image: made where it is absent, removed when nothing uses it.

use std::path::Path;
use std::time::Duration;

use ignite_host::http::Method;
use serde_json::json;

use crate::archive::{Archive, LABEL, REPOSITORY, archive};
use crate::client::{encode, part, unless_absent};
use crate::{Docker, Error, Reason, answer};

/// For an engine that unpacks it onto a slow disk.
const LOAD: Duration = Duration::from_secs(120);
/// Bytes of a list of images.
const LIST: usize = 16 << 20;

impl Docker {
    /// Makes the image of the static program `holder`, an image of this one file; its reference. Where it
    /// is present already nothing is done; a foreign image of that name loses the name. Nothing keeps it
    /// until a container is made of it: somebody may prune it, and [`Reason::NoSuchImage`] says so then.
    ///
    /// # Errors
    /// If the program cannot be read, or the engine does not take the image; [`Reason::NoSuchImage`] if
    /// somebody removed it meanwhile.
    pub fn ensure_holder_image(&self, holder: &Path) -> Result<String, Error> {
        let program = std::fs::read(holder).map_err(|source| Error::Program {
            path: holder.to_owned(),
            source,
        })?;
        let Archive {
            reference,
            layer,
            bytes,
        } = archive(&program);
        if self.has_image(&reference, &layer)? == Some(true) {
            return Ok(reference);
        }
        let action = || format!("load the image {reference}");
        let request = self
            .request(Method::POST, "/images/load?quiet=true")
            .body("application/x-tar", bytes)
            .deadline(LOAD);
        self.ask(request, answer::progress, action)?
            .map_err(|message| Error::Refused {
                action: action(),
                status: 200,
                reason: Reason::Other,
                message,
            })?;
        match self.has_image(&reference, &layer)? {
            Some(true) => Ok(reference),
            Some(false) => Err(Error::OtherImage { reference }),
            None => Err(Error::ImageGone { reference }),
        }
    }

    /// Whether the name is that of an image with this layer alone; none where it is no image's.
    fn has_image(&self, reference: &str, layer: &str) -> Result<Option<bool>, Error> {
        let path = format!("/images/{}/json", part(reference)?);
        let action = || format!("inspect the image {reference}");
        let found =
            unless_absent(self.ask(self.request(Method::GET, &path), answer::layers, action))?;
        Ok(found.map(|layers| layers == [layer]))
    }

    /// Removes holder images that no container uses. What is in use, or goes in this moment, is left alone;
    /// as long as there is any holder, so is every image: the next one is likely to be of it.
    ///
    /// # Errors
    /// The first failure of another kind; the others were removed nevertheless.
    pub fn prune_holder_images(&self) -> Result<(), Error> {
        // A container has the labels of its image.
        if !self.list(LABEL)?.is_empty() {
            return Ok(());
        }
        let filters = json!({ "label": [LABEL], "reference": [REPOSITORY] });
        let path = format!("/images/json?filters={}", encode(&filters.to_string()));
        let request = self.request(Method::GET, &path).limit(LIST);
        let tags = self.ask(request, answer::tags, || "list the holder images".into())?;
        let ours = |tag: &&String| {
            tag.split_once(':')
                .is_some_and(|(name, _)| name == REPOSITORY)
        };
        tags.iter()
            .filter(ours)
            .map(|tag| self.remove_image(tag))
            // Not short-circuited: one failure keeps no other image.
            .fold(Ok(()), Result::and)
    }

    fn remove_image(&self, reference: &str) -> Result<(), Error> {
        let path = format!("/images/{}", part(reference)?);
        let request = self.request(Method::DELETE, &path);
        let removed = self.send(request, || format!("remove the image {reference}"));
        match unless_absent(removed) {
            Err(error) if error.reason() == Some(Reason::InUse) => Ok(()),
            result => result.map(drop),
        }
    }
}
