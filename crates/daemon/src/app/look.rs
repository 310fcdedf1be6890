//! The VMs as they are: read from their records, whenever something may have changed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ignite_api::Uid;
use ignite_engine::Error;
use ignite_engine::keep::Kept;
use ignite_host::error::chain;

use super::App;
use crate::plan::{Actual, Other, fit, pair};
use crate::work;

/// Time after which a look that failed is taken once more.
const RETRY: Duration = Duration::from_secs(5);

/// Time after which a VM is looked at again whose supervisor could not be watched.
const AGAIN: Duration = Duration::from_secs(1);

/// A look takes at most a third of the loop's time, however many VMs there are.
const SHARE: u32 = 2;

impl App {
    /// A look is due as soon as the last one has paid off.
    pub(super) fn look_soon(&mut self, now: Instant) {
        let (over, took) = self.due.looked;
        self.due.look = self.due.look.min((over + took * SHARE).max(now));
    }

    /// Takes a look.
    pub(super) fn look(&mut self) {
        let begin = Instant::now();
        let looked = self.actual();
        let now = Instant::now();
        self.due.looked = (now, now - begin);
        match looked {
            Ok(actual) => {
                self.due.look = now + self.config.look_interval;
                self.due.plan = true;
                self.unsettled = Default::default();
                self.actual = actual;
                self.watch(now);
                self.tell_running();
            }
            Err(error) => {
                self.due.look = now + RETRY;
                tracing::error!("the VMs cannot be looked at: {}", chain(&error));
            }
        }
    }

    fn actual(&self) -> Result<Actual, Error> {
        let (kept, unreadable) = self.engine.kept(&self.by)?;
        let ours: BTreeSet<Uid> = kept.iter().map(|kept| kept.uid).collect();
        let (lines, _) = self.engine.list(true)?;
        let others = lines.into_iter().filter(|line| !ours.contains(&line.uid));
        let others = others.map(|line| Other {
            uid: line.uid,
            by: self.whose(line.uid, &line.name),
            name: line.name,
        });
        Ok(Actual {
            others: others.collect(),
            kept,
            unreadable,
        })
    }

    /// For whom another VM is kept; only asked for where a manifest is in conflict with it.
    fn whose(&self, uid: Uid, name: &str) -> Option<String> {
        let mut wanted = self.desired.wanted.values();
        let conflict = |it: &crate::desired::Wanted| it.name() == Some(name);
        wanted.find(|it| conflict(it))?;
        let holder = self.engine.holder(uid).ok().flatten().flatten();
        holder.map(|managed| managed.by)
    }

    /// Hears of the end of those that run.
    fn watch(&mut self, now: Instant) {
        let live = |kept: &&Kept| kept.state.is_live() && !self.supervisors.has(kept.uid);
        let mut missed = false;
        for kept in self.actual.kept.iter().filter(live) {
            let watched = match self.engine.watch(kept.uid) {
                Ok(Some(descriptor)) => self
                    .supervisors
                    .add(kept.uid, descriptor)
                    .map_err(|error| error.to_string()),
                // It has ended, or has only just been started.
                Ok(None) => Err("it is not there".into()),
                Err(error) => Err(chain(&error)),
            };
            if let Err(error) = watched {
                tracing::debug!(vm = kept.name, "its supervisor cannot be watched: {error}");
                missed = true;
            }
        }
        if missed {
            self.due.look = self.due.look.min(now + AGAIN);
        }
    }

    fn tell_running(&self) {
        let running = self.actual.kept.iter().filter(|kept| kept.state.is_live());
        let running = running.map(|kept| (kept.uid, kept.name.clone()));
        self.shared.set_running(running.collect());
    }

    /// Compares each VM with its manifest, where either changed.
    pub(super) fn compare(&mut self) {
        let pairs = pair(&self.desired, &self.actual.kept);
        let mut there = BTreeSet::new();
        for (wanted, kept) in &pairs.wanted {
            let Some(kept) = kept else { continue };
            there.insert(kept.uid);
            let same = self
                .compared
                .get(&kept.uid)
                .is_some_and(|vm| *vm == wanted.vm);
            if !same {
                let own = kept.managed.defaults.as_deref();
                let difference = fit(&wanted.vm, &wanted.defaults, own).and_then(|vm| {
                    let difference = self.engine.difference(kept.uid, &vm);
                    difference.map_err(work::fault)
                });
                self.differences.insert(kept.uid, difference);
                self.compared.insert(kept.uid, Arc::clone(&wanted.vm));
            }
        }
        self.differences.retain(|uid, _| there.contains(uid));
        self.compared.retain(|uid, _| there.contains(uid));
    }

    /// The VM's record has changed, or may have.
    pub(super) fn forget_difference(&mut self, uid: Option<Uid>) {
        if let Some(uid) = uid {
            self.compared.remove(&uid);
        }
    }
}
