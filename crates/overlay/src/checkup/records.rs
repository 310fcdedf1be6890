//! What etcd has of the network, compared with what this host believes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::SystemTime;

use ipnet::Ipv4Net;
use tokio::time::timeout;

use super::endpoint::ANSWER;
use super::trouble::{Kind, Trouble};
use super::{AgentState, Node};
use crate::agent::troubles;
use crate::config::{Backend, Config, Prefix as _, Range};
use crate::registry::{self, Found, Registry, Snapshot};

/// The network's records at one moment.
#[derive(Debug)]
pub(super) struct Records {
    registry: Registry,
    config: Result<Config, Trouble>,
    snapshot: Snapshot,
}

impl Records {
    /// Of what was read.
    pub fn new(
        registry: Registry,
        prefix: &str,
        config: &registry::Config,
        snapshot: Snapshot,
    ) -> Self {
        let config = match config.bytes.as_deref().map(Config::parse) {
            Some(Ok(config)) => Ok(config),
            Some(Err(error)) => Err(troubles::invalid_configuration(&error)),
            None => Err(troubles::no_configuration(prefix)),
        };
        Self {
            registry,
            config,
            snapshot,
        }
    }

    /// The leases that can be read.
    pub fn found(&self) -> &[Found] {
        &self.snapshot.found
    }

    /// How packets get to the other hosts, if the configuration is valid.
    pub fn backend(&self) -> Option<&Backend> {
        self.config.as_ref().ok().map(|config| &config.backend)
    }

    /// Compares, and completes what is known of this host.
    pub async fn look(&self, node: &mut Node, prefix: &str) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        match &self.config {
            Ok(config) => troubles.extend(self.pool(config, node)),
            Err(trouble) => troubles.push(trouble.clone()),
        }
        troubles.extend(self.own(node).await);
        troubles.extend(shared(&self.snapshot.found));
        let unreadable = self.snapshot.unreadable.iter();
        troubles.extend(unreadable.map(|subnet| troubles::unreadable(subnet, prefix)));
        let backend = self.backend().map(Backend::kind);
        if let Some(backend) = node.backend.as_deref().or(backend) {
            let found = self.snapshot.found.iter();
            troubles.extend(found.filter_map(|found| mismatch(backend, found)));
        }
        troubles
    }

    fn pool(&self, config: &Config, node: &mut Node) -> Option<Trouble> {
        let range = config.ipv4.as_ref()?;
        let all = self.snapshot.found.iter().map(|found| &found.lease.subnet);
        let taken = all.chain(&self.snapshot.unreadable).map(|subnet| subnet.v4);
        let free = free(range, taken);
        node.free_subnets = Some(free);
        // Who has a subnet is in no trouble; the number is shown.
        (free == 0 && node.subnet.is_none()).then(|| exhausted(range))
    }

    /// The own lease, as etcd has it.
    async fn own(&self, node: &mut Node) -> Option<Trouble> {
        let Some(subnet) = node.subnet else {
            let waits = node.agent == AgentState::Running && self.config.is_ok();
            return waits.then(no_subnet);
        };
        let found = self.snapshot.found.iter();
        let mut found = found.filter(|found| found.lease.subnet.v4 == subnet);
        let Some(found) = found.next() else {
            node.lease_seconds_left = None;
            return Some(no_lease(subnet));
        };
        let by = found.lease.attributes.public_ip;
        if node.public_ip.is_some_and(|own| own != by) {
            node.lease_seconds_left = None;
            return Some(taken(subnet, by));
        }
        node.reserved = found.lease_id.is_none();
        node.lease_seconds_left = match found.lease_id {
            Some(id) => self.seconds_left(id).await.or(node.lease_seconds_left),
            None => None,
        };
        None
    }

    /// By etcd's clock.
    async fn seconds_left(&self, lease: i64) -> Option<u64> {
        let now = SystemTime::now();
        let ends = timeout(ANSWER, self.registry.expiry(lease)).await;
        let ends = ends.ok()?.ok()??;
        Some(ends.duration_since(now).unwrap_or_default().as_secs())
    }
}

/// How many subnets of the range nobody has.
fn free(range: &Range<Ipv4Net>, taken: impl Iterator<Item = Ipv4Net>) -> u64 {
    let (first, last) = (range.first().bits(), range.last().bits());
    let all = (last - first) / range.subnet_size() + 1;
    let taken: std::collections::BTreeSet<Ipv4Net> =
        taken.filter(|subnet| range.contains(*subnet)).collect();
    u64::try_from(all)
        .unwrap_or(u64::MAX)
        .saturating_sub(taken.len() as u64)
}

fn exhausted(range: &Range<Ipv4Net>) -> Trouble {
    let (first, last) = (range.first(), range.last());
    Trouble::new(
        Kind::PoolExhausted,
        format!("Hosts have all subnets from {first} to {last}: there is none for this one"),
        troubles::FREE,
    )
}

fn no_subnet() -> Trouble {
    Trouble::new(
        Kind::NoLease,
        "This host has no subnet yet",
        "wait a moment; if it stays so, see ignite overlay logs",
    )
}

fn no_lease(subnet: Ipv4Net) -> Trouble {
    Trouble::new(
        Kind::NoLease,
        format!("etcd has no lease of {subnet}, this host's subnet: the others do not reach it"),
        "start the agent if it does not run (ignite overlay start): it writes the lease again; if it does, see ignite overlay logs",
    )
}

fn taken(subnet: Ipv4Net, by: Ipv4Addr) -> Trouble {
    Trouble::new(
        Kind::NoLease,
        format!("The subnet {subnet} of this host is leased to {by} now"),
        "restart the agent (ignite overlay restart): it takes another subnet; then start again what runs on the old one",
    )
}

/// Hosts that say they are at one address.
fn shared(found: &[Found]) -> Vec<Trouble> {
    let mut by_address: BTreeMap<Ipv4Addr, Vec<Ipv4Net>> = BTreeMap::new();
    for found in found {
        let public = found.lease.attributes.public_ip;
        by_address
            .entry(public)
            .or_default()
            .push(found.lease.subnet.v4);
    }
    // Hosts with IPv6 alone all say that they are at 0.0.0.0.
    let shared = by_address
        .into_iter()
        .filter(|(public, subnets)| subnets.len() > 1 && !public.is_unspecified());
    shared
        .map(|(public, subnets)| share(public, &subnets))
        .collect()
}

fn share(public: Ipv4Addr, subnets: &[Ipv4Net]) -> Trouble {
    const NAMED: usize = 3;
    let names = subnets.iter().take(NAMED).map(Ipv4Net::to_string);
    let mut names = names.collect::<Vec<_>>().join(", ");
    if subnets.len() > NAMED {
        names.push_str(", ...");
    }
    Trouble::new(
        Kind::SharedPublicIp,
        format!("{} leases name the host {public}: {names}", subnets.len()),
        "give each host an address of its own, or delete the keys of those that nobody uses",
    )
}

/// A host that sends packets of another kind.
fn mismatch(backend: &str, found: &Found) -> Option<Trouble> {
    let own = written(backend);
    let (subnet, attributes) = (found.lease.subnet, &found.lease.attributes);
    if let Some(trouble) = troubles::mismatch(own, subnet, attributes) {
        return Some(trouble);
    }
    // Without a lease of etcd it is a reservation, whose host may never have joined.
    let none = own.is_some() && attributes.backend.is_none() && found.lease_id.is_some();
    let by = attributes.public_ip;
    none.then(|| {
        Trouble::new(
            Kind::BackendMismatch,
            format!(
                "The host {by} ({}) has the backend udp or alloc, this one has {backend}",
                subnet.v4
            ),
            format!("all hosts follow one configuration: restart the agent on {by} (ignite overlay restart)"),
        )
    })
}

/// A backend as leases name it.
pub(super) fn written(backend: &str) -> Option<&str> {
    (!matches!(backend, "udp" | "alloc")).then_some(backend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{Attributes, Lease, Subnet};

    fn read(trouble: &Trouble) -> String {
        format!(
            "{}: {} | {}",
            trouble.kind.name(),
            trouble.text,
            trouble.remedy
        )
    }

    fn found(subnet: &str, value: &str, lease_id: Option<i64>) -> Found {
        Found {
            lease: Lease {
                subnet: Subnet {
                    v4: subnet.parse().expect("a network"),
                    v6: None,
                },
                attributes: Attributes::parse(value.as_bytes()).expect("a value"),
            },
            lease_id,
            key: String::new(),
            mod_revision: 1,
        }
    }

    fn range(text: &str) -> Range<Ipv4Net> {
        let config = Config::parse(text.as_bytes()).expect("valid");
        config.ipv4.expect("IPv4")
    }

    #[test]
    fn free_subnets_are_counted() {
        let range = range(r#"{"Network":"10.5.0.0/22","Backend":{"Type":"vxlan"}}"#);
        let nets = |texts: &[&str]| -> Vec<Ipv4Net> {
            texts
                .iter()
                .map(|text| text.parse().expect("a network"))
                .collect()
        };
        assert_eq!(free(&range, nets(&[]).into_iter()), 3);
        let some = ["10.5.1.0/24", "10.5.1.0/24", "10.6.1.0/24", "10.5.0.0/24"];
        assert_eq!(free(&range, nets(&some).into_iter()), 2);
        let all = ["10.5.1.0/24", "10.5.2.0/24", "10.5.3.0/24"];
        assert_eq!(free(&range, nets(&all).into_iter()), 0);
        insta::assert_snapshot!(read(&exhausted(&range)), @"pool-exhausted: Hosts have all subnets from 10.5.1.0/24 to 10.5.3.0/24: there is none for this one | hosts that leave for good give theirs back (ignite overlay leave --all); leases of hosts that are gone end within 24 hours of their last renewal, or delete their keys; or change Network or SubnetLen to have more and smaller subnets");
    }

    #[test]
    fn hosts_with_one_address_are_told() {
        let one = r#"{"PublicIP":"10.99.0.12"}"#;
        let none = r#"{"PublicIP":"0.0.0.0"}"#;
        let all = [
            found("10.5.1.0/24", one, Some(1)),
            found("10.5.2.0/24", r#"{"PublicIP":"10.99.0.13"}"#, Some(2)),
            found("10.5.3.0/24", one, Some(3)),
            found("10.5.4.0/24", none, Some(4)),
            found("10.5.5.0/24", none, Some(5)),
        ];
        let told = shared(&all);
        assert_eq!(told.len(), 1);
        insta::assert_snapshot!(read(&told[0]), @"shared-public-ip: 2 leases name the host 10.99.0.12: 10.5.1.0/24, 10.5.3.0/24 | give each host an address of its own, or delete the keys of those that nobody uses");
    }

    #[test]
    fn own_leases_are_told() {
        let subnet: Ipv4Net = "10.5.1.0/24".parse().expect("a network");
        insta::assert_snapshot!(read(&no_lease(subnet)), @"no-lease: etcd has no lease of 10.5.1.0/24, this host's subnet: the others do not reach it | start the agent if it does not run (ignite overlay start): it writes the lease again; if it does, see ignite overlay logs");
        insta::assert_snapshot!(read(&taken(subnet, [10, 99, 0, 12].into())), @"no-lease: The subnet 10.5.1.0/24 of this host is leased to 10.99.0.12 now | restart the agent (ignite overlay restart): it takes another subnet; then start again what runs on the old one");
        insta::assert_snapshot!(read(&no_subnet()), @"no-lease: This host has no subnet yet | wait a moment; if it stays so, see ignite overlay logs");
    }

    #[test]
    fn other_backends_are_told() {
        let bare = r#"{"PublicIP":"10.99.0.12"}"#;
        let leased = found("10.5.2.0/24", bare, Some(1));
        insta::assert_snapshot!(read(&mismatch("vxlan", &leased).expect("udp")), @"backend-mismatch: The host 10.99.0.12 (10.5.2.0/24) has the backend udp or alloc, this one has vxlan | all hosts follow one configuration: restart the agent on 10.99.0.12 (ignite overlay restart)");
        assert_eq!(mismatch("udp", &leased), None);
        assert_eq!(mismatch("vxlan", &found("10.5.2.0/24", bare, None)), None);
        let routed = r#"{"PublicIP":"10.99.0.12","BackendType":"host-gw"}"#;
        let routed = found("10.5.2.0/24", routed, Some(1));
        insta::assert_snapshot!(read(&mismatch("udp", &routed).expect("host-gw")), @r#"backend-mismatch: The host 10.99.0.12 (10.5.2.0/24) has the backend "host-gw", this one has udp or alloc | all hosts follow one configuration: restart the agent on 10.99.0.12 (ignite overlay restart)"#);
        assert_eq!(mismatch("host-gw", &routed), None);
    }
}
