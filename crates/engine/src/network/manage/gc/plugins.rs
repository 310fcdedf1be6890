//! GC of a network's plugins, from CNI 1.1.0 on.
//!
//! A plugin removes whatever belongs to no attachment on the list it is given. A list of our own
//! attachments would be the end of every other program's, so the list holds all that VMs' records and
//! the caches of CNI runtimes say, ours and others'. A program that attaches containers and keeps no
//! such cache would still lose them: where an address is leased to somebody no cache knows, the
//! plugins are not asked. A network can always keep them from it by `disableGC`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use ignite_cni::cache::{Cache, Filter};
use ignite_cni::lease;
use ignite_cni::{AttachmentId, NetworkConfig};

use super::{Gc, ManageError};
use crate::Error;

/// Whether the plugins of a network can and may be asked.
pub(super) fn can_collect(network: &NetworkConfig) -> bool {
    let has_gc = network
        .version()
        .is_ok_and(ignite_cni::Version::has_gc_and_status);
    has_gc && !network.disable_gc
}

impl Gc<'_> {
    /// Tells the plugins who is valid; they remove the rest.
    pub(super) fn collect_by_plugins(&mut self, network: &NetworkConfig) {
        let valid = match self.valid(&network.name) {
            Ok(valid) => valid,
            Err(error) => return self.garbage.failures.push(error),
        };
        if let Some(stranger) = self.stranger(network, &valid) {
            self.garbage.remarks.push(format!(
                "the plugins of network {} are not asked to collect: {stranger}, which no CNI cache knows",
                network.name
            ));
            return;
        }
        // No DEL here: what is cached by now and not on the list was made since, by somebody who takes
        // no lock of ours.
        let collected = self.engine.config.cni.gc_by_plugins(network, &valid);
        for run in &collected.runs {
            self.garbage.plugins += run.elapsed;
        }
        for source in collected.errors {
            let (network, source) = (network.name.clone(), Box::new(source));
            self.fail(ManageError::Collect { network, source });
        }
    }

    /// Everybody who is attached to the network, ours and others'.
    fn valid(&self, network: &str) -> Result<BTreeSet<AttachmentId>, Error> {
        let mut valid = self.engine.recorded_attachments(network)?;
        let filter = Filter {
            network: Some(network),
            container_id: None,
        };
        for cache in self.caches() {
            let entries = Cache::new(&cache)
                .list(filter)
                .map_err(|error| super::NetworkError::Manage(Box::new(error.into())))?;
            valid.extend(entries.iter().map(|entry| entry.attachment.id()));
        }
        Ok(valid)
    }

    /// The cache directories of CNI runtimes: our own, which is libcni's, and those that others keep
    /// inside it (`cache`, `multus`).
    fn caches(&self) -> Vec<PathBuf> {
        let own = &self.engine.config.cni.cache_dir;
        let inside = fs::read_dir(own).into_iter().flatten().flatten();
        let mut caches = vec![own.clone()];
        caches.extend(
            inside
                .map(|entry| entry.path())
                .filter(|path| path.join("results").is_dir()),
        );
        caches
    }

    /// Somebody with an address of the network whom nobody knows, in words.
    fn stranger(&self, network: &NetworkConfig, valid: &BTreeSet<AttachmentId>) -> Option<String> {
        let valid: BTreeSet<&str> = valid.iter().map(|id| id.container_id.as_str()).collect();
        let known = |container_id: &str| {
            // Leaked ones of ours are for the plugins to collect.
            self.prefixes.uid(container_id).is_some() || valid.contains(container_id)
        };
        let leases = match lease::list(&lease::directory(network)) {
            Ok(leases) => leases,
            Err(error) => return Some(ignite_cni::error::chain(&error)),
        };
        let stranger = leases.iter().find(|lease| !known(&lease.container_id))?;
        Some(format!(
            "{} is leased to {}",
            stranger.address, stranger.container_id
        ))
    }
}
