//! CHECK: whether an attachment is still as it was made.

use super::{Run, Runtime, Step, completed, extra, version_of};
use crate::attachment::Attachment;
use crate::config::NetworkConfig;
use crate::error::{Command, Error};
use crate::result;

impl Runtime {
    /// Runs CHECK of every plugin in order, each with the cached result, until one
    /// objects. A network that disabled CHECK is fine; one below 0.4.0 has none.
    pub fn check(
        &self,
        network: &NetworkConfig,
        attachment: &Attachment,
    ) -> Result<Vec<Run>, Error> {
        if !version_of(network)?.has_check() {
            return Err(Error::Unsupported {
                network: network.name.clone(),
                version: network.cni_version.clone(),
                command: Command::Check,
            });
        }
        if network.disable_check {
            return Ok(Vec::new());
        }
        let id = attachment.id();
        let not_attached = || Error::NotAttached {
            network: network.name.clone(),
            id: id.clone(),
        };
        let cached = self
            .cache()
            .read(&network.name, &id)?
            .ok_or_else(not_attached)?;
        let attachment = completed(attachment, cached.entry());
        let result = cached.result().ok_or_else(not_attached)?;
        let previous = result::convert(result, &network.cni_version).map_err(|source| {
            Error::CachedResult {
                network: network.name.clone(),
                id: id.clone(),
                source: Box::new(source),
            }
        })?;
        Step::all(network, Command::Check)
            .map(|step| {
                let extra = extra(Some(&previous), &attachment);
                Ok(self.call(&step, Some(&attachment), extra)?.run)
            })
            .collect()
    }
}
