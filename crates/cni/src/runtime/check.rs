//! CHECK: whether an attachment is still as it was made.

use super::{Run, Runtime, Step, completed, extra, version_of};
use crate::attachment::Attachment;
use crate::config::NetworkConfig;
use crate::error::{Command, Error};
use crate::json::Object;
use crate::result;

/// What one plugin says of an attachment.
#[derive(Debug)]
pub struct Checked {
    /// The plugin's type.
    pub plugin: String,
    /// Its run, or what it objects to.
    pub outcome: Result<Run, Error>,
}

impl Runtime {
    /// Runs CHECK of every plugin in order, each with the cached result, until one
    /// objects. A network that disabled CHECK is fine; one below 0.4.0 has none.
    pub fn check(
        &self,
        network: &NetworkConfig,
        attachment: &Attachment,
    ) -> Result<Vec<Run>, Error> {
        let Some((attachment, previous)) = self.checkable(network, attachment)? else {
            return Ok(Vec::new());
        };
        Step::all(network, Command::Check)
            .map(|step| self.check_one(&step, &attachment, &previous))
            .collect()
    }

    /// The same, but every plugin is asked, whatever those before it said.
    pub fn check_each(
        &self,
        network: &NetworkConfig,
        attachment: &Attachment,
    ) -> Result<Vec<Checked>, Error> {
        let Some((attachment, previous)) = self.checkable(network, attachment)? else {
            return Ok(Vec::new());
        };
        let answers = Step::all(network, Command::Check).map(|step| Checked {
            plugin: step.plugin.kind.clone(),
            outcome: self.check_one(&step, &attachment, &previous),
        });
        Ok(answers.collect())
    }

    fn check_one(
        &self,
        step: &Step<'_>,
        attachment: &Attachment,
        previous: &Object,
    ) -> Result<Run, Error> {
        let extra = extra(Some(previous), attachment);
        Ok(self.call(step, Some(attachment), extra)?.run)
    }

    /// The attachment as it was made, with its result; none where CHECK is disabled.
    fn checkable(
        &self,
        network: &NetworkConfig,
        attachment: &Attachment,
    ) -> Result<Option<(Attachment, Object)>, Error> {
        if !version_of(network)?.has_check() {
            return Err(Error::Unsupported {
                network: network.name.clone(),
                version: network.cni_version.clone(),
                command: Command::Check,
            });
        }
        if network.disable_check {
            return Ok(None);
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
        Ok(Some((attachment, previous)))
    }
}
