//! A plan is made, and what of it there is room for is begun.

use std::collections::BTreeMap;
use std::time::Instant;

use ignite_api::{RestartPolicy, Uid};

use super::App;
use crate::desired::{Fault, Keeping, resolve};
use crate::plan::{Act, Busy, Input, Order, pair, plan};

impl App {
    /// Makes a plan and begins with it.
    pub(super) fn plan(&mut self, now: Instant) {
        self.due.plan = false;
        self.desired = resolve(&self.book, &self.keeping());
        self.work.call_off_outdated(&self.desired);
        self.compare();
        let busy = self.busy();
        let policies = self.policies();
        let input = Input {
            desired: &self.desired,
            actual: &self.actual,
            differences: &self.differences,
            busy: &busy,
            readable: self.origin.error.is_none(),
            policies: &policies,
        };
        self.plan = plan(&input, &mut self.memories, now);
        let orders = std::mem::take(&mut self.plan.orders);
        for order in orders {
            if self.is_there(&order) {
                self.look_soon(now);
            } else if self.may_begin(&order) {
                self.begin(order, now);
            }
        }
        self.tell_faults();
        self.tell(now);
    }

    fn keeping(&self) -> Vec<Keeping> {
        let kept = self.actual.kept.iter();
        kept.map(|kept| Keeping {
            uid: kept.uid,
            name: kept.name.clone(),
            file: kept.managed.file.clone(),
        })
        .collect()
    }

    /// What is worked on, and what was and has not been looked at since.
    fn busy(&self) -> Busy {
        let mut busy = self.work.busy();
        busy.keys.extend(self.unsettled.keys.iter().cloned());
        busy.uids.extend(&self.unsettled.uids);
        busy.uids.extend(&self.recovering);
        busy
    }

    /// The policies of VMs without a manifest that are down and should run: few, as a rule none.
    fn policies(&self) -> BTreeMap<Uid, RestartPolicy> {
        let pairs = pair(&self.desired, &self.actual.kept);
        let down = pairs
            .unclaimed
            .into_iter()
            .filter(|kept| kept.managed.wanted);
        let down = down.filter(|kept| !kept.state.is_live());
        down.filter_map(|kept| {
            let vm = self.engine.inspect(kept.uid.as_str()).ok()?;
            Some((kept.uid, vm.spec.restart_policy.unwrap_or_default()))
        })
        .collect()
    }

    fn may_begin(&self, order: &Order) -> bool {
        self.ending.is_none() && self.work.has_room(order)
    }

    /// Whether a VM that is to be made was made by others since the last look.
    fn is_there(&self, order: &Order) -> bool {
        let uid = order.uid.filter(|_| order.act == Act::Create);
        uid.is_some_and(|uid| matches!(self.engine.holder(uid), Ok(Some(_))))
    }

    fn begin(&mut self, order: Order, now: Instant) {
        let action = order.act.as_str();
        match order.uid {
            Some(uid) => {
                tracing::info!(file = ?order.file, vm = %order.name, %uid, action, "reconcile");
            }
            None => tracing::info!(file = ?order.file, vm = %order.name, action, "reconcile"),
        }
        let again = order.act == Act::Start && self.has_run(&order);
        let (key, act) = (order.key.clone(), order.act);
        if let Err(fault) = self.work.begin(&self.engine, order, again) {
            self.memories.get(&key).done(act, Some(fault), now);
        }
    }

    /// Whether the VM is one that should have gone on running.
    fn has_run(&self, order: &Order) -> bool {
        let mut kept = self.actual.kept.iter();
        kept.any(|kept| Some(kept.uid) == order.uid && kept.managed.wanted)
    }

    /// Takes in what came of an order.
    pub(super) fn done(&mut self, done: crate::work::Done, now: Instant) {
        let Some(begun) = self.work.end(done.ticket) else {
            return;
        };
        let order = begun.order;
        self.unsettled.keys.insert(order.key.clone());
        self.unsettled.uids.extend(order.uid);
        self.forget_difference(order.uid);
        let result: Result<_, Fault> = done.result;
        let metrics = &self.shared.metrics;
        metrics.acted(order.act, result.is_ok(), begun.since.elapsed());
        let memory = self.memories.get(&order.key);
        match result {
            // What it was called off for is what counts now.
            Err(_) if begun.called_off => {}
            Err(fault) => memory.done(order.act, Some(fault), now),
            Ok(()) => {
                memory.done(order.act, None, now);
                if begun.again {
                    memory.restarts += 1;
                    metrics.restarted();
                }
            }
        }
        self.look_soon(now);
    }
}
