//! Orders carried out, a thread for each: what they ask of the engine, and how many may at once.

mod gates;
mod perform;
mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

use ignite_api::Uid;
use ignite_engine::{Cancel, Engine};

use crate::app::Event;
use crate::desired::{Desired, Fault, Key, Wanted};
use crate::plan::{Act, Busy, Order};

use gates::Gates;
pub use perform::fault;

/// Tells one piece of work from another.
pub type Ticket = u64;

/// A piece of work that is over.
#[derive(Debug)]
pub struct Done {
    /// Which one.
    pub ticket: Ticket,
    /// What came of it.
    pub result: Result<(), Fault>,
}

/// A piece of work that was begun.
#[derive(Debug)]
pub struct Begun {
    /// What is done.
    pub order: Order,
    /// Since when.
    pub since: Instant,
    /// Whether the VM was running, or meant to, before.
    pub again: bool,
    /// Whether it was called off, and that is why it fails.
    pub called_off: bool,
    cancel: Cancel,
}

/// All work that is being done.
#[derive(Debug)]
pub struct Work {
    by: String,
    events: Sender<Event>,
    gates: Gates,
    next: Ticket,
    begun: BTreeMap<Ticket, Begun>,
}

impl Work {
    /// Nothing yet, for the source of that name.
    pub fn new(by: String, events: Sender<Event>) -> Self {
        Self {
            by,
            events,
            gates: Gates::of_host(),
            next: 0,
            begun: BTreeMap::new(),
        }
    }

    /// Whether there is room for one more of these.
    pub fn has_room(&self, order: &Order) -> bool {
        let at_work = self.begun.values().map(|begun| &begun.order);
        self.gates.has_room(order, at_work)
    }

    /// Begins an order on a thread of its own.
    pub fn begin(&mut self, engine: &Arc<Engine>, order: Order, again: bool) -> Result<(), Fault> {
        let cancel = Cancel::new()
            .map_err(|error| Fault::new(format!("cannot make a handle to call it off: {error}")))?;
        let ticket = self.next;
        let job = perform::Job {
            engine: Arc::clone(engine),
            by: self.by.clone(),
            order: order.clone(),
            cancel: cancel.clone(),
        };
        let events = self.events.clone();
        std::thread::Builder::new()
            .name(order.act.as_str().into())
            .spawn(move || {
                let result = job.perform();
                // Nobody listens any more when the daemon is ending.
                let _ = events.send(Event::Done(Done { ticket, result }));
            })
            .map_err(|error| Fault::new(format!("cannot start a thread: {error}")))?;
        self.next += 1;
        self.begun.insert(
            ticket,
            Begun {
                order,
                since: Instant::now(),
                again,
                called_off: false,
                cancel,
            },
        );
        Ok(())
    }

    /// Takes out a piece of work that is over.
    pub fn end(&mut self, ticket: Ticket) -> Option<Begun> {
        self.begun.remove(&ticket)
    }

    /// What is being worked on.
    pub fn busy(&self) -> Busy {
        let mut busy = Busy::default();
        for begun in self.begun.values() {
            busy.keys.insert(begun.order.key.clone());
            busy.uids.extend(begun.order.uid);
        }
        busy
    }

    /// What is done with this VM, if anything is.
    pub fn on(&self, key: &Key, uid: Option<Uid>) -> Option<Act> {
        let is = |order: &Order| order.key == *key || uid.is_some() && order.uid == uid;
        let mut orders = self.begun.values().map(|begun| &begun.order);
        orders.find(|order| is(order)).map(|order| order.act)
    }

    /// Whether nothing is.
    pub fn is_idle(&self) -> bool {
        self.begun.is_empty()
    }

    /// Since when the oldest piece is being worked on.
    pub fn oldest(&self) -> Option<Instant> {
        self.begun.values().map(|begun| begun.since).min()
    }

    /// Calls off what makes a VM that is wanted otherwise by now, or starts one that is not to run.
    pub fn call_off_outdated(&mut self, desired: &Desired) {
        for begun in self.begun.values_mut().filter(|begun| !begun.called_off) {
            let order = &begun.order;
            let wanted = desired.wanted.get(&order.key);
            let outdated = match order.act {
                Act::Create | Act::Recreate => wanted.map(|it| &it.vm) != order.vm.as_ref(),
                // One without a manifest is started because its file cannot be read.
                Act::Start | Act::Restart => {
                    order.vm.is_some() && !wanted.is_some_and(Wanted::runs)
                }
                _ => false,
            };
            // A broken file says nothing against it.
            if outdated && !desired.shields.files.contains(&order.file) {
                let action = order.act.as_str();
                tracing::info!(vm = %order.name, action, "called off: its manifest has changed");
                begun.call_off();
            }
        }
    }

    /// Calls off everything.
    pub fn call_off_all(&mut self) {
        for begun in self.begun.values_mut() {
            begun.call_off();
        }
    }
}

impl Begun {
    fn call_off(&mut self) {
        self.called_off = true;
        self.cancel.cancel();
    }
}
