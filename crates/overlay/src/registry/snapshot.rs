//! All leases at one moment. What others wrote may be anything: what is no lease is passed over.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::etcd::KeyValue;
use crate::lease::{Attributes, Lease, Subnet, key};

use super::{Error, Registry};

/// So many unreadable records are named in the log.
const NAMED: usize = 100;
/// How much of a foreign key is quoted, in bytes.
const QUOTE: usize = 100;

/// All leases as they were at one revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The store's revision.
    pub revision: i64,
    /// In order of keys.
    pub found: Vec<Found>,
    /// Subnets whose records cannot be read: they are somebody's all the same.
    pub unreadable: Vec<Subnet>,
}

/// A lease, with what etcd knows about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The lease.
    pub lease: Lease,
    /// The etcd lease it ends with; none for a reservation.
    pub lease_id: Option<i64>,
    /// The last part of its key as written, in one case of which others' writing differs from ours.
    pub key: String,
    /// When it was last changed.
    pub mod_revision: i64,
}

impl Snapshot {
    /// The leases alone.
    pub fn leases(&self) -> Vec<Lease> {
        self.found.iter().map(|found| found.lease.clone()).collect()
    }

    pub(crate) fn of(&self, subnet: &Subnet) -> Option<&Found> {
        self.found
            .iter()
            .find(|found| found.lease.subnet == *subnet)
    }
}

impl Registry {
    /// All leases there are.
    pub async fn leases(&self) -> Result<Snapshot, Error> {
        let prefix = self.subnets();
        let listing = self.client.list(&prefix).await?;
        let mut snapshot = Snapshot {
            revision: listing.revision,
            found: Vec::new(),
            unreadable: Vec::new(),
        };
        let mut complaints = lock(&self.complaints);
        for pair in &listing.pairs {
            match read(&prefix, pair, &mut complaints) {
                Some(Ok(found)) => snapshot.found.push(found),
                Some(Err(subnet)) => snapshot.unreadable.push(subnet),
                None => {}
            }
        }
        Ok(snapshot)
    }
}

/// The lease in a record, or its subnet alone if only the key can be read; nothing if not even that.
fn read(
    prefix: &str,
    pair: &KeyValue,
    complaints: &mut Complaints,
) -> Option<Result<Found, Subnet>> {
    let (key, subnet) = subnet(prefix, &pair.key, complaints)?;
    let Some(attributes) = attributes(&pair.key, &pair.value, complaints) else {
        return Some(Err(subnet));
    };
    Some(Ok(Found {
        lease: Lease { subnet, attributes },
        lease_id: pair.lease,
        key,
        mod_revision: pair.mod_revision,
    }))
}

/// The subnet a key is about, with the key's last part.
pub(super) fn subnet(
    prefix: &str,
    key: &[u8],
    complaints: &mut Complaints,
) -> Option<(String, Subnet)> {
    let tail = key.strip_prefix(prefix.as_bytes())?;
    let Ok(tail) = std::str::from_utf8(tail) else {
        complaints.add(key, "its key is not text");
        return None;
    };
    match key::parse(tail) {
        Ok(subnet) => Some((tail.to_owned(), subnet)),
        Err(error) => {
            complaints.add(key, &error.to_string());
            None
        }
    }
}

pub(super) fn attributes(
    key: &[u8],
    value: &[u8],
    complaints: &mut Complaints,
) -> Option<Attributes> {
    if value.is_empty() {
        complaints.add(key, "it says nothing, or more than anybody reads");
        return None;
    }
    Attributes::parse(value)
        .inspect_err(|error| complaints.add(key, &error.to_string()))
        .ok()
}

/// Keys of unreadable records, each of which is told once: neither a record that is met at every listing
/// nor a stranger's ten thousand fill the log.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    told: BTreeSet<Vec<u8>>,
}

/// A panic of another holder leaves the set whole.
pub(super) fn lock(complaints: &Mutex<Complaints>) -> MutexGuard<'_, Complaints> {
    complaints.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Complaints {
    fn add(&mut self, key: &[u8], reason: &str) {
        let key = &key[..key.len().min(QUOTE)];
        if self.told.len() >= NAMED || !self.told.insert(key.to_vec()) {
            return;
        }
        let key = String::from_utf8_lossy(key);
        tracing::warn!("passing over the record {key:?}: {reason}");
        if self.told.len() == NAMED {
            tracing::warn!("further records that are passed over are not named");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &[u8], value: &str) -> KeyValue {
        KeyValue {
            key: key.to_vec(),
            value: value.into(),
            create_revision: 1,
            mod_revision: 2,
            lease: Some(7),
        }
    }

    #[test]
    fn what_is_no_lease_is_passed_over() {
        let mut complaints = Complaints::default();
        let value = r#"{"PublicIP":"10.0.0.1","PublicIPv6":null}"#;
        let good = pair(b"/p/subnets/10.5.3.0-24", value);
        let found = read("/p/subnets/", &good, &mut complaints).expect("good");
        let found = found.expect("readable");
        assert_eq!(
            (found.key.as_str(), found.lease_id),
            ("10.5.3.0-24", Some(7))
        );
        assert_eq!(complaints.told.len(), 0);
        let subnet = found.lease.subnet;
        let broken = pair(b"/p/subnets/10.5.3.0-24", "{");
        let broken = read("/p/subnets/", &broken, &mut complaints);
        assert_eq!(broken, Some(Err(subnet)));
        for bad in [
            pair(b"/p/subnets/10.5.3.0", value),
            pair(b"/p/subnets/", value),
            pair(b"/p/subnets/\xff", value),
        ] {
            assert_eq!(read("/p/subnets/", &bad, &mut complaints), None);
        }
        assert_eq!(complaints.told.len(), 4);
    }

    #[test]
    fn each_unreadable_record_is_told_once_and_not_any_number_of_them() {
        let mut complaints = Complaints::default();
        for key in 0..10 * NAMED {
            complaints.add(format!("/p/subnets/{key}").as_bytes(), "nonsense");
            complaints.add(b"/p/subnets/again", "nonsense");
        }
        assert_eq!(complaints.told.len(), NAMED);
        assert!(complaints.told.contains(&b"/p/subnets/again"[..]));
    }
}
