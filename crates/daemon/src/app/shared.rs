//! What the loop tells those who ask over HTTP.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ignite_api::Uid;
use ignite_engine::Engine;
use tokio::sync::oneshot;

use super::Event;
use crate::metrics::Metrics;

/// Work on one VM that takes longer is stuck: an image of some gigabytes over a slow line fits.
const STUCK: Duration = Duration::from_secs(3600);

/// How the daemon is.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Whether the source has ever said anything.
    pub was_heard: bool,
    /// Why it could not be read last time.
    pub unreachable: Option<String>,
    /// Since when the oldest work is being done.
    pub oldest: Option<Instant>,
}

impl Health {
    /// What is wrong, in words; none if all is well.
    pub fn trouble(&self, now: Instant) -> Option<String> {
        match (&self.unreachable, self.was_heard, self.oldest) {
            (Some(error), ..) => Some(format!("the source cannot be read: {error}")),
            (None, false, _) => Some("the source was not read yet".into()),
            (None, true, Some(since)) if now.duration_since(since) > STUCK => {
                Some("work on a VM does not end; see /status".into())
            }
            _ => None,
        }
    }
}

/// Between the loop and the server.
#[derive(Debug)]
pub struct Shared {
    /// The numbers.
    pub metrics: Metrics,
    engine: Mutex<Arc<Engine>>,
    events: Mutex<Sender<Event>>,
    status: Mutex<Arc<str>>,
    health: Mutex<Health>,
    running: Mutex<Arc<[(Uid, String)]>>,
}

impl Shared {
    /// Nothing is known yet.
    pub fn new(engine: Arc<Engine>, events: Sender<Event>) -> Self {
        Self {
            metrics: Metrics::default(),
            engine: Mutex::new(engine),
            events: Mutex::new(events),
            status: Mutex::new(Arc::from("{}\n")),
            health: Mutex::default(),
            running: Mutex::new(Arc::from([])),
        }
    }

    /// The engine now.
    pub fn engine(&self) -> Arc<Engine> {
        Arc::clone(&lock(&self.engine))
    }

    /// Another engine from now on.
    pub fn set_engine(&self, engine: Arc<Engine>) {
        *lock(&self.engine) = engine;
    }

    /// The status file's text.
    pub fn status(&self) -> Arc<str> {
        Arc::clone(&lock(&self.status))
    }

    /// It has changed.
    pub fn set_status(&self, text: &str) {
        *lock(&self.status) = Arc::from(text);
    }

    /// How the daemon is, but for whether it turns.
    pub fn health(&self) -> Health {
        lock(&self.health).clone()
    }

    /// It has changed.
    pub fn set_health(&self, health: Health) {
        *lock(&self.health) = health;
    }

    /// The VMs that are kept and run.
    pub fn running(&self) -> Arc<[(Uid, String)]> {
        Arc::clone(&lock(&self.running))
    }

    /// They have changed.
    pub fn set_running(&self, running: Vec<(Uid, String)>) {
        *lock(&self.running) = Arc::from(running);
    }

    /// An answer comes at the loop's next turn.
    pub fn ping(&self) -> oneshot::Receiver<()> {
        let (answer, answered) = oneshot::channel();
        // Without a loop there is no answer, which says it.
        let _ = lock(&self.events).send(Event::Ping(answer));
        answered
    }
}

/// Values are replaced as a whole: a panic elsewhere leaves them good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
