//! What is done next: what is wanted, what is, and what is remembered become orders. Pure.
//!
//! ```text
//!                  file appears            wanted: running, and its policy agrees
//!   nothing -------- create --> created ------------------ start --> running
//!      ^                        |  ^                                  |  |
//!      |  file absent for 1 s   |  '------- wanted: stopped - stop ---'  | update, restart
//!      '-------- remove --------'                                        v
//!                                       what cannot be updated: recreate, if the manifest allows it
//! ```
//! An order is one step. When it is done, things are looked at again, and the next one follows from what
//! is then: there is no state in between that a killed daemon could lose.

mod decide;
mod fit;
mod memory;
mod obstacle;
mod pair;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use ignite_api::{RestartPolicy, Uid, Vm, VmSpec};
use ignite_engine::keep::{Difference, Kept};

use crate::desired::{Desired, Fault, Key};

pub use decide::not_in_place;
pub use fit::fit;
pub use memory::{Attempt, Memories, Memory};
pub use pair::{Pairs, pair};

/// What can be done about a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// It is made.
    Create,
    /// It is there, and is kept from now on.
    Adopt,
    /// Its record learns after which file it is kept, and whether it should run.
    Note,
    /// What can be changed in place is changed.
    Update,
    /// It is started.
    Start,
    /// It is stopped.
    Stop,
    /// It is stopped and started, so that a change holds.
    Restart,
    /// It is removed and made anew.
    Recreate,
    /// It is removed, running or not.
    Remove,
}

impl Act {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Adopt => "adopt",
            Self::Note => "note",
            Self::Update => "update",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Recreate => "recreate",
            Self::Remove => "remove",
        }
    }
}

/// One step with one VM.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// By which the VM is known.
    pub key: Key,
    /// What is done.
    pub act: Act,
    /// Its uid, where it is there.
    pub uid: Option<Uid>,
    /// Its name, or its uid where it has none yet: for people.
    pub name: String,
    /// The file it is kept after.
    pub file: String,
    /// How it should be.
    pub vm: Option<Arc<Vm>>,
    /// As in these is what its manifest leaves open; without a manifest empty.
    pub defaults: Arc<VmSpec>,
    /// Of [`Act::Note`]: whether it should run.
    pub wanted: bool,
}

/// A VM that is there and not kept for this source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Its uid.
    pub uid: Uid,
    /// Its name.
    pub name: String,
    /// For whom it is kept, if for anybody.
    pub by: Option<String>,
}

/// The VMs as they are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Actual {
    /// Those kept for this source.
    pub kept: Vec<Kept>,
    /// The others.
    pub others: Vec<Other>,
    /// Those whose records cannot be read.
    pub unreadable: Vec<Uid>,
}

/// VMs that something is being done with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Busy {
    /// By what their manifests say.
    pub keys: BTreeSet<Key>,
    /// By their uids.
    pub uids: BTreeSet<Uid>,
}

impl Busy {
    fn has(&self, key: &Key, uid: Option<Uid>) -> bool {
        self.keys.contains(key) || uid.is_some_and(|uid| self.uids.contains(&uid))
    }
}

/// In what each VM differs from its manifest, or why that cannot be told.
pub type Differences = BTreeMap<Uid, Result<Difference, Fault>>;

/// All that a plan is made of, but what is remembered.
#[derive(Debug)]
pub struct Input<'a> {
    /// What is wanted.
    pub desired: &'a Desired,
    /// What is.
    pub actual: &'a Actual,
    /// In what they differ.
    pub differences: &'a Differences,
    /// What is being worked on.
    pub busy: &'a Busy,
    /// Whether the source could be read last time: else nothing is removed.
    pub readable: bool,
    /// The policies of VMs that are down, should run, and have no manifest that can be made out.
    pub policies: &'a BTreeMap<Uid, RestartPolicy>,
}

/// What is done next.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// In this order; what failed least comes first.
    pub orders: Vec<Order>,
    /// What keeps a VM from being as it should, by file.
    pub faults: BTreeMap<String, Fault>,
    /// When to plan again, though nothing happens.
    pub wake: Option<Instant>,
    /// When the next attempt is, by file.
    pub attempts: BTreeMap<String, Instant>,
}

/// Makes a plan, and remembers what was seen.
pub fn plan(input: &Input<'_>, memories: &mut Memories, now: Instant) -> Plan {
    let pairs = pair(input.desired, &input.actual.kept);
    memories.retain(&pairs);
    let mut plan = Plan::default();
    for (wanted, kept) in &pairs.wanted {
        if input.busy.has(&wanted.key, kept.map(|kept| kept.uid)) {
            continue;
        }
        let memory = memories.get(&wanted.key);
        memory.observe(Some(&wanted.vm), *kept, now);
        let obstacle = obstacle::find(wanted, *kept, &pairs, input);
        let decision = match kept {
            None => decide::missing(wanted, obstacle.as_ref(), memory, now),
            Some(kept) => {
                let difference = input.differences.get(&kept.uid);
                decide::existing(wanted, kept, difference, obstacle.as_ref(), memory, now)
            }
        };
        plan.add(&wanted.file, decision);
    }
    let served = pairs.wanted.iter().filter_map(|(_, kept)| *kept);
    let names: BTreeSet<&str> = served.map(|kept| kept.name.as_str()).collect();
    for kept in &pairs.unclaimed {
        let key = Key::Uid(kept.uid);
        if input.busy.has(&key, Some(kept.uid)) {
            continue;
        }
        let memory = memories.get(&key);
        memory.observe(None, Some(kept), now);
        let file = kept.managed.file.as_str();
        let spared = is_spared(kept, input) || pairs.renamed.contains(file);
        let decision = if names.contains(kept.name.as_str()) {
            decide::twin(kept)
        } else if spared {
            decide::spared(kept, input.policies.get(&kept.uid), memory, now)
        } else {
            decide::unclaimed(kept, memory, now)
        };
        plan.add(file, decision);
    }
    let failures = |order: &Order| memories.failures(&order.key);
    plan.orders.sort_by_key(failures);
    plan
}

/// Whether a VM without a manifest stays: the source, or what is written of it, cannot be read.
fn is_spared(kept: &Kept, input: &Input<'_>) -> bool {
    !input.readable || obstacle::is_shielded(kept, &input.desired.shields)
}

impl Plan {
    fn add(&mut self, file: &str, decision: decide::Decision) {
        self.orders.extend(decision.order);
        if let Some(fault) = decision.fault {
            self.faults.entry(file.to_owned()).or_insert(fault);
        }
        if let Some(wake) = decision.wake {
            self.attempts.insert(file.to_owned(), wake);
            self.wake = Some(self.wake.map_or(wake, |before| before.min(wake)));
        }
    }
}
