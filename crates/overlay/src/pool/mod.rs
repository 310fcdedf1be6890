//! Which subnet a node takes: a pure function of what etcd has, to be asked again when another node
//! was faster.
//!
//! ```text
//!   a lease names our address and fits -----------------------> Reuse its key
//!        | (those that do not fit are deleted)
//!   the subnet of last time fits and is free -----------------> Create that
//!        |
//!   one of the first 100 free subnets, at random -------------> Create that
//! ```
//!
//! Time and memory depend on the number of leases, not on that of subnets.

#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;

use crate::config::{Config, Prefix, Range};
use crate::lease::{Lease, Subnet, key};

/// Among so many free subnets one is drawn, so that nodes that start together seldom draw the same.
const CANDIDATES: usize = 100;

/// What the choice depends on.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The configuration as it is now.
    pub config: &'a Config,
    /// All leases.
    pub leases: &'a [Lease],
    /// Subnets whose leases cannot be understood: they are taken all the same.
    pub unreadable: &'a [Subnet],
    /// Where other nodes reach this one: it is what makes a lease ours.
    pub public_ip: Ipv4Addr,
    /// The subnet of last time (`subnet.env`).
    pub previous: Option<Subnet>,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Delete these leases: they are ours, and do not fit the configuration any more.
    pub delete: Vec<Subnet>,
    /// Then take this subnet.
    pub take: Take,
}

/// How to come to a subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// Put our attributes under this key, which is ours already.
    Reuse(Subnet),
    /// Create this key, unless somebody else has by then: decide again in that case.
    Create(Subnet),
}

impl Take {
    /// The subnet.
    pub fn subnet(&self) -> Subnet {
        match self {
            Self::Reuse(subnet) | Self::Create(subnet) => *subnet,
        }
    }
}

/// Why no subnet can be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// All are taken.
    #[error("no {family} subnet is free: other nodes have all from {first} to {last}")]
    OutOfSubnets {
        /// IPv4 or IPv6.
        family: &'static str,
        /// The first subnet.
        first: String,
        /// The last one.
        last: String,
    },
    /// Flannel's keys in etcd always have an IPv4 half, and nodes know their leases by IPv4 addresses.
    #[error("a network without IPv4 cannot be kept in etcd")]
    WithoutIpv4,
}

impl PoolError {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::OutOfSubnets { .. } => {
                "leases of nodes that are gone end within 24 hours of their last renewal, or delete \
                 their keys; or change Network or SubnetLen to have more and smaller subnets"
            }
            Self::WithoutIpv4 => "enable IPv4 as well (EnableIPv4, Network)",
        };
        Some(text.to_owned())
    }
}

/// Whether the configuration, as it is now, could have given out this subnet.
pub fn fits(config: &Config, subnet: &Subnet) -> bool {
    let v4 = config.ipv4.is_some_and(|range| range.contains(subnet.v4));
    let v6 = match (config.ipv6, subnet.v6) {
        (Some(range), Some(v6)) => range.contains(v6),
        (None, None) => true,
        // Peers without IPv6 cannot bear a key with an IPv6 half.
        _ => false,
    };
    v4 && v6
}

/// Decides. `random(n)` gives a number below `n`.
pub fn decide(
    situation: &Situation<'_>,
    random: &mut impl FnMut(usize) -> usize,
) -> Result<Decision, PoolError> {
    let config = situation.config;
    let ipv4 = config.ipv4.as_ref().ok_or(PoolError::WithoutIpv4)?;
    let (ours, others): (Vec<Subnet>, Vec<Subnet>) = ours_and_others(situation);
    let fitting = ours.iter().filter(|subnet| fits(config, subnet));
    if let Some(subnet) = fitting.min_by_key(|subnet| key::format(subnet)) {
        return Ok(Decision {
            delete: Vec::new(),
            take: Take::Reuse(*subnet),
        });
    }
    let previous = situation.previous.filter(|previous| {
        let is_taken = others.iter().any(|other| overlap(other, previous));
        fits(config, previous) && !is_taken
    });
    let subnet = match previous {
        Some(subnet) => subnet,
        None => Subnet {
            v4: draw(ipv4, others.iter().map(|other| other.v4), random)?,
            v6: match &config.ipv6 {
                Some(range) => Some(draw(range, others.iter().filter_map(|o| o.v6), random)?),
                None => None,
            },
        },
    };
    Ok(Decision {
        delete: ours,
        take: Take::Create(subnet),
    })
}

fn ours_and_others(situation: &Situation<'_>) -> (Vec<Subnet>, Vec<Subnet>) {
    let public_ip = situation.public_ip;
    // Nodes with IPv6 alone all say that they are at 0.0.0.0: this is nobody's address.
    let is_ours =
        |lease: &&Lease| lease.attributes.public_ip == public_ip && !public_ip.is_unspecified();
    let (ours, others): (Vec<&Lease>, Vec<&Lease>) = situation.leases.iter().partition(is_ours);
    let mut others: Vec<Subnet> = others.into_iter().map(|lease| lease.subnet).collect();
    others.extend(situation.unreadable);
    (ours.into_iter().map(|lease| lease.subnet).collect(), others)
}

fn overlap(one: &Subnet, other: &Subnet) -> bool {
    let v6 = match (one.v6, other.v6) {
        (Some(one), Some(other)) => is_subnet(&one) && intersect(one, other),
        _ => false,
    };
    v6 || is_subnet(&one.v4) && intersect(one.v4, other.v4)
}

fn intersect<N: Prefix>(one: N, other: N) -> bool {
    one.bits() <= other.last() && other.bits() <= one.last()
}

/// Of a node with IPv6 alone the IPv4 half is `0.0.0.0-0`: it stands for nothing, not for everything.
fn is_subnet<N: Prefix>(half: &N) -> bool {
    half.length() != 0
}

/// One of the first free subnets.
fn draw<N: Prefix>(
    range: &Range<N>,
    taken: impl Iterator<Item = N>,
    random: &mut impl FnMut(usize) -> usize,
) -> Result<N, PoolError> {
    let candidates = free(range, taken);
    let index = match candidates.len() {
        0 | 1 => 0,
        // Whatever the source of chance says.
        length => random(length).min(length - 1),
    };
    candidates
        .get(index)
        .copied()
        .ok_or_else(|| PoolError::OutOfSubnets {
            family: N::FAMILY,
            first: range.first().to_string(),
            last: range.last().to_string(),
        })
}

/// The first [`CANDIDATES`] subnets that overlap none of those taken.
fn free<N: Prefix>(range: &Range<N>, taken: impl Iterator<Item = N>) -> Vec<N> {
    let mut taken: Vec<N> = taken.filter(is_subnet).collect();
    taken.sort_unstable_by_key(|taken| taken.bits());
    let mut taken = taken.into_iter().peekable();
    let (size, length) = (range.subnet_size(), range.subnet_length());
    let mut found = Vec::new();
    let mut next = Some(range.first().bits());
    while let Some(at) = next.filter(|at| *at <= range.last().bits()) {
        let candidate = N::with(at, length);
        while taken.next_if(|taken| taken.last() < at).is_some() {}
        let blocking = taken
            .peek()
            .filter(|taken| taken.bits() <= candidate.last());
        let end = match blocking {
            // What overlaps and is larger is left at its end, in one step.
            Some(taken) => taken.last().max(candidate.last()),
            None => {
                found.push(candidate);
                candidate.last()
            }
        };
        if found.len() == CANDIDATES {
            break;
        }
        // Networks end where a subnet of theirs does.
        debug_assert_eq!(end % size, size - 1);
        next = end.checked_add(1);
    }
    found
}
