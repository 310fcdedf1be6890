//! What no cache knows: leases, rules and namespaces of VMs that are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Instant;

use ignite_cni::cache::{Entry, Filter};
use ignite_cni::leak::{self, Owner, Subject};
use ignite_cni::lease::{self, Lease};
use ignite_host::netns;

use super::attachments::Gone;
use super::claim::Holding;
use super::{Gc, Kind, plugins};
use crate::network::Error as NetworkError;
use crate::network::manage::addresses_of;

/// What may be leaked on one network: everything that bears a VM's container ID.
#[derive(Default)]
pub(super) struct Suspects {
    pub entries: Vec<Entry>,
    pub leases: Vec<Lease>,
    pub owners: Vec<Owner>,
    /// Directories of leases.
    pub directories: BTreeSet<PathBuf>,
}

impl Gc<'_> {
    /// Everything that bears a VM's container ID, by network.
    pub(super) fn suspects(&mut self) -> BTreeMap<String, Suspects> {
        let mut found: BTreeMap<String, Suspects> = BTreeMap::new();
        for (name, directory) in self.lease_directories() {
            let suspects = found.entry(name.clone()).or_default();
            match lease::list(&directory) {
                Ok(leases) => {
                    let ours = |lease: &Lease| self.prefixes.uid(&lease.container_id).is_some();
                    suspects.leases.extend(leases.into_iter().filter(ours));
                }
                Err(error) => self.fail(error.into()),
            }
            let torn = match self.is_dry() {
                true => lease::torn(&directory),
                false => lease::remove_torn(&directory),
            };
            match torn {
                Ok(torn) => {
                    for address in torn {
                        let text = format!("{address}, of nobody");
                        self.release(Kind::Lease, Some(&name), "", text);
                    }
                }
                Err(error) => self.fail(error.into()),
            }
            let suspects = found.entry(name).or_default();
            suspects.directories.insert(directory);
        }
        match self.engine.config.cni.cache().list(Filter::default()) {
            Ok(entries) => {
                for entry in entries {
                    if self.prefixes.uid(&entry.attachment.container_id).is_some() {
                        let suspects = found.entry(entry.network.clone()).or_default();
                        suspects.entries.push(entry);
                    }
                }
            }
            Err(error) => self.fail(error.into()),
        }
        let begin = Instant::now();
        let (owners, errors) = leak::owners();
        self.garbage.filter += begin.elapsed();
        for owner in owners {
            if self.prefixes.uid(&owner.container_id).is_some() {
                let suspects = found.entry(owner.network.clone()).or_default();
                suspects.owners.push(owner);
            }
        }
        for error in errors {
            let error = NetworkError::Leak(error);
            self.garbage.failures.push(error.into());
        }
        for config in self.networks.all() {
            if plugins::can_collect(config) {
                found.entry(config.name.clone()).or_default();
            }
        }
        found
    }

    /// Where networks keep their leases: the directories of those there are, and whatever else is in
    /// the usual place.
    fn lease_directories(&self) -> BTreeSet<(String, PathBuf)> {
        let mut directories: BTreeSet<(String, PathBuf)> = self
            .configs()
            .into_iter()
            .map(|(name, config)| (name.to_owned(), lease::directory(config)))
            .collect();
        let usual = fs::read_dir(lease::DEFAULT_DIRECTORY);
        for entry in usual.into_iter().flatten().flatten() {
            if let Ok(name) = entry.file_name().into_string() {
                directories.insert((name, entry.path()));
            }
        }
        directories
    }

    /// Whether it is worth stopping everybody else on the network.
    pub(super) fn any_leaked(&self, network: &str, suspects: &Suspects) -> bool {
        let vacant = |container_id: &str, ifname| {
            let holding = Holding {
                network,
                container_id,
                ifname,
            };
            self.vacant(holding).is_some()
        };
        let entries = suspects.entries.iter().map(|entry| &entry.attachment);
        entries
            .map(|made| (&made.container_id, &made.ifname))
            .chain(
                suspects
                    .leases
                    .iter()
                    .map(|lease| (&lease.container_id, &lease.ifname)),
            )
            .any(|(id, ifname)| vacant(id, Some(ifname)))
            || suspects
                .owners
                .iter()
                .any(|owner| vacant(&owner.container_id, owner.ifname.as_deref()))
    }

    /// Leases and rules that DEL left, or that nothing else knew of.
    pub(super) fn left_over(&mut self, network: &str, suspects: &Suspects, gone: Gone) {
        let leaked = self.leaked_leases(network, suspects, &gone);
        let orphans = self.orphaned_rules(network, suspects, &gone);
        for (_, leases) in &leaked {
            for lease in leases {
                let text = format!("{} {}", lease.ifname, lease.address);
                self.release(Kind::Lease, Some(network), &lease.container_id, text);
            }
        }
        let by_lease: BTreeSet<&str> = leaked
            .iter()
            .flat_map(|(_, leases)| leases.iter().map(|lease| lease.container_id.as_str()))
            .collect();
        let mut told = BTreeSet::new();
        for owner in &orphans {
            let id = owner.container_id.as_str();
            let said = gone.has(id) || by_lease.contains(id);
            if !said && told.insert(id) {
                let name = Some(network).filter(|name| !name.is_empty());
                self.release(Kind::Rules, name, id, "rules and chains".into());
            }
        }
        if self.is_dry() {
            return;
        }
        let mut subjects = gone.subjects;
        subjects.extend(
            leaked
                .iter()
                .flat_map(|(_, leases)| leases)
                .map(|lease| Subject {
                    network: network.to_owned(),
                    container_id: lease.container_id.clone(),
                    ifname: lease.ifname.clone(),
                    // Still taken by it, so nobody else's.
                    addresses: vec![lease.address],
                }),
        );
        let taken = if orphans.iter().any(|owner| owner.address.is_some()) {
            self.taken(network, suspects, &leaked)
        } else {
            BTreeSet::new()
        };
        subjects.extend(orphans.iter().map(|owner| {
            let free = owner.address.filter(|address| !taken.contains(address));
            let addresses = free.into_iter().collect();
            Subject {
                addresses,
                ..owner.subject()
            }
        }));
        let begin = Instant::now();
        let (removed, errors) = leak::remove_all(&subjects);
        self.garbage.filter += begin.elapsed();
        tracing::debug!(
            network,
            rules = removed.rules,
            chains = removed.chains,
            "removed"
        );
        for error in errors {
            let error = NetworkError::Leak(error);
            self.garbage.failures.push(error.into());
        }
        for (directory, leases) in &leaked {
            let (_, errors) = lease::remove(directory, leases);
            for error in errors {
                self.fail(error.into());
            }
        }
    }

    /// Leases that are still there and nobody has a claim to, by directory.
    fn leaked_leases(
        &mut self,
        network: &str,
        suspects: &Suspects,
        gone: &Gone,
    ) -> Vec<(PathBuf, Vec<Lease>)> {
        if suspects.leases.is_empty() {
            return Vec::new();
        }
        let mut found = Vec::new();
        for directory in &suspects.directories {
            let leases = match lease::list(directory) {
                Ok(leases) => leases,
                Err(error) => {
                    self.fail(error.into());
                    continue;
                }
            };
            let leaked = leases.into_iter().filter(|lease| {
                let holding = Holding {
                    network,
                    container_id: &lease.container_id,
                    ifname: Some(&lease.ifname),
                };
                // In a dry run DEL has not released them yet.
                let by_del = self.is_dry() && gone.has(&lease.container_id);
                let kept = self.kept.contains(&lease.container_id);
                !by_del && !kept && self.vacant(holding).is_some()
            });
            let leaked: Vec<Lease> = leaked.collect();
            found.push((directory.clone(), leaked));
        }
        found
    }

    fn orphaned_rules(&self, network: &str, suspects: &Suspects, gone: &Gone) -> Vec<Owner> {
        let orphaned = suspects.owners.iter().filter(|owner| {
            let holding = Holding {
                network,
                container_id: &owner.container_id,
                ifname: owner.ifname.as_deref(),
            };
            let kept = self.kept.contains(&owner.container_id);
            !gone.has(&owner.container_id) && !kept && self.vacant(holding).is_some()
        });
        orphaned.cloned().collect()
    }

    /// Addresses of the network that somebody has: rules that say nothing but an address of theirs
    /// are not to be removed.
    fn taken(
        &self,
        network: &str,
        suspects: &Suspects,
        leaked: &[(PathBuf, Vec<Lease>)],
    ) -> BTreeSet<IpAddr> {
        let filter = Filter {
            network: Some(network),
            container_id: None,
        };
        let entries = self.engine.config.cni.cache().list(filter);
        let mut taken: BTreeSet<IpAddr> = entries
            .unwrap_or_default()
            .iter()
            .flat_map(addresses_of)
            .map(|net| net.addr())
            .collect();
        let directories = suspects.directories.iter();
        let leases = directories.flat_map(|directory| lease::list(directory).unwrap_or_default());
        let is_leaked = |lease: &Lease| leaked.iter().any(|(_, leases)| leases.contains(lease));
        taken.extend(
            leases
                .filter(|lease| !is_leaked(lease))
                .map(|lease| lease.address),
        );
        taken
    }

    /// Namespaces of VMs' names whose VMs do not have them.
    pub(super) fn namespaces(&mut self) {
        let directory = &self.engine.config.paths.netns;
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        for name in names {
            let path = directory.join(&name);
            if self.kept.contains(&name) {
                continue;
            }
            let Some(_deserted) = self.deserted(&name, &path) else {
                continue;
            };
            let deleted = match self.is_dry() {
                true => Ok(()),
                false => netns::delete(&path),
            };
            match deleted {
                Ok(()) => self.release(Kind::Namespace, None, &name, path.display().to_string()),
                Err(error) => {
                    let error = NetworkError::Namespace(error);
                    self.garbage.failures.push(error.into());
                }
            }
        }
    }
}
