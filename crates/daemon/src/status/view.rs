//! The status file's content, from what the loop knows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ignite_engine::keep::Kept;
use jiff::{SignedDuration, Timestamp};

use super::document::{Document, Ignored, Line};
use crate::desired::{Desired, Fault, Key, Wanted};
use crate::plan::{Actual, Memories, pair};
use crate::work::Work;

/// What the loop knows.
pub struct View<'a> {
    pub by: &'a str,
    pub revision: Option<&'a str>,
    pub since: Option<Timestamp>,
    pub error: Option<&'a str>,
    pub warnings: &'a [String],
    pub desired: &'a Desired,
    pub actual: &'a Actual,
    pub faults: &'a BTreeMap<String, Fault>,
    pub attempts: &'a BTreeMap<String, Instant>,
    pub memories: &'a Memories,
    pub work: &'a Work,
    pub now: Instant,
}

/// Everything there is to say now.
pub fn document(view: &View<'_>) -> Document {
    let pairs = pair(view.desired, &view.actual.kept);
    let wanted = pairs.wanted.iter();
    let mut lines: Vec<Line> = wanted
        .map(|(wanted, kept)| line(view, &wanted.key, Some(wanted), *kept))
        .collect();
    let unclaimed = pairs.unclaimed.iter();
    lines.extend(unclaimed.map(|kept| line(view, &Key::Uid(kept.uid), None, Some(kept))));
    let shown: BTreeSet<String> = lines.iter().map(|line| line.file.clone()).collect();
    let alone = view
        .faults
        .iter()
        .filter(|(file, _)| !shown.contains(*file));
    lines.extend(alone.map(|(file, fault)| Line {
        file: file.clone(),
        fault: Some(fault.into()),
        ..Line::default()
    }));
    lines.sort_by(|a, b| a.file.cmp(&b.file).then_with(|| a.uid.cmp(&b.uid)));
    let ignored = view.desired.ignored.iter().map(|(file, kind)| Ignored {
        file: file.clone(),
        kind: kind.clone(),
    });
    Document {
        source: view.by.to_owned(),
        revision: view.revision.map(str::to_owned),
        since: view.since,
        error: view.error.map(str::to_owned),
        warnings: view.warnings.to_vec(),
        manifests: lines,
        ignored: ignored.collect(),
    }
}

fn line(view: &View<'_>, key: &Key, wanted: Option<&Wanted>, kept: Option<&Kept>) -> Line {
    let kept_file = kept.map_or("", |kept| kept.managed.file.as_str());
    let file = wanted.map_or(kept_file, |wanted| wanted.file.as_str());
    let memory = view.memories.find(key);
    let uid = kept.map(|kept| kept.uid);
    let manifest_uid = wanted.and_then(|wanted| wanted.vm.metadata.uid);
    let manifest_name = wanted.and_then(Wanted::name).map(str::to_owned);
    Line {
        file: file.to_owned(),
        uid: uid.or(manifest_uid),
        name: kept.map(|kept| kept.name.clone()).or(manifest_name),
        wanted: wanted.map(|wanted| if wanted.runs() { "running" } else { "stopped" }),
        state: kept.map(|kept| kept.state.as_str()),
        addresses: kept.map_or_else(Vec::new, |kept| kept.addresses.clone()),
        restarts: memory.map_or(0, |memory| memory.restarts),
        action: view.work.on(key, uid).map(|act| act.as_str()),
        fault: view.faults.get(file).map(Into::into),
        next_attempt: view.attempts.get(file).and_then(|at| moment(*at, view.now)),
        last_action: memory.and_then(|it| it.last.as_ref()).map(Into::into),
    }
}

/// A later moment by the wall clock, to the second: that it comes nearer is no change.
fn moment(at: Instant, now: Instant) -> Option<Timestamp> {
    let left = SignedDuration::try_from(at.saturating_duration_since(now)).ok()?;
    let moment = Timestamp::now().checked_add(left).ok()?;
    Timestamp::from_second(moment.as_second()).ok()
}
