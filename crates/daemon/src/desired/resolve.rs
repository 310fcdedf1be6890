//! Which file has which VM, where several want the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use ignite_api::{Uid, Vm, VmSpec};

use super::{Book, Desired, Fault, Key, Reading, Shields, Wanted};

/// A VM that is kept, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeping {
    /// Its uid.
    pub uid: Uid,
    /// Its name.
    pub name: String,
    /// The file it is kept after.
    pub file: String,
}

/// What is wanted. Of two files with one uid or one name, that one has the VM which it was made after;
/// where there is none yet, the first by its path.
pub fn resolve(book: &Book, kept: &[Keeping]) -> Desired {
    let mut desired = Desired::default();
    let mut manifests: Vec<(u8, &str, &Arc<Vm>, &Arc<VmSpec>)> = Vec::new();
    let by_file: BTreeMap<&str, Vec<&Keeping>> =
        kept.iter().fold(BTreeMap::new(), |mut all, it| {
            all.entry(it.file.as_str())
                .or_insert_with(Vec::new)
                .push(it);
            all
        });
    for (file, reading, defaults) in book.readings() {
        match reading {
            Reading::Vm(vm) => {
                let kept = by_file.get(file).map_or(&[][..], Vec::as_slice);
                manifests.push((rank(vm, kept), file, vm, defaults));
            }
            Reading::Other(kind) => {
                desired.ignored.insert(file.into(), kind.clone());
            }
            Reading::Fault { fault, mentions } => {
                desired.faults.insert(file.into(), fault.clone());
                let shields = &mut desired.shields;
                shields.files.insert(file.into());
                shields.uids.extend(&mentions.uids);
                shields.names.extend(mentions.names.iter().cloned());
            }
        }
    }
    manifests.sort_by_key(|(rank, file, ..)| (*rank, *file));
    let mut claims = Claims::default();
    for (_, file, vm, defaults) in manifests {
        match claims.take(file, vm, defaults) {
            Ok(wanted) => {
                desired.wanted.insert(wanted.key.clone(), wanted);
            }
            Err(fault) => {
                shield(&mut desired.shields, file, vm);
                desired.faults.insert(file.into(), fault);
            }
        }
    }
    desired
}

/// How good a file's claim is, 0 for the best.
fn rank(vm: &Vm, kept_after_it: &[&Keeping]) -> u8 {
    let uid = |it: &Keeping| vm.metadata.uid.is_none_or(|uid| uid == it.uid);
    let name = |it: &Keeping| vm.metadata.name.is_empty() || vm.metadata.name == it.name;
    let holds = |it: &&&Keeping| uid(it) && name(it);
    let moves = |it: &&&Keeping| vm.metadata.uid == Some(it.uid) || vm.metadata.name == it.name;
    if kept_after_it.iter().any(|it| holds(&it)) {
        0
    } else if kept_after_it.iter().any(|it| moves(&it)) {
        1
    } else {
        2
    }
}

fn shield(shields: &mut Shields, file: &str, vm: &Vm) {
    shields.files.insert(file.into());
    shields.uids.extend(vm.metadata.uid);
    let name = &vm.metadata.name;
    shields
        .names
        .extend((!name.is_empty()).then(|| name.clone()));
}

/// Uids and names that files have.
#[derive(Debug, Default)]
struct Claims<'a> {
    uids: BTreeMap<Uid, &'a str>,
    names: BTreeMap<&'a str, &'a str>,
}

impl<'a> Claims<'a> {
    fn take(
        &mut self,
        file: &'a str,
        vm: &'a Arc<Vm>,
        defaults: &Arc<VmSpec>,
    ) -> Result<Wanted, Fault> {
        let metadata = &vm.metadata;
        let name = Some(metadata.name.as_str()).filter(|name| !name.is_empty());
        if let Some((uid, other)) = metadata
            .uid
            .and_then(|uid| Some((uid, self.uids.get(&uid)?)))
        {
            return Err(taken("uid", uid.as_str(), other));
        }
        if let Some((name, other)) = name.and_then(|name| Some((name, self.names.get(name)?))) {
            return Err(taken("name", name, other));
        }
        self.uids.extend(metadata.uid.map(|uid| (uid, file)));
        self.names.extend(name.map(|name| (name, file)));
        let key = match metadata.uid {
            Some(uid) => Key::Uid(uid),
            None => Key::Name(metadata.name.clone()),
        };
        Ok(Wanted {
            key,
            file: file.into(),
            vm: Arc::clone(vm),
            defaults: Arc::clone(defaults),
        })
    }
}

fn taken(what: &str, value: &str, other: &str) -> Fault {
    Fault::new(format!(
        "metadata.{what}: {value} is that of the VM in {other} already"
    ))
    .with_hint(format!(
        "give it another {what}, or remove one of the two files"
    ))
}
