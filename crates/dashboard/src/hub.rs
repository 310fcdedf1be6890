//! One sampler for all who look.
//!
//! Each stream sees the newest moment there is when it can take one: a client that is slow misses
//! moments, and nothing waits for it or is kept for it. Without a stream there is no sampling.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ignite_api::Uid;
use ignite_engine::Sample;
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::history::History;
use crate::source::{Source, State, Trouble};
use crate::used::Used;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Two samples farther apart say nothing of a moment.
const APART: Duration = Duration::from_secs(5);

/// So many VMs are asked at one time.
const AT_ONCE: usize = 8;

/// All there is at one moment, as it is sent.
#[derive(Debug, Default)]
pub struct Moment {
    /// The state, or what is wrong.
    pub state: Arc<str>,
    /// Changes with the state.
    pub edition: u64,
    /// What is used.
    pub point: Arc<str>,
}

/// Samples while somebody looks.
pub struct Hub {
    source: Arc<dyn Source>,
    latest: watch::Sender<Arc<Moment>>,
    history: Mutex<History>,
    wake: Notify,
}

impl Hub {
    /// One that has not looked yet.
    pub fn new(source: Arc<dyn Source>) -> Self {
        Self {
            source,
            latest: watch::Sender::default(),
            history: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// Moments from now on.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Moment>> {
        let mut moments = self.latest.subscribe();
        if self.latest.receiver_count() > 1 && self.latest.borrow().edition > 0 {
            // Others look already: the moment is one of now.
            moments.mark_changed();
        }
        self.wake.notify_one();
        moments
    }

    /// What was used over the last minutes, as a list.
    pub fn history(&self) -> String {
        self.kept().to_json()
    }

    fn kept(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Samples for ever.
    pub async fn run(&self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = Before::default();
        loop {
            while self.latest.receiver_count() == 0 {
                self.wake.notified().await;
            }
            ticks.tick().await;
            let source = Arc::clone(&self.source);
            let looked = tokio::task::spawn_blocking(move || look(&*source, before)).await;
            // A look that panics is its own bug, and the next one may be none.
            let Ok((found, after)) = looked else {
                before = Before::default();
                continue;
            };
            before = after;
            self.publish(found);
        }
    }

    fn publish(&self, found: Found) {
        let point: Arc<str> = found.point.into();
        self.kept().push(Arc::clone(&point));
        self.latest.send_modify(|latest| {
            let same = *latest.state == *found.state;
            *latest = Arc::new(Moment {
                edition: latest.edition + u64::from(!same),
                state: found.state.into(),
                point,
            });
        });
    }
}

/// What the last look counted.
#[derive(Default)]
struct Before {
    samples: HashMap<Uid, Sample>,
    when: Option<Instant>,
}

/// What a look found, as it is sent.
struct Found {
    state: String,
    point: String,
}

/// What each VM uses at a moment.
#[derive(Debug, Serialize)]
struct Point<'a> {
    /// Milliseconds since 1970.
    time: u64,
    /// By uid.
    vms: HashMap<&'a str, Used>,
}

fn look(source: &dyn Source, before: Before) -> (Found, Before) {
    let state = source.state();
    let running = state.as_ref().map_or_else(|_| Vec::new(), State::running);
    let now = Instant::now();
    let samples = samples(source, &running);
    let fresh = before.when.is_some_and(|when| now - when < APART);
    let vms = samples.iter().map(|(uid, sample)| {
        let earlier = before.samples.get(uid).filter(|_| fresh);
        (uid.as_str(), Used::of(earlier, sample))
    });
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    let point = Point {
        time: time.map_or(0, |time| time.as_millis().try_into().unwrap_or(u64::MAX)),
        vms: vms.collect(),
    };
    let found = Found {
        state: to_json(&state),
        point: serde_json::to_string(&point).expect("plain data is always JSON"),
    };
    let when = Some(now);
    (found, Before { samples, when })
}

/// The state, or `{"trouble": ...}`.
pub fn to_json(state: &Result<State, Trouble>) -> String {
    let text = match state {
        Ok(state) => serde_json::to_string(state),
        Err(trouble) => {
            serde_json::to_string(&serde_json::json!({ "trouble": trouble.to_string() }))
        }
    };
    text.expect("plain data is always JSON")
}

/// Asks VMs, some at a time: one that does not answer takes its second.
fn samples(source: &dyn Source, running: &[Uid]) -> HashMap<Uid, Sample> {
    let ask = |uids: &[Uid]| -> Vec<(Uid, Sample)> {
        let asked = uids.iter().map(|uid| Some((*uid, source.sample(*uid)?)));
        asked.flatten().collect()
    };
    let share = running.len().div_ceil(AT_ONCE).max(1);
    thread::scope(|scope| {
        let asking: Vec<_> = running
            .chunks(share)
            .map(|uids| scope.spawn(move || ask(uids)))
            .collect();
        let answers = asking.into_iter().filter_map(|thread| thread.join().ok());
        answers.flatten().collect()
    })
}
