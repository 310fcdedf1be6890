//! What the daemon remembers of each VM while it runs. All of it can be lost: then a pause is
//! shorter, or a look is taken once more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ignite_api::{Uid, Vm};
use ignite_engine::keep::Kept;
use jiff::Timestamp;

use super::{Act, Pairs};
use crate::backoff::Backoff;
use crate::desired::{Fault, Key};

/// The last thing that was done with a VM.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// What.
    pub act: Act,
    /// When it was over.
    pub at: Timestamp,
    /// Why it failed, if it did.
    pub fault: Option<Fault>,
}

/// What is remembered of one VM.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    /// How making and changing it goes.
    pub change: Backoff,
    /// How starting and stopping it goes, and how long it runs.
    pub run: Backoff,
    /// Since when no manifest speaks of it.
    pub absent: Option<Instant>,
    /// How often it was started again after it had ended.
    pub restarts: u64,
    /// The last thing done.
    pub last: Option<Attempt>,
    manifest: Option<Arc<Vm>>,
    uid: Option<Uid>,
    seen: Option<Seen>,
}

/// A life of a VM, as it was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    live: bool,
    started: Option<Timestamp>,
}

impl Memory {
    /// Takes in what is wanted and what is now.
    pub fn observe(&mut self, manifest: Option<&Arc<Vm>>, kept: Option<&Kept>, now: Instant) {
        self.observe_manifest(manifest, now);
        self.observe_life(kept, now);
    }

    fn observe_manifest(&mut self, manifest: Option<&Arc<Vm>>, now: Instant) {
        let Some(manifest) = manifest else {
            self.absent.get_or_insert(now);
            return;
        };
        self.absent = None;
        match &self.manifest {
            Some(before) if Arc::ptr_eq(before, manifest) || before == manifest => {}
            _ => {
                self.change.reset();
                self.run.reset();
                self.manifest = Some(Arc::clone(manifest));
            }
        }
    }

    fn observe_life(&mut self, kept: Option<&Kept>, now: Instant) {
        let Some(kept) = kept else {
            self.seen = None;
            return;
        };
        if self.uid.replace(kept.uid) != Some(kept.uid) {
            // How another one went says nothing of this one.
            self.run.reset();
            self.seen = None;
        }
        let live = kept.state.is_live();
        let seen = Seen {
            live,
            started: kept.started,
        };
        let before = self.seen.replace(seen);
        let ended = before.is_some_and(|before| {
            !live && (before.live || before.started != kept.started && kept.started.is_some())
        });
        if ended && kept.managed.wanted {
            self.run.ended(ran(kept), now);
        }
    }

    /// Something was done with it.
    pub fn done(&mut self, act: Act, fault: Option<Fault>, now: Instant) {
        let backoff = match act {
            Act::Start | Act::Stop | Act::Restart => &mut self.run,
            _ => &mut self.change,
        };
        if fault.is_some() {
            backoff.failed(now);
        } else if !matches!(act, Act::Start | Act::Restart) {
            // A start has worked when the VM has run for a while.
            backoff.reset();
        }
        // It may be over before it is ever looked at: then it has ended all the same. What is done
        // otherwise is no end of the guest's own.
        let lives = matches!(act, Act::Start | Act::Restart) && fault.is_none();
        self.seen = lives.then_some(Seen {
            live: true,
            started: None,
        });
        let at = Timestamp::now();
        self.last = Some(Attempt { act, at, fault });
    }
}

/// How long its last life lasted.
fn ran(kept: &Kept) -> Duration {
    let lived = kept.ended.zip(kept.started);
    lived
        .and_then(|(ended, started)| Duration::try_from(ended.duration_since(started)).ok())
        .unwrap_or_default()
}

/// What is remembered of all of them.
#[derive(Debug, Clone, Default)]
pub struct Memories(BTreeMap<Key, Memory>);

impl Memories {
    /// Of one.
    pub fn get(&mut self, key: &Key) -> &mut Memory {
        self.0.entry(key.clone()).or_default()
    }

    /// Of one, if there is anything.
    pub fn find(&self, key: &Key) -> Option<&Memory> {
        self.0.get(key)
    }

    /// Failures in a row, of whatever kind.
    pub fn failures(&self, key: &Key) -> u32 {
        self.find(key)
            .map_or(0, |memory| memory.change.failures() + memory.run.failures())
    }

    /// Forgets what is neither wanted nor there.
    pub(super) fn retain(&mut self, pairs: &Pairs<'_>) {
        let wanted = pairs.wanted.iter().map(|(wanted, _)| wanted.key.clone());
        let unclaimed = pairs.unclaimed.iter().map(|kept| Key::Uid(kept.uid));
        let keys: std::collections::BTreeSet<Key> = wanted.chain(unclaimed).collect();
        self.0.retain(|key, _| keys.contains(key));
    }
}
