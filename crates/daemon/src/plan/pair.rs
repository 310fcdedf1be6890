//! Which VM is which manifest's.

use std::collections::{BTreeMap, BTreeSet};

use ignite_api::Uid;
use ignite_engine::keep::Kept;

use crate::desired::{Desired, Key, Wanted};

/// Manifests with their VMs, and VMs without a manifest.
#[derive(Debug, Default)]
pub struct Pairs<'a> {
    /// Each VM that is wanted, with that which is there.
    pub wanted: Vec<(&'a Wanted, Option<&'a Kept>)>,
    /// Those that no manifest speaks of.
    pub unclaimed: Vec<&'a Kept>,
    /// Files in which a VM's name or uid was changed: which VM was meant before is not certain.
    pub renamed: BTreeSet<&'a str>,
}

/// Finds for each wanted VM that which is there: by uid, and then, where a manifest gives none, by name
/// among those that no other manifest has by its uid. One that was made after the same file and that no
/// manifest has any more is that whose name or uid was changed there.
pub fn pair<'a>(desired: &'a Desired, kept: &'a [Kept]) -> Pairs<'a> {
    let by_uid: BTreeMap<Uid, &Kept> = kept.iter().map(|kept| (kept.uid, kept)).collect();
    let mut by_name: BTreeMap<&str, Vec<&Kept>> = BTreeMap::new();
    for kept in kept {
        by_name.entry(&kept.name).or_default().push(kept);
    }
    let mut claimed: BTreeSet<Uid> = BTreeSet::new();
    for key in desired.wanted.keys() {
        if let Key::Uid(uid) = key {
            claimed.insert(*uid);
        }
    }
    let mut pairs = Pairs::default();
    for wanted in desired.wanted.values() {
        let found = match &wanted.key {
            Key::Uid(uid) => by_uid.get(uid).copied(),
            Key::Name(name) => by_name
                .get(name.as_str())
                .and_then(|same| of_file(same, &wanted.file))
                .filter(|kept| claimed.insert(kept.uid)),
        };
        pairs.wanted.push((wanted, found));
    }
    let by_file: BTreeMap<&str, &Kept> = kept
        .iter()
        .filter(|kept| !claimed.contains(&kept.uid))
        .map(|kept| (kept.managed.file.as_str(), kept))
        .collect();
    for (wanted, found) in &mut pairs.wanted {
        if found.is_none() {
            *found = by_file.get(wanted.file.as_str()).copied();
            claimed.extend(found.map(|kept| kept.uid));
            pairs.renamed.extend(found.map(|_| wanted.file.as_str()));
        }
    }
    pairs.unclaimed = kept
        .iter()
        .filter(|kept| !claimed.contains(&kept.uid))
        .collect();
    pairs
}

/// Of VMs of one name, as a rule one, that which was made after this file.
fn of_file<'a>(same: &[&'a Kept], file: &str) -> Option<&'a Kept> {
    let mut of_file = same.iter().filter(|kept| kept.managed.file == file);
    of_file.next().or(same.first()).copied()
}
