//! To come by a subnet.
//!
//! ```text
//!   look at all leases --> decide --> delete our records that do not fit
//!      ^                              take: Reuse   write on our own record       --> held
//!      |                                    Create  write if still absent         --> held
//!      |                                              |
//!      '--- pause --------------- another was faster -'
//! ```

use std::time::Duration;

use crate::etcd::jittered;
use crate::lease::{Attributes, Subnet, key};
use crate::pool::{Decision, Take};

use super::{Error, Found, Held, Registry, Snapshot};

/// So many lost races are taken.
pub const ATTEMPTS: u32 = 10;
/// The pause after a lost race, before it is spread.
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is no subnet.
#[derive(Debug, thiserror::Error)]
pub enum AcquireError<E: std::error::Error + 'static> {
    /// None can be chosen.
    #[error(transparent)]
    Decide(E),
    /// etcd failed.
    #[error(transparent)]
    Registry(#[from] Error),
    /// Others were faster every time.
    #[error("others took the subnet first, {ATTEMPTS} times in a row")]
    Contended,
}

impl<E: std::error::Error + 'static> AcquireError<E> {
    /// What the person can do about it, if there is something useful to say; of the errors of `decide`
    /// the caller knows that.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(source) => source.hint(),
            Self::Decide(_) | Self::Contended => None,
        }
    }
}

impl Registry {
    /// Comes by a subnet: `decide` is asked with all leases, and once more whenever another node was
    /// faster.
    pub async fn acquire<E: std::error::Error + 'static>(
        &self,
        attributes: &Attributes,
        mut decide: impl FnMut(&Snapshot) -> Result<Decision, E>,
    ) -> Result<Held, AcquireError<E>> {
        for attempt in 1..=ATTEMPTS {
            let snapshot = self.leases().await?;
            let decision = decide(&snapshot).map_err(AcquireError::Decide)?;
            for subnet in &decision.delete {
                self.remove(&snapshot, subnet, attributes).await?;
            }
            let held = match decision.take {
                Take::Reuse(subnet) => self.reuse(&snapshot, subnet, attributes).await?,
                Take::Create(subnet) => self.create(subnet, attributes).await?,
            };
            if let Some(held) = held {
                return Ok(held);
            }
            tracing::debug!(attempt, "another node was faster, looking again");
            tokio::time::sleep(jittered(PAUSE * attempt)).await;
        }
        Err(AcquireError::Contended)
    }

    /// Writes on our own record, with a new lease unless it is a reservation; none if it changed.
    async fn reuse(
        &self,
        snapshot: &Snapshot,
        subnet: Subnet,
        attributes: &Attributes,
    ) -> Result<Option<Held>, Error> {
        let canonical = key::format(&subnet);
        let found = snapshot.found.iter();
        let (ours, others): (Vec<&Found>, Vec<_>) = found
            .filter(|found| names(found, &subnet, attributes))
            .partition(|found| found.key == canonical);
        let seen = ours.first().map(|found| found.mod_revision);
        let any = ours.first().or(others.first());
        let superseded = any.and_then(|found| found.lease_id);
        let reserved = any.is_some_and(|found| found.lease_id.is_none());
        let fresh = match reserved {
            true => None,
            false => Some(self.fresh().await?),
        };
        let written = self
            .write(&subnet, seen, attributes, fresh.as_ref())
            .await?;
        let Some(revision) = written else {
            return Ok(None);
        };
        // Written by others in another way: nobody looks for it there again.
        for odd in others {
            self.client
                .delete(&format!("{}{}", self.subnets(), odd.key))
                .await
                .map_err(Error::from)?;
        }
        self.discard(superseded).await;
        Ok(Some(Held {
            subnet,
            lease_id: fresh.as_ref().map(|fresh| fresh.id),
            expires: fresh.map(|fresh| fresh.expires),
            written: attributes.clone(),
            revision,
        }))
    }

    /// Takes a free subnet; none if another node was faster.
    async fn create(&self, subnet: Subnet, attributes: &Attributes) -> Result<Option<Held>, Error> {
        let fresh = self.fresh().await?;
        let written = self.write(&subnet, None, attributes, Some(&fresh)).await?;
        Ok(written.map(|revision| Held {
            subnet,
            lease_id: Some(fresh.id),
            expires: Some(fresh.expires),
            written: attributes.clone(),
            revision,
        }))
    }

    async fn remove(
        &self,
        snapshot: &Snapshot,
        subnet: &Subnet,
        attributes: &Attributes,
    ) -> Result<(), Error> {
        let found = snapshot.found.iter();
        for found in found.filter(|found| names(found, subnet, attributes)) {
            tracing::info!(
                "removing our lease {}, it does not fit the network",
                found.key
            );
            let key = format!("{}{}", self.subnets(), found.key);
            self.client
                .delete_if_unchanged(&key, found.mod_revision)
                .await?;
            self.discard(found.lease_id).await;
        }
        Ok(())
    }
}

fn names(found: &Found, subnet: &Subnet, own: &Attributes) -> bool {
    found.lease.subnet == *subnet && found.lease.attributes.public_ip == own.public_ip
}
