//! Watching the records: the others' leases, our own, the configuration.
//!
//! Each watch is a task of its own that lists, watches, and lists again where changes were lost.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::etcd::{WatchEvent, WatchMessage, jittered};
use crate::lease::{Attributes, Lease, Subnet};

use super::snapshot::{attributes, lock, subnet};
use super::{Error, Registry, Snapshot};

/// Events that wait for the receiver before etcd is read no further.
const WAITING: usize = 64;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What happens to leases.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A node's lease is there, is changed, or is announced once more.
    Added(Lease),
    /// One is gone.
    Removed(Subnet),
    /// One was overwritten by what is none: what was known stays, somebody has the subnet.
    Unreadable(Subnet),
    /// Something about our own.
    Own {
        /// What it is.
        own: Own,
        /// The revision at which it was so, to be compared with that of our last write.
        revision: i64,
    },
    /// All there are but our own: what is known and not among them is gone.
    Resynced {
        /// Those that can be read.
        leases: Vec<Lease>,
        /// Of these what was known stays: somebody has them.
        unreadable: Vec<Subnet>,
    },
}

/// What happens to our own lease.
#[derive(Debug, Clone, PartialEq)]
pub enum Own {
    /// It was written, by us or by others.
    Put {
        /// What it says.
        attributes: Box<Attributes>,
        /// The etcd lease it ends with; none if it is a reservation.
        lease_id: Option<i64>,
        /// The revision of that write. Of a listing it is older than the revision the listing is of.
        mod_revision: i64,
    },
    /// Somebody wrote there what is no lease.
    Unreadable,
    /// It was removed, or ended.
    Removed,
}

/// Leases being watched, until dropped.
#[derive(Debug)]
pub struct LeaseWatch(Task<Event>);

impl LeaseWatch {
    /// The next event. Loses nothing when cancelled; none only if the runtime ends.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.messages.recv().await
    }
}

/// The configuration being watched, until dropped.
#[derive(Debug)]
pub struct ConfigWatch(Task<Option<Vec<u8>>>);

impl ConfigWatch {
    /// What it holds now; the inner none if it was removed. Loses nothing when cancelled; the outer
    /// none only if the runtime ends.
    pub async fn next(&mut self) -> Option<Option<Vec<u8>>> {
        self.0.messages.recv().await
    }
}

#[derive(Debug)]
struct Task<T> {
    messages: mpsc::Receiver<T>,
    task: JoinHandle<()>,
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The receiver is gone.
struct Unheard;

impl Registry {
    /// Watches leases after `revision`, that of a snapshot; without one it begins with
    /// [`Event::Resynced`]. Events about `own` are told as such. To be called within a runtime.
    pub fn watch_leases(&self, own: Option<Subnet>, revision: Option<i64>) -> LeaseWatch {
        let (sender, messages) = mpsc::channel(WAITING);
        let watcher = LeaseWatcher {
            registry: self.clone(),
            own,
            sender,
        };
        let task = tokio::spawn(async move {
            // Ends with the receiver only.
            let _ = watcher.run(revision).await;
        });
        LeaseWatch(Task { messages, task })
    }

    /// Watches the configuration after `revision`, that of a read. To be called within a runtime.
    pub fn watch_config(&self, revision: i64) -> ConfigWatch {
        let (sender, messages) = mpsc::channel(WAITING);
        let registry = self.clone();
        let task = tokio::spawn(async move {
            let _ = registry.follow_config(revision, sender).await;
        });
        ConfigWatch(Task { messages, task })
    }

    async fn follow_config(
        &self,
        mut revision: i64,
        sender: mpsc::Sender<Option<Vec<u8>>>,
    ) -> Result<(), Unheard> {
        let key = self.config_key();
        loop {
            let mut watch = self.client.watch(&key, revision.saturating_add(1));
            while let Some(WatchMessage::Events { events, .. }) = watch.next().await {
                for event in events {
                    let told = match event {
                        WatchEvent::Put { key: at, value, .. } if at == key.as_bytes() => {
                            Some(value)
                        }
                        WatchEvent::Delete { key: at, .. } if at == key.as_bytes() => None,
                        // The prefix is that of other keys too.
                        _ => continue,
                    };
                    sender.send(told).await.map_err(|_| Unheard)?;
                }
            }
            let config = until_done("the configuration", || self.config()).await;
            revision = config.revision;
            sender.send(config.bytes).await.map_err(|_| Unheard)?;
        }
    }
}

struct LeaseWatcher {
    registry: Registry,
    own: Option<Subnet>,
    sender: mpsc::Sender<Event>,
}

impl LeaseWatcher {
    async fn run(&self, known: Option<i64>) -> Result<(), Unheard> {
        let mut revision = match known {
            Some(revision) => revision,
            None => self.resync().await?,
        };
        let prefix = self.registry.subnets();
        loop {
            let from = revision.saturating_add(1);
            let mut watch = self.registry.client.watch(&prefix, from);
            while let Some(WatchMessage::Events { events, .. }) = watch.next().await {
                for event in events {
                    if let Some(event) = self.told(&prefix, event) {
                        self.send(event).await?;
                    }
                }
            }
            tracing::info!("changes of leases were lost, listing all of them");
            revision = self.resync().await?;
        }
    }

    async fn resync(&self) -> Result<i64, Unheard> {
        let snapshot = until_done("the leases", || self.registry.leases()).await;
        let revision = snapshot.revision;
        if let Some(own) = self.own {
            let own = listed(&snapshot, own);
            self.send(Event::Own { own, revision }).await?;
        }
        let others = |subnet: &Subnet| Some(*subnet) != self.own;
        let leases = snapshot.found.into_iter().map(|found| found.lease);
        let unreadable = snapshot.unreadable.into_iter();
        self.send(Event::Resynced {
            leases: leases.filter(|lease| others(&lease.subnet)).collect(),
            unreadable: unreadable.filter(others).collect(),
        })
        .await?;
        Ok(revision)
    }

    fn told(&self, prefix: &str, event: WatchEvent) -> Option<Event> {
        let mut complaints = lock(&self.registry.complaints);
        match event {
            WatchEvent::Delete { key, revision } => {
                let (_, subnet) = subnet(prefix, &key, &mut complaints)?;
                let own = Own::Removed;
                Some(match Some(subnet) == self.own {
                    true => Event::Own { own, revision },
                    false => Event::Removed(subnet),
                })
            }
            WatchEvent::Put {
                key,
                value,
                lease: lease_id,
                revision,
            } => {
                let (_, subnet) = subnet(prefix, &key, &mut complaints)?;
                let attributes = attributes(&key, &value, &mut complaints);
                if Some(subnet) != self.own {
                    return Some(match attributes {
                        Some(attributes) => Event::Added(Lease { subnet, attributes }),
                        None => Event::Unreadable(subnet),
                    });
                }
                let attributes = attributes.map(Box::new);
                let own = attributes.map_or(Own::Unreadable, |attributes| Own::Put {
                    attributes,
                    lease_id,
                    mod_revision: revision,
                });
                Some(Event::Own { own, revision })
            }
        }
    }

    async fn send(&self, event: Event) -> Result<(), Unheard> {
        self.sender.send(event).await.map_err(|_| Unheard)
    }
}

/// What a listing says of our own lease.
fn listed(snapshot: &Snapshot, own: Subnet) -> Own {
    match snapshot.of(&own) {
        Some(found) => Own::Put {
            attributes: Box::new(found.lease.attributes.clone()),
            lease_id: found.lease_id,
            mod_revision: found.mod_revision,
        },
        None if snapshot.unreadable.contains(&own) => Own::Unreadable,
        None => Own::Removed,
    }
}

/// Tries until it is done, less and less often.
async fn until_done<T, F: Future<Output = Result<T, Error>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match ask().await {
            Ok(done) => return done,
            Err(error) => error,
        };
        // One line for each outage, not one for each attempt.
        if pause == FIRST_PAUSE {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot read {what} in etcd, trying again"
            );
        }
        tokio::time::sleep(jittered(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
