//! The task behind a watch.
//!
//! ```text
//!   open at revision N --> created --> events, N moves on --> ...
//!     ^                                  |          |
//!     |  100 ms .. 5 s, next endpoint    |          '-- compacted, the store went back, too much at once: told, end
//!     '----------------------------------'-- broken, or silent and not serving
//! ```

use std::time::Duration;

use reqwest::{Response, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::classify::{excerpt, failure, name};
use super::error::Error;
use super::lines::Lines;
use super::transport::Client;
use super::watch::{WatchEvent, WatchMessage};
use super::wire::{Header, KeyValue, at_most, encode, end_of, number};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// What etcd tells at once at the most, in bytes: of a watch that is behind a thousand changes, which
/// are some hundred KiB.
const MAX_LINE: usize = 16 << 20;
/// Changes etcd tells at once at the most: a thousand transactions of 128 operations.
const MAX_EVENTS: usize = 128_000;

/// A watch's state.
pub(super) struct Watcher {
    client: Client,
    prefix: String,
    /// The revision to resume at.
    next: i64,
    index: usize,
    pause: Duration,
    sender: mpsc::Sender<WatchMessage>,
}

/// Nothing is left to do: changes are lost, or nobody listens.
struct Ended;

#[derive(Deserialize)]
struct Line {
    result: Option<Reply>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    header: Header,
    #[serde(default)]
    created: bool,
    #[serde(default)]
    canceled: bool,
    #[serde(default, deserialize_with = "number")]
    compact_revision: i64,
    #[serde(default)]
    cancel_reason: String,
    #[serde(default, deserialize_with = "at_most::<MAX_EVENTS, _, _>")]
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default, rename = "type")]
    kind: Kind,
    kv: KeyValue,
}

#[derive(Deserialize, Default, Clone, Copy)]
enum Kind {
    #[default]
    #[serde(rename = "PUT")]
    Put,
    #[serde(rename = "DELETE")]
    Delete,
}

impl Event {
    fn told(self) -> WatchEvent {
        let (key, revision) = (self.kv.key, self.kv.mod_revision);
        match self.kind {
            Kind::Delete => WatchEvent::Delete { key, revision },
            Kind::Put => WatchEvent::Put {
                key,
                value: self.kv.value,
                lease: self.kv.lease,
                revision,
            },
        }
    }
}

impl Watcher {
    /// A watch of `prefix` from `revision` on, that one included.
    pub(super) fn new(
        client: Client,
        prefix: &str,
        revision: i64,
        sender: mpsc::Sender<WatchMessage>,
    ) -> Self {
        Self {
            prefix: prefix.to_owned(),
            next: revision.max(1),
            index: client.order().next().unwrap_or_default(),
            client,
            pause: FIRST_PAUSE,
            sender,
        }
    }

    /// Watches until changes are lost or nobody listens.
    pub(super) async fn run(mut self) {
        let mut failed = false;
        loop {
            let begun = Instant::now();
            let Err(error) = self.session(&mut failed).await else {
                return;
            };
            self.client.count_failure();
            if matches!(error, Error::TooLarge { .. }) {
                // It would be told the same again. A listing leaves out what is large.
                tracing::warn!("the watch of {} is told too much at once", self.prefix);
                self.lost(self.next).await;
                return;
            }
            self.client.outages().failed(&error);
            if begun.elapsed() > LONGEST_PAUSE {
                self.pause = FIRST_PAUSE;
            }
            if matches!(error, Error::Denied { .. } | Error::WatchEnded { .. }) {
                self.client.forget_login();
            }
            // One line for each outage, not one for each attempt.
            match std::mem::replace(&mut failed, true) {
                false => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the watch of {} is interrupted",
                    self.prefix
                ),
                true => tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the watch of {} is still interrupted",
                    self.prefix
                ),
            }
            tokio::select! {
                () = tokio::time::sleep(jittered(self.pause)) => {}
                () = self.sender.closed() => return,
            }
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            self.index += 1;
        }
    }

    /// Reads one answer until it breaks.
    async fn session(&mut self, failed: &mut bool) -> Result<Ended, Error> {
        let client = self.client.clone();
        let endpoint = client.endpoint(self.index);
        let body = json!({"create_request": {
            "key": encode(&self.prefix),
            "range_end": encode(end_of(self.prefix.as_bytes())),
            "start_revision": self.next.to_string(),
            "progress_notify": true,
        }});
        let mut response = client.open_at(endpoint, "/v3/watch", &body).await?;
        let mut lines = Lines::new(MAX_LINE);
        loop {
            self.arrived(endpoint, &mut response, &mut lines).await?;
            while let Some(line) = lines.next() {
                let reply = self.read(endpoint, &line)?;
                if std::mem::take(failed) {
                    tracing::info!("the watch of {} goes on", self.prefix);
                }
                if let Some(ended) = self.take(endpoint, reply).await? {
                    return Ok(ended);
                }
            }
        }
    }

    /// Waits for more of the answer; asks the endpoint when it is silent.
    async fn arrived(
        &self,
        endpoint: &Url,
        response: &mut Response,
        lines: &mut Lines,
    ) -> Result<(), Error> {
        let idle = self.client.settings().idle;
        loop {
            let Ok(arrived) = tokio::time::timeout(idle, response.chunk()).await else {
                self.probe(endpoint).await?;
                continue;
            };
            let ended = || Error::WatchEnded {
                endpoint: name(endpoint),
                reason: "its answer came to an end".into(),
            };
            let chunk = arrived
                .map_err(|error| failure(endpoint, error))?
                .ok_or_else(ended)?;
            return lines.push(&chunk).map_err(|_| Error::TooLarge {
                endpoint: name(endpoint),
                max: MAX_LINE,
            });
        }
    }

    /// Whether the endpoint still serves: a read that needs the majority, but no data.
    async fn probe(&self, endpoint: &Url) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Probe {
            header: Header,
        }
        let body = json!({"key": encode(&self.prefix), "count_only": true});
        let probe: Probe = self
            .client
            .call_at(endpoint, "/v3/kv/range", &body, MAX_LINE)
            .await?;
        match probe.header.revision < self.next - 1 {
            // The new session will see and tell it.
            true => Err(Error::WatchEnded {
                endpoint: name(endpoint),
                reason: "its store was set back".into(),
            }),
            false => Ok(()),
        }
    }

    fn read(&self, endpoint: &Url, line: &[u8]) -> Result<Reply, Error> {
        let line: Line = serde_json::from_slice(line).map_err(|source| Error::Malformed {
            endpoint: name(endpoint),
            source,
        })?;
        match (line.result, line.error) {
            (Some(reply), None) => Ok(reply),
            (_, error) => {
                let said = error.unwrap_or_default().to_string();
                Err(self.client.said(endpoint, 200, said.as_bytes()))
            }
        }
    }

    async fn take(&mut self, endpoint: &Url, reply: Reply) -> Result<Option<Ended>, Error> {
        if reply.compact_revision > 0 {
            return Ok(Some(self.lost(reply.compact_revision).await));
        }
        if reply.canceled {
            return Err(Error::WatchEnded {
                endpoint: name(endpoint),
                reason: excerpt(reply.cancel_reason.as_bytes()),
            });
        }
        if reply.created {
            self.client.prefer(self.index);
            self.client.outages().answered();
            // A store restored from a backup would reach our revision some day, and not tell what
            // happened until then. (Of a member that only lags behind, listing again is harmless.)
            return Ok(match reply.header.revision < self.next - 1 {
                true => Some(self.lost(reply.header.revision).await),
                false => None,
            });
        }
        self.pause = FIRST_PAUSE;
        if reply.events.is_empty() {
            // A notice of progress: everything up to that revision has been told.
            self.next = self.next.max(reply.header.revision.saturating_add(1));
            return Ok(None);
        }
        Ok(self.tell(reply.events).await)
    }

    async fn tell(&mut self, events: Vec<Event>) -> Option<Ended> {
        let from = self.next;
        let fresh: Vec<Event> = events
            .into_iter()
            .filter(|event| event.kv.mod_revision >= from)
            .collect();
        let revision = fresh.iter().map(|event| event.kv.mod_revision).max()?;
        self.next = revision.saturating_add(1);
        let events = fresh.into_iter().map(Event::told).collect();
        let message = WatchMessage::Events { revision, events };
        self.sender.send(message).await.is_err().then_some(Ended)
    }

    async fn lost(&self, revision: i64) -> Ended {
        // If nobody listens, nobody lists again.
        let _ = self.sender.send(WatchMessage::Compacted { revision }).await;
        Ended
    }
}

/// Between half of the pause and all of it: a hundred nodes do not come back in one instant.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let mut byte = [0; 1];
    // Without randomness the pause is only the same for all.
    let _ = getrandom::fill(&mut byte);
    pause.mul_f64(0.5 + f64::from(byte[0]) / 512.0)
}

#[cfg(test)]
#[path = "watcher_tests.rs"]
mod tests;
