//! How the agent is: for people, supervisors and Prometheus, over HTTP.
//!
//! ```text
//!   agent's tasks --count--> Health <--read-- Server: /healthz  it runs
//!                                                     /readyz   the overlay is usable, or why not
//!                                                     /metrics  numbers
//! ```

mod metrics;
mod request;
mod server;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

pub use server::{HealthError, Server};

/// A number that many tasks change.
#[derive(Debug, Default)]
pub struct Number(AtomicU64);

impl Number {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// This many, whatever there were.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the agent says of itself; shared between its tasks.
#[derive(Debug)]
pub struct Health {
    /// Why not ready; nothing if ready.
    unready: Mutex<Option<String>>,
    expiry: Mutex<Option<SystemTime>>,
    /// Leases of other nodes that are known now.
    pub leases: Number,
    /// Words of etcd about leases.
    pub events: Number,
    /// Renewals of the own lease.
    pub renewals: Number,
    /// Renewals that failed.
    pub renewals_failed: Number,
    /// Calls to etcd that failed, as its client counts them.
    etcd_errors: Arc<AtomicU64>,
    /// Routes, neighbours and FDB entries that others had changed, and were put right.
    pub entries_reconciled: Number,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            unready: Mutex::new(Some("starting".to_owned())),
            expiry: Mutex::default(),
            leases: Number::default(),
            events: Number::default(),
            renewals: Number::default(),
            renewals_failed: Number::default(),
            etcd_errors: Arc::default(),
            entries_reconciled: Number::default(),
        }
    }
}

impl Health {
    /// Of an agent that starts: not ready, nothing counted.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, beside a client of etcd that counts its failures.
    pub fn beside(etcd_errors: Arc<AtomicU64>) -> Self {
        Self {
            etcd_errors,
            ..Self::default()
        }
    }

    /// The overlay is usable from now on.
    pub fn set_ready(&self) {
        *lock(&self.unready) = None;
    }

    /// It is not, and why: for a person, one line.
    pub fn set_unready(&self, reason: impl Into<String>) {
        *lock(&self.unready) = Some(reason.into());
    }

    /// Why the overlay is not usable; nothing if it is.
    pub fn unready(&self) -> Option<String> {
        lock(&self.unready).clone()
    }

    /// When the own lease ends unless renewed; nothing where there is none, or it has no end.
    pub fn set_lease_expiry(&self, expiry: Option<SystemTime>) {
        *lock(&self.expiry) = expiry;
    }

    /// The same in seconds since 1970.
    fn expiry_seconds(&self) -> Option<u64> {
        let since = (*lock(&self.expiry))?.duration_since(UNIX_EPOCH).ok()?;
        Some(since.as_secs())
    }

    /// All numbers, in the text format of Prometheus.
    pub fn metrics(&self) -> String {
        metrics::text(self)
    }
}

/// The value is replaced as a whole: a panic elsewhere leaves it good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
