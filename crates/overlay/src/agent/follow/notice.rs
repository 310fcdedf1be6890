//! What is noticed: told in the log where it is new, in the status file as long as it is so.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use ignite_host::link::{self, Netlink};
use ipnet::IpNet;
use tokio::time::Instant;

use super::Node;
use super::peers::Peer;
use crate::agent::report::Source;
use crate::agent::status::{PEERS, PeerStatus, Status, seconds};
use crate::agent::{Error, troubles};
use crate::backend;
use crate::checkup::{TOLD, Trouble};
use crate::etcd::Outage;
use crate::interface::External;
use crate::lease::Subnet;
use ignite_host::error::chain;

/// An endpoint that fails while another one answers is away for less than that.
const GRACE: Duration = Duration::from_secs(2);

/// etcd does not answer.
#[derive(Debug)]
pub(super) struct Away {
    outage: Outage,
    /// When it is told, if it lasts; none once it is.
    pub(super) tell_at: Option<Instant>,
}

impl Node {
    /// There is no lease, and why; in the log if it is another reason than the one `told` last.
    pub(super) fn tell_no_lease(&mut self, error: &Error, told: &mut Option<String>) {
        let trouble = format!("no lease: {}", chain(error));
        self.agent.health.set_unready(&trouble);
        if told.as_ref() == Some(&trouble) {
            return;
        }
        tracing::error!("{trouble}");
        *told = Some(trouble);
        let troubles = vec![troubles::no_lease(error)];
        self.agent.report.set(Source::Lease, troubles);
        self.write_status();
    }

    /// All that the backend cannot do at present; told when it is new.
    pub(super) fn note_all(&mut self, errors: Vec<backend::Error>) {
        let now = chains(&errors);
        tell_new(&now, &self.troubles);
        self.troubles = now;
        self.refused.clear();
        self.remember(&errors);
    }

    /// What it could not do just now. It takes no longer where there are many troubles already.
    pub(super) fn note(&mut self, errors: Vec<backend::Error>) {
        let now = chains(&errors);
        tell_new(&now, &self.troubles);
        self.troubles.extend(now);
        self.remember(&errors);
    }

    fn remember(&mut self, errors: &[backend::Error]) {
        // More are not told anyway, until all are looked at again.
        let room = (2 * TOLD).saturating_sub(self.refused.len());
        if room > 0 {
            let refused = errors.iter().take(room).map(troubles::of_backend);
            self.refused.extend(refused);
            self.agent.report.set(Source::Backend, self.refused.clone());
        }
        self.changed();
    }

    /// etcd answers, or does not: told if it lasts.
    pub(super) fn hear_outage(&mut self, outage: Option<Outage>) {
        let Some(outage) = outage else {
            self.away = None;
            self.agent.report.clear(Source::Etcd);
            return;
        };
        let tell_at = match &self.away {
            None => Some(Instant::now() + GRACE),
            Some(away) => away.tell_at,
        };
        self.away = Some(Away { outage, tell_at });
        if tell_at.is_none() {
            self.tell_outage();
        }
    }

    pub(super) fn tell_outage(&mut self) {
        if let Some(away) = &mut self.away {
            away.tell_at = None;
            let trouble = troubles::away(&away.outage, true);
            self.agent.report.set(Source::Etcd, vec![trouble]);
        }
    }

    pub(super) fn hear_rules(&self, trouble: Option<Trouble>) {
        let troubles = trouble.into_iter().collect();
        self.agent.report.set(Source::Rules, troubles);
    }

    pub(super) fn tell_rival(&self) {
        let there = self.rival.is_there(SystemTime::now());
        let trouble = || troubles::rival(self.held.subnet, self.attributes.public_ip);
        let troubles = there.then(trouble).into_iter().collect();
        self.agent.report.set(Source::Rival, troubles);
    }

    /// What nobody tells by itself.
    pub(super) fn look_around(&mut self) {
        self.tell_rival();
        let problem = Netlink::open().and_then(|netlink| problem(&netlink, &self.external));
        // That the kernel does not tell says nothing of the interface.
        let problem = problem.unwrap_or_default();
        let trouble = problem.map(|problem| troubles::interface(&self.external, problem));
        let troubles = trouble.into_iter().collect();
        self.agent.report.set(Source::Interface, troubles);
    }

    pub(super) fn changed(&self) {
        self.agent.report.changed();
    }

    /// Writes all that is known into the status file.
    pub(in crate::agent) fn write_status(&mut self) {
        let health = &self.agent.health;
        health.leases.set(self.peers.iter().count() as u64);
        health.set_lease_expiry(self.held.expires);
        let own = self.prepared.backend;
        let mismatch =
            |(subnet, peer): (&Subnet, &Peer)| troubles::mismatch(own, *subnet, &peer.attributes);
        let mismatches = self.peers.iter().filter_map(mismatch).collect();
        let prefix = &self.agent.options.prefix;
        let unreadable = self.peers.unreadable();
        let unreadable = unreadable.map(|subnet| troubles::unreadable(subnet, prefix));
        let report = &self.agent.report;
        report.set(Source::Mismatch, mismatches);
        report.set(Source::Unreadable, unreadable.collect());
        report.update(|status| self.tell(status));
        report.write();
    }

    fn tell(&self, status: &mut Status) {
        status.subnet = Some(self.held.subnet.v4);
        status.ipv6_subnet = self.held.subnet.v6;
        status.lease_expires = self.held.expires.map(seconds);
        status.configuration_changed = self.configuration_changed;
        status.peers = self.peers.iter().take(PEERS).map(peer_status).collect();
    }
}

/// What is wrong with the external interface, to be read after its name.
fn problem(netlink: &Netlink, external: &External) -> Result<Option<&'static str>, link::Error> {
    let Some(link) = netlink.link(&external.name)? else {
        return Ok(Some("is gone"));
    };
    if !link.up {
        return Ok(Some("is switched off"));
    }
    let addresses = netlink.addresses(link.index)?;
    let has = |net: &IpNet| net.addr() == IpAddr::V4(external.address);
    Ok((!addresses.iter().any(has)).then_some("has lost its address"))
}

fn peer_status((subnet, peer): (&Subnet, &Peer)) -> PeerStatus {
    PeerStatus {
        subnet: subnet.v4,
        public_ip: peer.attributes.public_ip,
        public_ipv6: peer.attributes.public_ipv6,
        // A stranger's words.
        backend: peer
            .attributes
            .backend
            .as_ref()
            .map(|name| name.chars().take(32).collect()),
        changed: seconds(peer.changed),
    }
}

fn chains(errors: &[backend::Error]) -> BTreeSet<String> {
    errors.iter().map(|error| chain(error)).collect()
}

/// Warns of what is new.
fn tell_new(now: &BTreeSet<String>, before: &BTreeSet<String>) {
    let new = now.difference(before);
    for trouble in new.clone().take(TOLD) {
        tracing::warn!("{trouble}");
    }
    if let Some(more) = new.count().checked_sub(TOLD).filter(|more| *more > 0) {
        tracing::warn!("and {more} more");
    }
}
