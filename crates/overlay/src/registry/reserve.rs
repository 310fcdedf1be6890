//! Reservations: records without an etcd lease, which stay a node's while it is away.
//!
//! (A running `flanneld` of v0.18 and later makes a lease of its reservation again: a day after its
//! last start or renewal the reservation is gone.)

use std::net::Ipv4Addr;

use ipnet::{Ipv4Net, Ipv6Net};

use crate::etcd::Written;
use crate::lease::{Attributes, Subnet};

use super::{Error, Found, Registry, Snapshot};

/// What became of a reservation asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// It is new.
    New,
    /// The node had leased the subnet; it is reserved now.
    WasLeased,
    /// It was there.
    Already,
}

/// How a reservation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreserve {
    /// It becomes a lease: a node that runs keeps it, one that does not loses it a day later.
    Lapse,
    /// At once, and with it the subnet of the node if it runs.
    Now,
}

impl Registry {
    /// Reserves a subnet for the node with this address.
    pub async fn reserve(&self, subnet: &Subnet, node: Ipv4Addr) -> Result<Reserved, Error> {
        let snapshot = self.leases().await?;
        let seen = allowed(&snapshot, subnet, node)?;
        let (outcome, written) = match seen {
            Some(found) if found.lease_id.is_none() => return Ok(Reserved::Already),
            Some(found) => {
                let same = &found.lease.attributes;
                let write = self
                    .write(subnet, Some(found.mod_revision), same, None)
                    .await?;
                self.discard(found.lease_id).await;
                (Reserved::WasLeased, write)
            }
            None => (
                Reserved::New,
                self.write(subnet, None, &bare(node), None).await?,
            ),
        };
        match written {
            Some(_) => Ok(outcome),
            None => Err(Error::Contended { subnet: *subnet }),
        }
    }

    /// All reservations.
    pub async fn reservations(&self) -> Result<Vec<Found>, Error> {
        let mut found = self.leases().await?.found;
        found.retain(|found| found.lease_id.is_none());
        Ok(found)
    }

    /// Ends a reservation; whether there was one.
    pub async fn unreserve(&self, subnet: &Subnet, how: Unreserve) -> Result<bool, Error> {
        let snapshot = self.leases().await?;
        let Some(found) = snapshot.of(subnet) else {
            return Ok(false);
        };
        if found.lease_id.is_some() {
            return Err(Error::NotReserved { subnet: *subnet });
        }
        let done = match how {
            Unreserve::Lapse => {
                let fresh = self.fresh().await?;
                let same = &found.lease.attributes;
                self.write(subnet, Some(found.mod_revision), same, Some(&fresh))
                    .await?
                    .is_some()
            }
            Unreserve::Now => {
                let key = format!("{}{}", self.subnets(), found.key);
                let delete = self.client.delete_if_unchanged(&key, found.mod_revision);
                matches!(delete.await?, Written::Yes { .. })
            }
        };
        match done {
            true => Ok(true),
            false => Err(Error::Contended { subnet: *subnet }),
        }
    }
}

/// The node's own record of the subnet, if it has one; an error if the subnet cannot be its.
fn allowed<'a>(
    snapshot: &'a Snapshot,
    subnet: &Subnet,
    node: Ipv4Addr,
) -> Result<Option<&'a Found>, Error> {
    for found in &snapshot.found {
        let (other, by) = (found.lease.subnet, found.lease.attributes.public_ip);
        if other == *subnet {
            match by == node {
                true => continue,
                false => {
                    return Err(Error::Taken {
                        subnet: *subnet,
                        by,
                    });
                }
            }
        }
        if by == node {
            return Err(Error::HasAnother { node, other });
        }
        if overlap(&other, subnet) {
            return Err(Error::Overlaps {
                subnet: *subnet,
                other,
                by,
            });
        }
    }
    match snapshot
        .unreadable
        .iter()
        .find(|other| overlap(other, subnet))
    {
        Some(other) => Err(Error::Unreadable { subnet: *other }),
        None => Ok(snapshot.of(subnet)),
    }
}

fn overlap(one: &Subnet, other: &Subnet) -> bool {
    let v4 = |a: Ipv4Net, b: Ipv4Net| a.contains(&b) || b.contains(&a);
    let v6 = |a: Ipv6Net, b: Ipv6Net| a.contains(&b) || b.contains(&a);
    v4(one.v4, other.v4) || one.v6.zip(other.v6).is_some_and(|(a, b)| v6(a, b))
}

fn bare(node: Ipv4Addr) -> Attributes {
    Attributes {
        public_ip: node,
        public_ipv6: None,
        backend: None,
        data: None,
        v6_data: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{Lease, key};

    fn subnet(text: &str) -> Subnet {
        Subnet {
            v4: text.parse().expect("net"),
            v6: None,
        }
    }

    fn snapshot(leases: &[(&str, [u8; 4])]) -> Snapshot {
        let found = leases.iter().map(|(text, ip)| Found {
            lease: Lease {
                subnet: subnet(text),
                attributes: bare((*ip).into()),
            },
            lease_id: Some(1),
            key: key::format(&subnet(text)),
            mod_revision: 1,
        });
        Snapshot {
            revision: 1,
            found: found.collect(),
            unreadable: vec![subnet("10.5.5.0/24")],
        }
    }

    #[test]
    fn only_what_is_free_or_the_nodes_own_is_reserved() {
        let all = snapshot(&[("10.5.3.0/24", [1; 4]), ("10.5.4.0/24", [2; 4])]);
        let ask = |text, ip: [u8; 4]| allowed(&all, &subnet(text), ip.into());
        assert!(ask("10.5.3.0/24", [1; 4]).expect("own").is_some());
        assert!(ask("10.5.9.0/24", [3; 4]).expect("free").is_none());
        assert!(matches!(
            ask("10.5.3.0/24", [3; 4]),
            Err(Error::Taken { .. })
        ));
        assert!(matches!(
            ask("10.5.0.0/16", [3; 4]),
            Err(Error::Overlaps { .. })
        ));
        assert!(matches!(
            ask("10.5.4.128/25", [3; 4]),
            Err(Error::Overlaps { .. })
        ));
        assert!(matches!(
            ask("10.5.5.0/24", [3; 4]),
            Err(Error::Unreadable { .. })
        ));
        assert!(matches!(
            ask("10.5.9.0/24", [1; 4]),
            Err(Error::HasAnother { .. })
        ));
    }
}
