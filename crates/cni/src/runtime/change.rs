//! Another value of one capability for an attachment that stays: published ports, say.
//!
//! The specification has no command for it. The plugins that declare the capability are asked to DEL
//! and then to ADD, as they would be at the end of one attachment and the beginning of the next; the
//! others, the one that made the interface among them, notice nothing.

use std::path::PathBuf;

use ignite_host::step::{Step as Moment, reached};
use serde_json::Value;

use super::add::believe;
use super::again::again;
use super::{Run, Runtime, Step, extra, version_of};
use crate::attachment::Attachment;
use crate::config::NetworkConfig;
use crate::error::{Command, Error};
use crate::json::Object;
use crate::result;

/// A capability that changes.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Its name: `portMappings`.
    pub capability: &'a str,
    /// The attachment with everything that may have been made for it: DEL is told this. It is what
    /// is remembered until all of it is done.
    pub before: &'a Attachment,
    /// The attachment as it is to be.
    pub after: &'a Attachment,
    /// The result of its ADD.
    pub result: &'a Value,
}

impl Runtime {
    /// Whether a capability of this network can change while an attachment stays: some plugin
    /// declares it, and not the first one, which makes the interface.
    pub fn can_change(network: &NetworkConfig, capability: &str) -> bool {
        let mut declare = network
            .plugins
            .iter()
            .map(|plugin| plugin.capabilities.contains(capability));
        declare.next() == Some(false) && declare.any(|declares| declares)
    }

    /// Gives the plugins that declare a capability another value of it, and the cache as well.
    ///
    /// The attachment stays what its ADD gave. Interrupted, it is finished by the same call again,
    /// or released by a DEL as any other. When ADD fails, these plugins have been asked to DEL.
    pub fn change(&self, network: &NetworkConfig, change: Change<'_>) -> Result<Vec<Run>, Error> {
        change.after.validate(&network.name)?;
        let result = previous(network, &change)?;
        let steps = self.declaring(network, change.capability)?;
        self.remember(network, change.before, &result)?;
        let mut runs = self.take_back(network, &steps, change.before, &result)?;
        let added = again(|| {
            self.give(&steps, change.after, &result)
                .map_err(|source| self.undone(network, &steps, &change, &result, source))
        });
        runs.extend(added?);
        self.remember(network, change.after, &result)?;
        reached(Moment::AddCached);
        Ok(runs)
    }

    /// The plugins that declare the capability, in the order of ADD, with their programs.
    fn declaring<'a>(
        &self,
        network: &'a NetworkConfig,
        capability: &str,
    ) -> Result<Vec<(Step<'a>, PathBuf)>, Error> {
        Step::all(network, Command::Add)
            .filter(|step| step.plugin.capabilities.contains(capability))
            .map(|step| {
                let program = self.find(&step.plugin.kind);
                Ok((step, program.map_err(|source| step.failed(source))?))
            })
            .collect()
    }

    /// DEL of these plugins in reverse; all are asked, whichever fails.
    fn take_back(
        &self,
        network: &NetworkConfig,
        steps: &[(Step<'_>, PathBuf)],
        attachment: &Attachment,
        result: &Object,
    ) -> Result<Vec<Run>, Error> {
        let has_check = version_of(network)?.has_check();
        let previous = Some(result).filter(|_| has_check);
        let (mut runs, mut errors) = (Vec::new(), Vec::new());
        for (step, program) in steps.iter().rev() {
            let step = Step {
                command: Command::Del,
                ..*step
            };
            let extra = extra(previous, attachment);
            match again(|| self.call_program(program, &step, Some(attachment), extra)) {
                Ok(answer) => runs.push(answer.run),
                Err(error) => errors.push(error),
            }
            reached(Moment::DelAnswered);
        }
        Error::several(errors).map(|()| runs)
    }

    /// ADD of these plugins in order. What they answer must be a result, and is not used: they are
    /// not to change what the attachment is.
    fn give(
        &self,
        steps: &[(Step<'_>, PathBuf)],
        attachment: &Attachment,
        result: &Object,
    ) -> Result<Vec<Run>, Error> {
        let give = |(step, program): &(Step<'_>, PathBuf)| {
            let extra = extra(Some(result), attachment);
            let answer = self.call_program(program, step, Some(attachment), extra)?;
            believe(&answer.stdout, step.network, attachment)
                .map_err(|source| step.bad_result(source))?;
            reached(Moment::AddAnswered);
            Ok(answer.run)
        };
        steps.iter().map(give).collect()
    }

    /// What a failed ADD left is taken back; the error says if that failed too.
    fn undone(
        &self,
        network: &NetworkConfig,
        steps: &[(Step<'_>, PathBuf)],
        change: &Change<'_>,
        result: &Object,
        source: Error,
    ) -> Error {
        let rollback = self.take_back(network, steps, change.after, result);
        Error::Attach {
            network: network.name.clone(),
            id: change.after.id(),
            source: Box::new(source),
            rollback: rollback.err().map(Box::new),
        }
    }
}

/// The recorded result in the network's version.
fn previous(network: &NetworkConfig, change: &Change<'_>) -> Result<Object, Error> {
    let unusable = |source| Error::CachedResult {
        network: network.name.clone(),
        id: change.after.id(),
        source: Box::new(source),
    };
    let object = change.result.as_object().cloned().unwrap_or_default();
    result::convert(&object, &network.cni_version).map_err(unusable)
}
