//! DEL: everything that can be undone is undone, whatever fails.

use ignite_host::step::{Step as Moment, reached};

use super::again::again;
use super::{Run, Runtime, Step, completed, extra, version_of};
use crate::attachment::{Attachment, AttachmentId};
use crate::cache::{Cached, Entry};
use crate::config::NetworkConfig;
use crate::error::{Command, Error};
use crate::json::Object;
use crate::result;

impl Runtime {
    /// Detaches: runs every plugin in reverse order with the cached result.
    ///
    /// Arguments and capabilities that `attachment` leaves empty are those of the
    /// ADD. A cached result that cannot be used is done without. All plugins are
    /// run, whichever fails; the cache is kept then, so that DEL can be tried
    /// again. What is not attached is detached with success, any number of times.
    pub fn del(&self, network: &NetworkConfig, attachment: &Attachment) -> Result<Vec<Run>, Error> {
        let id = attachment.id();
        let cached = self.tolerated(&network.name, &id);
        let attachment = completed(attachment, cached.as_ref().and_then(Cached::entry));
        let previous = cached.as_ref().and_then(Cached::result);
        let previous =
            previous.and_then(|result| result::convert(result, &network.cni_version).ok());
        let runs = self.del_all(network, &attachment, previous.as_ref())?;
        self.forget(&network.name, &id);
        reached(Moment::DelForgotten);
        Ok(runs)
    }

    /// Detaches by what the cache alone knows: the network's configuration at the
    /// time of ADD, the arguments, the namespace. For networks whose file is gone
    /// or changed.
    pub fn del_cached(&self, network: &str, id: &AttachmentId) -> Result<Vec<Run>, Error> {
        let entry = self
            .cached(network, id)?
            .ok_or_else(|| Error::NotAttached {
                network: network.to_owned(),
                id: id.clone(),
            })?;
        let config = cached_config(&entry)?;
        self.del(&config, &entry.attachment)
    }

    /// All plugins in reverse order; from 0.4.0 on with the result.
    pub(super) fn del_all(
        &self,
        network: &NetworkConfig,
        attachment: &Attachment,
        previous: Option<&Object>,
    ) -> Result<Vec<Run>, Error> {
        let previous = previous.filter(|_| network.version().is_ok_and(|v| v.has_check()));
        let mut runs = Vec::new();
        let mut errors = Vec::new();
        for step in Step::all(network, Command::Del).rev() {
            match again(|| self.call(&step, Some(attachment), extra(previous, attachment))) {
                Ok(answer) => runs.push(answer.run),
                Err(error) => errors.push(error),
            }
            reached(Moment::DelAnswered);
        }
        // A version that is none would have been refused by every plugin.
        errors.extend(version_of(network).err());
        Error::several(errors).map(|()| runs)
    }

    /// What is cached, if it can be used; what cannot is removed.
    fn tolerated(&self, network: &str, id: &AttachmentId) -> Option<Cached> {
        match self.cache().read(network, id) {
            Ok(cached) => cached,
            Err(error) => {
                tracing::warn!(
                    error = crate::error::chain(&error),
                    "the cached result is not used"
                );
                self.forget(network, id);
                None
            }
        }
    }

    pub(super) fn forget(&self, network: &str, id: &AttachmentId) {
        if let Err(error) = self.cache().remove(network, id) {
            tracing::warn!(error = crate::error::chain(&error), "a cache file stays");
        }
    }
}

/// The configuration an attachment was made with.
pub(super) fn cached_config(entry: &Entry) -> Result<NetworkConfig, Error> {
    NetworkConfig::parse(&entry.config).map_err(|source| Error::CachedConfig {
        network: entry.network.clone(),
        id: entry.attachment.id(),
        source: Box::new(source),
    })
}
