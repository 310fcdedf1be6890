//! ADD: all plugins, or none.

use std::path::PathBuf;

use ignite_host::step::{Step as Moment, reached};
use serde_json::Value;

use super::again::again;
use super::{AddResult, Run, Runtime, Step, extra};
use crate::attachment::Attachment;
use crate::cache::Entry;
use crate::config::NetworkConfig;
use crate::error::{Command, Error};
use crate::json::Object;
use crate::result::{self, NetworkResult};

/// What the plugins have given so far.
#[derive(Default)]
struct Progress {
    result: Option<(Object, NetworkResult)>,
    runs: Vec<Run>,
}

impl Runtime {
    /// Attaches: runs every plugin in order, remembers each result in the cache.
    ///
    /// Before anything runs, all programs must be there, all names valid, and the
    /// attachment not made yet. After a failure a DEL of all plugins is run; the
    /// error says if that failed too ([`Error::must_retry_del`]). A failure that
    /// passes by itself is undone and all of it tried again a few times.
    pub fn add(
        &self,
        network: &NetworkConfig,
        attachment: &Attachment,
    ) -> Result<AddResult, Error> {
        let programs = self.programs(network)?;
        attachment.validate(&network.name)?;
        if self.cache().contains(&network.name, &attachment.id())? {
            let (network, id) = (network.name.clone(), attachment.id());
            return Err(Error::AlreadyAttached { network, id });
        }
        again(|| self.add_once(network, &programs, attachment))
    }

    fn add_once(
        &self,
        network: &NetworkConfig,
        programs: &[PathBuf],
        attachment: &Attachment,
    ) -> Result<AddResult, Error> {
        let mut progress = Progress::default();
        let outcome = self.add_all(network, programs, attachment, &mut progress);
        match outcome {
            Ok(()) => {
                let (raw, result) = progress.result.unwrap_or_default();
                Ok(AddResult {
                    result,
                    raw: Value::Object(raw),
                    runs: progress.runs,
                })
            }
            Err(error) => Err(self.roll_back(network, attachment, &progress, error)),
        }
    }

    /// The programs of all plugins, so that a missing one is known beforehand.
    fn programs(&self, network: &NetworkConfig) -> Result<Vec<PathBuf>, Error> {
        Step::all(network, Command::Add)
            .map(|step| {
                self.find(&step.plugin.kind)
                    .map_err(|source| step.failed(source))
            })
            .collect()
    }

    fn add_all(
        &self,
        network: &NetworkConfig,
        programs: &[PathBuf],
        attachment: &Attachment,
        progress: &mut Progress,
    ) -> Result<(), Error> {
        for (step, program) in Step::all(network, Command::Add).zip(programs) {
            let previous = progress.result.as_ref().map(|(raw, _)| raw);
            let extra = extra(previous, attachment);
            let answer = self.call_program(program, &step, Some(attachment), extra)?;
            let believed = believe(&answer.stdout, network, attachment)
                .map_err(|source| step.bad_result(source))?;
            progress.runs.push(answer.run);
            reached(Moment::AddAnswered);
            let known = progress.result.replace(believed);
            let raw = progress.result.as_ref().map(|(raw, _)| raw);
            // Most plugins hand on what they were given.
            if let Some(raw) = raw.filter(|raw| known.is_none_or(|(known, _)| known != **raw)) {
                self.remember(network, attachment, raw)?;
            }
            reached(Moment::AddCached);
        }
        Ok(())
    }

    /// Writes the cache, after every plugin that changed the result: should this process be killed before the
    /// next one, DEL finds what there is by what is known so far. Without it the
    /// network could not be taken down properly, so failing here is failing.
    pub(super) fn remember(
        &self,
        network: &NetworkConfig,
        attachment: &Attachment,
        result: &Object,
    ) -> Result<(), Error> {
        let entry = Entry {
            network: network.name.clone(),
            attachment: attachment.clone(),
            config: network.cache_bytes(),
            result: Some(result.clone()),
        };
        Ok(self.cache().write(&entry)?)
    }

    /// DEL of all plugins, the failed one and those not reached included. They get
    /// the last good result: some can find what is theirs only by its addresses. It
    /// stays in the cache if not all could be undone.
    fn roll_back(
        &self,
        network: &NetworkConfig,
        attachment: &Attachment,
        progress: &Progress,
        source: Error,
    ) -> Error {
        reached(Moment::AddFailed);
        let previous = progress.result.as_ref().map(|(raw, _)| raw);
        let rollback = self
            .del_all(network, attachment, previous)
            .err()
            .map(Box::new);
        match &rollback {
            None => self.forget(&network.name, &attachment.id()),
            Some(error) => {
                tracing::warn!(%error, network = network.name, "roll-back of a failed ADD failed");
            }
        }
        reached(Moment::AddUndone);
        let (network, id) = (network.name.clone(), attachment.id());
        Error::Attach {
            network,
            id,
            source: Box::new(source),
            rollback,
        }
    }
}

/// A plugin's output as a result in the network's version, checked.
pub(super) fn believe(
    stdout: &[u8],
    network: &NetworkConfig,
    attachment: &Attachment,
) -> Result<(Object, NetworkResult), result::ResultError> {
    let raw = result::parse_output(stdout, &network.cni_version)?;
    let decoded = NetworkResult::decode(&raw)?;
    decoded.validate(&attachment.ifname)?;
    let same = crate::version::of(&raw) == Some(network.cni_version.as_str());
    let raw = if same {
        raw
    } else {
        result::convert(&raw, &network.cni_version)?
    };
    Ok((raw, decoded))
}
