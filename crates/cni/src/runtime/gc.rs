//! GC: what belongs to no valid attachment goes. The caller holds the network's
//! lock exclusively.

use std::collections::BTreeSet;

use super::{Run, Runtime, Step, version_of};
use crate::attachment::AttachmentId;
use crate::cache::{Entry, Filter};
use crate::config::NetworkConfig;
use crate::error::{Command, Error};
use crate::stdin::Extra;

/// What a GC did.
#[derive(Debug, Default)]
pub struct Collected {
    /// Attachments released by DEL.
    pub released: Vec<AttachmentId>,
    /// The plugin processes that ended well.
    pub runs: Vec<Run>,
    /// What failed; everything else was done nevertheless.
    pub errors: Vec<Error>,
}

impl Runtime {
    /// The cached attachments of a network that are not valid: what [`Self::gc`]
    /// would release.
    pub fn stale(
        &self,
        network: &str,
        valid: &BTreeSet<AttachmentId>,
    ) -> Result<Vec<Entry>, Error> {
        let filter = Filter {
            network: Some(network),
            container_id: None,
        };
        let mut entries = self.cache().list(filter)?;
        entries.retain(|entry| !valid.contains(&entry.attachment.id()));
        Ok(entries)
    }

    /// Releases every cached attachment of the network that is not in `valid`, then
    /// tells every plugin which ones are (from version 1.1.0 on). Does nothing for a
    /// network that disabled GC.
    pub fn gc(&self, network: &NetworkConfig, valid: &BTreeSet<AttachmentId>) -> Collected {
        let mut collected = Collected::default();
        if network.disable_gc {
            return collected;
        }
        self.cache().sweep();
        match self.stale(&network.name, valid) {
            Ok(entries) => {
                for entry in &entries {
                    collected.release(entry, self.del(network, &entry.attachment));
                }
            }
            Err(error) => collected.errors.push(error),
        }
        let by_plugins = self.gc_by_plugins(network, valid);
        collected.runs.extend(by_plugins.runs);
        collected.errors.extend(by_plugins.errors);
        collected
    }

    /// Only the second half: tells every plugin which attachments are valid, where the network has a
    /// GC and did not disable it. Nothing is released by DEL.
    pub fn gc_by_plugins(
        &self,
        network: &NetworkConfig,
        valid: &BTreeSet<AttachmentId>,
    ) -> Collected {
        let mut collected = Collected::default();
        match version_of(network) {
            Ok(version) if version.has_gc_and_status() && !network.disable_gc => {
                self.tell_valid(network, valid, &mut collected);
            }
            Ok(_) => {}
            Err(error) => collected.errors.push(error),
        }
        collected
    }

    fn tell_valid(
        &self,
        network: &NetworkConfig,
        valid: &BTreeSet<AttachmentId>,
        collected: &mut Collected,
    ) {
        let valid: Vec<AttachmentId> = valid.iter().cloned().collect();
        for step in Step::all(network, Command::Gc) {
            match self.call(&step, None, Extra::Valid(&valid)) {
                Ok(answer) => collected.runs.push(answer.run),
                Err(error) => collected.errors.push(error),
            }
        }
    }
}

impl Collected {
    fn release(&mut self, entry: &Entry, outcome: Result<Vec<Run>, Error>) {
        match outcome {
            Ok(runs) => {
                self.released.push(entry.attachment.id());
                self.runs.extend(runs);
            }
            Err(error) => self.errors.push(error),
        }
    }
}
