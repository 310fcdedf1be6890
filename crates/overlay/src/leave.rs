//! Leaving: what an agent made on this host is taken away, and its lease given back.
//!
//! It works without the agent, without etcd and without knowing the external interface: by the
//! configuration and the subnet that were followed last. What looks like something else's stays.

use std::net::{IpAddr, Ipv4Addr};

use ignite_host::link::{self, Link, Netlink, Protocol, Route, Scope};
use ipnet::IpNet;

use crate::backend::entry::plain_metric;
use crate::backend::{vxlan, wireguard};
use crate::config::{Backend, Config};
use crate::etcd::Written;
use crate::filter::{Filter, FilterError, Rules};
use crate::registry::{Error as RegistryError, Registry};
use crate::subnet_env::SubnetEnv;

/// Something that could not be taken away; the rest is gone.
#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    /// Devices and routes.
    #[error("cannot take away {what}")]
    Kernel {
        /// What it is about.
        what: String,
        /// The kernel's answer.
        source: ignite_host::link::Error,
    },
    /// Rules of the packet filter.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

/// Takes devices, routes, rules and the bridge away; what was, and what could not be. An agent of this
/// network must not run any more.
pub fn take_away(
    config: &Config,
    file: Option<&SubnetEnv>,
    bridge: &str,
) -> (Vec<String>, Vec<LeaveError>) {
    let (mut gone, mut errors) = take_away_data_plane(config, file);
    match delete_bridge(bridge, file) {
        Ok(deleted) => gone.extend(deleted.then(|| format!("device {bridge}"))),
        Err(source) => errors.push(LeaveError::Kernel {
            what: format!("the device {bridge}"),
            source,
        }),
    }
    if let Some(file) = file {
        let failed = Filter::new(Rules::from_env(file)).remove();
        if failed.is_empty() {
            gone.push("packet filter rules".to_owned());
        }
        errors.extend(failed.into_iter().map(LeaveError::from));
    }
    (gone, errors)
}

/// Takes the devices and routes away that the backend of `config` made; what was, and what could not be.
pub(crate) fn take_away_data_plane(
    config: &Config,
    file: Option<&SubnetEnv>,
) -> (Vec<String>, Vec<LeaveError>) {
    let mut gone = Vec::new();
    let mut errors = Vec::new();
    match Netlink::open() {
        Ok(netlink) => {
            devices(&netlink, config, &mut gone, &mut errors);
            routes(&netlink, config, file, &mut gone, &mut errors);
        }
        Err(source) => errors.push(LeaveError::Kernel {
            what: "devices and routes".to_owned(),
            source,
        }),
    }
    (gone, errors)
}

/// Whether the one's devices and routes are those of the other: the same backend, VNI, networks and
/// lengths of subnets.
pub(crate) fn same_data_plane(one: &Config, other: &Config) -> bool {
    one.backend.kind() == other.backend.kind()
        && made(&one.backend) == made(&other.backend)
        && ranges(one) == ranges(other)
}

/// The names of the devices a backend makes, with their kinds.
fn made(backend: &Backend) -> Vec<(String, &'static str)> {
    match backend {
        Backend::Vxlan { vni, .. } => vxlan::names(*vni)
            .into_iter()
            .map(|name| (name, "vxlan"))
            .collect(),
        // Those in user space are TUN devices, which end with their program.
        Backend::Wireguard { .. } => wireguard::NAMES
            .into_iter()
            .map(|name| (name.to_owned(), "wireguard"))
            .collect(),
        Backend::Udp { .. } | Backend::HostGw | Backend::Alloc => Vec::new(),
    }
}

/// The networks, and how long their subnets are.
fn ranges(config: &Config) -> Vec<(IpNet, u8)> {
    let v4 = config.ipv4.as_ref();
    let v6 = config.ipv6.as_ref();
    v4.map(|range| (range.network().into(), range.subnet_length()))
        .into_iter()
        .chain(v6.map(|range| (range.network().into(), range.subnet_length())))
        .collect()
}

fn devices(
    netlink: &Netlink,
    config: &Config,
    gone: &mut Vec<String>,
    errors: &mut Vec<LeaveError>,
) {
    let links = match netlink.links() {
        Ok(links) => links,
        Err(source) => {
            let what = "the devices".to_owned();
            return errors.push(LeaveError::Kernel { what, source });
        }
    };
    let ours = made(&config.backend);
    let is_made = |link: &&Link| {
        let kind = link.kind.as_deref();
        let by_name = |(name, of): &(String, &'static str)| *name == link.name && kind == Some(*of);
        ours.iter().any(by_name)
    };
    for link in links.iter().filter(is_made) {
        match netlink.delete(link.index) {
            Ok(()) => gone.push(format!("device {}", link.name)),
            Err(source) => errors.push(LeaveError::Kernel {
                what: format!("the device {}", link.name),
                source,
            }),
        }
    }
}

/// Deletes the bridge that CNI's plugins made for our subnet, if nothing is attached to it; whether it was.
/// They give it the subnet's first address: one without is another's, whatever its name.
fn delete_bridge(bridge: &str, file: Option<&SubnetEnv>) -> Result<bool, link::Error> {
    let Some(subnet) = file.and_then(SubnetEnv::subnet) else {
        return Ok(false);
    };
    let netlink = Netlink::open()?;
    let links = netlink.links()?;
    let is_bridge = |link: &&Link| link.name == bridge && link.kind.as_deref() == Some("bridge");
    let Some(found) = links.iter().find(is_bridge) else {
        return Ok(false);
    };
    if links.iter().any(|port| port.master == Some(found.index)) {
        return Ok(false);
    }
    let gateway = subnet.v4.hosts().next().map(IpAddr::from);
    let addresses = netlink.addresses(found.index)?;
    if !(addresses.iter()).any(|address| Some(address.addr()) == gateway) {
        return Ok(false);
    }
    netlink.delete(found.index).map(|()| true)
}

/// Routes over other hosts, as the agent (or Flannel's) writes them: see
/// [`Ours::route`](crate::backend::entry::Ours::route). Those on its devices went with them.
fn routes(
    netlink: &Netlink,
    config: &Config,
    file: Option<&SubnetEnv>,
    gone: &mut Vec<String>,
    errors: &mut Vec<LeaveError>,
) {
    let ranges = ranges(config);
    let own: Vec<IpNet> = file
        .and_then(SubnetEnv::subnet)
        .map(|own| std::iter::once(own.v4.trunc().into()).chain(own.v6.map(|v6| v6.trunc().into())))
        .into_iter()
        .flatten()
        .collect();
    let ours = |route: &Route| {
        let fits = |(network, length): &(IpNet, u8)| {
            network.contains(&route.destination) && route.destination.prefix_len() == *length
        };
        ranges.iter().any(fits)
            && !own.contains(&route.destination)
            && route.gateway.is_some()
            && route.protocol == Protocol::BOOT
            && route.scope == Scope::Universe
            && plain_metric(route)
    };
    let found = match netlink.main_routes(ours) {
        Ok(found) => found,
        Err(source) => {
            let what = "the routes".to_owned();
            return errors.push(LeaveError::Kernel { what, source });
        }
    };
    for route in found {
        match netlink.delete_route(&route) {
            Ok(()) => gone.push(format!("route {route}")),
            Err(source) => errors.push(LeaveError::Kernel {
                what: format!("the route {route}"),
                source,
            }),
        }
    }
}

impl Registry {
    /// Deletes the lease of the subnet in `file`, if its public address is one of this host's, `own`; a
    /// reservation stays. Whether it was deleted: without any address nothing is known to be ours.
    pub async fn give_back(
        &self,
        file: &SubnetEnv,
        own: &[Ipv4Addr],
    ) -> Result<bool, RegistryError> {
        let Some(subnet) = file.subnet() else {
            return Ok(false);
        };
        let snapshot = self.leases().await?;
        let Some(found) = snapshot.of(&subnet) else {
            return Ok(false);
        };
        let by_other = !own.contains(&found.lease.attributes.public_ip);
        if by_other || found.lease_id.is_none() {
            return Ok(false);
        }
        let key = self.key(&subnet);
        let deleted = self
            .client()
            .delete_if_unchanged(&key, found.mod_revision)
            .await?;
        Ok(matches!(deleted, Written::Yes { .. }))
    }
}

#[cfg(test)]
#[path = "leave_tests.rs"]
mod tests;
