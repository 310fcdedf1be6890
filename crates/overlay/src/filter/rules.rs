//! What the rules are made from.

use ignite_host::iptables::Family;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Part;
use crate::subnet_env::{Half, SubnetEnv};

/// The overlay's addresses of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<N> {
    /// Of all nodes.
    pub network: N,
    /// Of this node, inside the network.
    pub subnet: N,
}

/// What is to be let through and what is to be masqueraded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// IPv4, where enabled.
    pub ipv4: Option<Scope<Ipv4Net>>,
    /// IPv6, where enabled.
    pub ipv6: Option<Scope<Ipv6Net>>,
    /// Traffic between the overlay and the rest gets this node's address: `-ip-masq`.
    pub ip_masq: bool,
    /// What the host forwards for the overlay is accepted: `-iptables-forward-rules`.
    pub forward: bool,
    /// Masqueraded connections get ports at random, so that two at once do not want the same.
    pub random_fully: bool,
}

impl Rules {
    /// What an agent that wrote this file put there, as far as one can tell.
    pub fn from_env(env: &SubnetEnv) -> Self {
        Self {
            ipv4: env.ipv4.as_ref().and_then(scope),
            ipv6: env.ipv6.as_ref().and_then(scope),
            ip_masq: env.ip_masq,
            forward: true,
            random_fully: true,
        }
    }

    /// The families there are.
    pub(super) fn scopes(&self) -> impl Iterator<Item = (Family, Part)> + use<> {
        let ipv4 = self.scope(Family::V4).map(|part| (Family::V4, part));
        let ipv6 = self.scope(Family::V6).map(|part| (Family::V6, part));
        ipv4.into_iter().chain(ipv6)
    }

    /// One family's part, without host bits.
    pub(super) fn scope(&self, family: Family) -> Option<Part> {
        match family {
            Family::V4 => self.ipv4.map(|scope| part(scope.network, scope.subnet)),
            Family::V6 => self.ipv6.map(|scope| part(scope.network, scope.subnet)),
        }
    }
}

fn scope<N: Copy>(half: &Half<N>) -> Option<Scope<N>> {
    let network = *half.networks.first()?;
    Some(Scope {
        network,
        subnet: half.subnet,
    })
}

fn part(network: impl Into<IpNet>, subnet: impl Into<IpNet>) -> Part {
    Part {
        network: network.into().trunc(),
        subnet: subnet.into().trunc(),
    }
}
