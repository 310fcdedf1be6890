//! A lease we hold: kept alive, made known, given back.

use std::time::{Duration, SystemTime};

use crate::etcd::{KeyValue, Written};
use crate::lease::{Attributes, Subnet};

use super::{Error, Registry};

/// A write whose ground moved is begun anew so often.
const ROUNDS: usize = 5;

/// A lease this node holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// Whose traffic comes here.
    pub subnet: Subnet,
    /// The etcd lease it ends with; none for a reservation.
    pub lease_id: Option<i64>,
    /// When it ends unless renewed; none for a reservation.
    pub expires: Option<SystemTime>,
    /// What its record says, as we last wrote it.
    pub written: Attributes,
    /// The revision of its record as we last wrote or heard of it.
    pub revision: i64,
}

impl Held {
    /// Whether word of the record as of `revision` is older than what we know: a watch tells of our own
    /// earlier writes, and of what they undid, when we wrote again long since.
    pub fn knows_better(&self, revision: i64) -> bool {
        revision < self.revision
    }

    /// Whether a record that says `found` is ours, of whom there is `own` to say now. A node is known by
    /// its address; if ours changed since, by what we wrote before.
    pub fn is_own(&self, found: &Attributes, own: &Attributes) -> bool {
        found.public_ip == own.public_ip || *found == self.written
    }
}

/// The own record, as found.
struct Record {
    pair: KeyValue,
    /// Somebody wrote there what is no lease.
    unreadable: bool,
}

/// An etcd lease newly granted, not yet used.
pub(super) struct Fresh {
    pub(super) id: i64,
    pub(super) expires: SystemTime,
}

impl Registry {
    /// Writes the lease anew for a whole lease time; one that vanished or cannot be read is made again, a
    /// reservation stays one. [`Error::Taken`] if it became another node's meanwhile, [`Error::Gone`] if
    /// it was a reservation and is no more.
    pub async fn renew(&self, held: &mut Held, attributes: &Attributes) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            let found = self.own(held, attributes).await?;
            let reserved = match (&found, held.lease_id) {
                (Some(found), _) if !found.unreadable => found.pair.lease.is_none(),
                // Whoever wrote it knew nothing of leases.
                (Some(_), before) => before.is_none(),
                (None, Some(_)) => false,
                // Whoever ended a reservation meant it.
                (None, None) => {
                    return Err(Error::Gone {
                        subnet: held.subnet,
                    });
                }
            };
            let seen = found.as_ref().map(|found| found.pair.mod_revision);
            let superseded = found.and_then(|found| found.pair.lease).or(held.lease_id);
            let fresh = match reserved {
                true => None,
                false => Some(self.fresh().await?),
            };
            let written = self
                .write(&held.subnet, seen, attributes, fresh.as_ref())
                .await?;
            if let Some(revision) = written {
                held.lease_id = fresh.as_ref().map(|fresh| fresh.id);
                held.expires = fresh.map(|fresh| fresh.expires);
                held.written = attributes.clone();
                held.revision = revision;
                self.discard(superseded).await;
                return Ok(());
            }
        }
        Err(Error::Contended {
            subnet: held.subnet,
        })
    }

    /// Writes what we have to say with the same lease once more, for peers that missed it. If others
    /// changed the lease meanwhile (made it a reservation, or the reverse), `held` is told so; what
    /// cannot be read is renewed. [`Error::Gone`] if it does not exist any more, [`Error::Taken`] if it is another node's.
    pub async fn announce(&self, held: &mut Held, attributes: &Attributes) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            let Some(Record { pair, unreadable }) = self.own(held, attributes).await? else {
                return Err(Error::Gone {
                    subnet: held.subnet,
                });
            };
            if unreadable {
                return self.renew(held, attributes).await;
            }
            let key = self.key(&held.subnet);
            let value = attributes.to_json();
            let written = self
                .client
                .replace_if_unchanged(&key, pair.mod_revision, value.as_bytes(), pair.lease)
                .await;
            match written {
                Ok(Written::Yes { revision }) => {
                    // Whatever was known before: the store may have been set back.
                    held.revision = revision;
                    held.written = attributes.clone();
                    return self.adopt(held, pair.lease, revision).await;
                }
                // It ended in between, and the key with it: the next look will tell.
                Err(error) if error.is_not_found() => {}
                other => {
                    other?;
                }
            }
        }
        Err(Error::Contended {
            subnet: held.subnet,
        })
    }

    /// Notes that our key was attached to this etcd lease, or to none, as of `revision`: word of it said
    /// so. Late word is of no interest ([`Held::knows_better`]).
    pub async fn adopt(
        &self,
        held: &mut Held,
        lease_id: Option<i64>,
        revision: i64,
    ) -> Result<(), Error> {
        if held.knows_better(revision) {
            return Ok(());
        }
        held.revision = revision;
        if held.lease_id == lease_id {
            return Ok(());
        }
        held.expires = match lease_id {
            Some(id) => Some(self.expiry(id).await?.unwrap_or_else(SystemTime::now)),
            None => None,
        };
        held.lease_id = lease_id;
        Ok(())
    }

    /// When an etcd lease ends; none if it has.
    pub async fn expiry(&self, lease_id: i64) -> Result<Option<SystemTime>, Error> {
        let now = SystemTime::now();
        let left = self.client.time_to_live(lease_id).await?;
        Ok(left.map(|left| after(now, left.remaining)))
    }

    /// Gives the subnet back: nobody need wait for the lease to end. A reservation stays, it is the
    /// administrator's; so does what became another node's.
    pub async fn release(&self, held: Held, attributes: &Attributes) -> Result<(), Error> {
        let found = match self.own(&held, attributes).await {
            Err(Error::Taken { .. }) => None,
            other => other?.map(|found| found.pair),
        };
        if let Some(pair) = found.filter(|pair| pair.lease.is_some()) {
            let key = self.key(&held.subnet);
            self.client
                .delete_if_unchanged(&key, pair.mod_revision)
                .await?;
        }
        self.discard(held.lease_id).await;
        Ok(())
    }

    /// The own record, or what is in its place and cannot be read; none if there is none.
    async fn own(&self, held: &Held, own: &Attributes) -> Result<Option<Record>, Error> {
        let Some(pair) = self.client.get(&self.key(&held.subnet)).await?.pair else {
            return Ok(None);
        };
        let unreadable = match Attributes::parse(&pair.value) {
            Err(_) => true,
            Ok(found) if held.is_own(&found, own) => false,
            Ok(found) => {
                return Err(Error::Taken {
                    subnet: held.subnet,
                    by: found.public_ip,
                });
            }
        };
        Ok(Some(Record { pair, unreadable }))
    }

    /// Writes the record if it is as it was `seen` (absent, if not), and tells the revision; gives the
    /// fresh lease back if not.
    pub(super) async fn write(
        &self,
        subnet: &Subnet,
        seen: Option<i64>,
        attributes: &Attributes,
        fresh: Option<&Fresh>,
    ) -> Result<Option<i64>, Error> {
        let (key, value) = (self.key(subnet), attributes.to_json());
        let lease = fresh.map(|fresh| fresh.id);
        let written = match seen {
            Some(revision) => {
                let write =
                    self.client
                        .replace_if_unchanged(&key, revision, value.as_bytes(), lease);
                write.await
            }
            None => {
                self.client
                    .create_if_absent(&key, value.as_bytes(), lease)
                    .await
            }
        };
        if !matches!(written, Ok(Written::Yes { .. })) {
            self.discard(lease).await;
        }
        Ok(match written? {
            Written::Yes { revision } => Some(revision),
            Written::No => None,
        })
    }

    pub(super) async fn fresh(&self) -> Result<Fresh, Error> {
        // Before the call: rather a moment early than late.
        let now = SystemTime::now();
        let granted = self.client.grant(self.lease_time).await?;
        Ok(Fresh {
            id: granted.id,
            expires: after(now, granted.ttl),
        })
    }

    /// Ends an etcd lease nothing is attached to. To revoke another one would remove its keys; a
    /// failure only leaves it to run out.
    pub(super) async fn discard(&self, lease_id: Option<i64>) {
        let Some(id) = lease_id else {
            return;
        };
        let discarded = async {
            let left = self.client.time_to_live(id).await?;
            if left.is_some_and(|left| left.keys.is_empty()) {
                self.client.revoke(id).await?;
            }
            Ok::<_, crate::etcd::Error>(())
        };
        if let Err(error) = discarded.await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the etcd lease {id:x} is left to run out"
            );
        }
    }
}

fn after(now: SystemTime, seconds: u64) -> SystemTime {
    // A lease of the age of the universe ends in a day: renewing it once more costs nothing.
    now.checked_add(Duration::from_secs(seconds))
        .unwrap_or(now + Duration::from_secs(86_400))
}
