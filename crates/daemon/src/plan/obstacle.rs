//! What stands in the way of a VM that is to be made.

use ignite_api::Uid;
use ignite_engine::keep::Kept;

use super::{Input, Other, Pairs};
use crate::desired::{Fault, Key, Shields, Wanted};

/// What stands in the way.
#[derive(Debug, Clone, PartialEq)]
pub enum Obstacle {
    /// The VM of that uid is there and not kept for this source; in what it differs.
    Foreign(Other),
    /// A record cannot be read, and may be that of this VM.
    Unreadable(Fault),
    /// Another VM has the name, and goes on having it.
    Name(Fault),
    /// Another VM of this source has the name, and is about to be removed or to get another one.
    Leaving,
}

/// Looks for what is in the way of making `wanted`.
pub fn find(
    wanted: &Wanted,
    kept: Option<&Kept>,
    pairs: &Pairs<'_>,
    input: &Input<'_>,
) -> Option<Obstacle> {
    if let Key::Uid(uid) = &wanted.key
        && kept.is_none_or(|kept| kept.uid != *uid)
    {
        if input.actual.unreadable.contains(uid) {
            return Some(Obstacle::Unreadable(unreadable("uid", *uid)));
        }
        if let Some(other) = input.actual.others.iter().find(|other| other.uid == *uid) {
            return Some(Obstacle::Foreign(other.clone()));
        }
    }
    let name = wanted.name()?;
    if kept.is_some_and(|kept| kept.name == name) {
        return None;
    }
    if let Some(other) = input.actual.others.iter().find(|other| other.name == name) {
        return Some(Obstacle::Name(of_other(name, other)));
    }
    let mut all = input.actual.kept.iter();
    let Some(holder) = all.find(|holder| holder.name == name) else {
        // Known by its name, which stands in a record.
        let is_named = matches!(wanted.key, Key::Name(_));
        let uid = input.actual.unreadable.first().filter(|_| is_named)?;
        return Some(Obstacle::Unreadable(unreadable("name", *uid)));
    };
    if gives_away(holder, pairs, input) {
        Some(Obstacle::Leaving)
    } else {
        Some(Obstacle::Name(of_ours(name, holder)))
    }
}

/// Whether a VM of ours is about to be removed, or to be made anew with another name.
fn gives_away(holder: &Kept, pairs: &Pairs<'_>, input: &Input<'_>) -> bool {
    let is_holder = |kept: &&Kept| kept.uid == holder.uid;
    let wanted = pairs
        .wanted
        .iter()
        .find(|(_, kept)| kept.as_ref().is_some_and(is_holder));
    match wanted {
        None => {
            let is_renamed = pairs.renamed.contains(holder.managed.file.as_str());
            !is_renamed && !is_shielded(holder, &input.desired.shields)
        }
        Some((wanted, _)) => {
            let stays = wanted.name().is_none_or(|name| name == holder.name);
            !stays && wanted.vm.spec.recreate_on_change
        }
    }
}

/// Whether what is written of a VM cannot be made out.
pub fn is_shielded(kept: &Kept, shields: &Shields) -> bool {
    shields.covers(&kept.managed.file)
        || shields.uids.contains(&kept.uid)
        || shields.names.contains(&kept.name)
}

fn unreadable(what: &str, uid: Uid) -> Fault {
    Fault::new(format!(
        "metadata.{what}: the record of VM {uid} cannot be read, and may be that of this VM"
    ))
    .with_hint(format!(
        "see what is wrong with it: ignite inspect vm {uid}; it is removed by: ignite rm -f {uid}"
    ))
}

fn of_other(name: &str, other: &Other) -> Fault {
    let uid = other.uid;
    let whose = match &other.by {
        Some(by) => format!("is kept for {by}"),
        None => "was made by hand".into(),
    };
    Fault::new(format!(
        "metadata.name: {name} is the name of VM {uid}, which {whose}"
    ))
    .with_hint(format!(
        "choose another name, remove that VM (ignite rm -f {name}), \
         or have it kept as this manifest says: give `uid: {uid}`"
    ))
}

fn of_ours(name: &str, holder: &Kept) -> Fault {
    let (uid, file) = (holder.uid, &holder.managed.file);
    Fault::new(format!(
        "metadata.name: {name} is the name of VM {uid}, kept after {file}"
    ))
    .with_hint("choose another name, or see what is wrong with that file")
}
