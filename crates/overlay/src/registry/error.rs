//! What can go wrong with the overlay's records.

use std::net::Ipv4Addr;

use crate::etcd;
use crate::lease::{Subnet, key};

/// Errors of the overlay's records in etcd.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// etcd could not be asked.
    #[error(transparent)]
    Etcd(#[from] etcd::Error),
    /// The lease is no longer there.
    #[error("the lease of {} is gone from etcd", text(subnet))]
    Gone {
        /// Whose.
        subnet: Subnet,
    },
    /// Another node has the subnet.
    #[error("the subnet {} belongs to the node {by}", text(subnet))]
    Taken {
        /// Which one.
        subnet: Subnet,
        /// That node's address.
        by: Ipv4Addr,
    },
    /// Part of it belongs to another node.
    #[error(
        "the subnet {} overlaps {} of the node {by}",
        text(subnet),
        text(other)
    )]
    Overlaps {
        /// Which one.
        subnet: Subnet,
        /// The other.
        other: Subnet,
        /// That node's address.
        by: Ipv4Addr,
    },
    /// The node has a subnet, and would go on using that.
    #[error("the node {node} has the subnet {} already", text(other))]
    HasAnother {
        /// The node's address.
        node: Ipv4Addr,
        /// What it has.
        other: Subnet,
    },
    /// Somebody has it, but who cannot be read.
    #[error("the record of {} cannot be read", text(subnet))]
    Unreadable {
        /// Which one.
        subnet: Subnet,
    },
    /// A lease, no reservation.
    #[error("the subnet {} is leased, not reserved", text(subnet))]
    NotReserved {
        /// Which one.
        subnet: Subnet,
    },
    /// Somebody else changes it all the time.
    #[error("the lease of {} changes again and again", text(subnet))]
    Contended {
        /// Whose.
        subnet: Subnet,
    },
}

/// A subnet as people write it.
fn text(subnet: &Subnet) -> String {
    key::format(subnet).replace('-', "/").replace('&', " and ")
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Etcd(source) => source.hint(),
            Self::Contended { .. } | Self::Taken { .. } => Some(
                "every node needs a public address of its own: do two have the same one?".into(),
            ),
            Self::HasAnother { .. } => {
                Some("remove that lease or reservation first, with the node stopped".into())
            }
            Self::Unreadable { .. } => Some("delete that key if no node uses the subnet".into()),
            Self::Gone { .. } | Self::Overlaps { .. } | Self::NotReserved { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_are_written_for_people() {
        let subnet = Subnet {
            v4: "10.5.3.0/24".parse().expect("net"),
            v6: Some("fd00:5::/64".parse().expect("net")),
        };
        assert_eq!(
            Error::Gone { subnet }.to_string(),
            "the lease of 10.5.3.0/24 and fd00:5::/64 is gone from etcd"
        );
    }
}
