//! Following: the others' leases into the kernel, the own lease kept.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};

use super::guard::Guard;
use super::join::{PAUSE, acquire, chain};
use super::peers::Peers;
use super::status::{PeerStatus, Status, seconds};
use super::{Agent, Error, timing};
use crate::backend::{self, Backend, Prepared};
use crate::config::Config;
use crate::etcd::jittered;
use crate::interface::External;
use crate::lease::{Attributes, Subnet};
use crate::registry::{self, Event, Held, Own};

/// How often the kernel is compared with what it should hold.
const TICK: Duration = Duration::from_secs(10);
/// How soon a change is in the status file; many changes are one write.
const STATUS: Duration = Duration::from_millis(200);

/// So many troubles are told at once: etcd may hold any number of leases that lie.
const TOLD: usize = 100;

/// A node that has its subnet.
#[derive(Debug)]
pub(super) struct Node {
    pub agent: Agent,
    pub config: Config,
    pub prepared: Prepared,
    pub held: Held,
    guard: Guard,
    /// At which the configuration was read.
    revision: i64,
    external: External,
    backend: Backend,
    attributes: Attributes,
    peers: Peers,
    /// The others' leases are known.
    listed: bool,
    troubles: BTreeSet<String>,
    /// Not to be told in the log once more.
    configuration_changed: bool,
    announcements: usize,
    announce_at: Instant,
    /// By the wall clock, which goes on while the host sleeps, as the lease does.
    renew_at: Option<SystemTime>,
    /// When what changed is to be in the status file.
    write_at: Option<Instant>,
}

/// Whether the lease is still ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lease {
    Kept,
    Lost,
}

impl Node {
    #[expect(clippy::too_many_arguments, reason = "all that joining came by, once")]
    pub fn new(
        agent: Agent,
        config: Config,
        revision: i64,
        external: External,
        backend: Backend,
        prepared: Prepared,
        attributes: Attributes,
        held: Held,
        guard: Guard,
    ) -> Self {
        let mut node = Self {
            agent,
            config,
            prepared,
            held,
            guard,
            revision,
            external,
            backend,
            attributes,
            peers: Peers::default(),
            listed: false,
            troubles: BTreeSet::new(),
            configuration_changed: false,
            announcements: 0,
            announce_at: Instant::now(),
            renew_at: None,
            write_at: Some(Instant::now()),
        };
        node.begin_lease();
        node
    }

    /// Follows for ever.
    pub async fn follow(mut self) -> Result<(), Error> {
        loop {
            self.follow_lease().await?;
            tracing::warn!("The lease of {} is lost", self.held.subnet.v4);
            self.come_by_again().await?;
        }
    }

    /// Follows until the lease is lost.
    async fn follow_lease(&mut self) -> Result<(), Error> {
        let registry = self.agent.registry.clone();
        let mut leases = registry.watch_leases(Some(self.held.subnet), None);
        let mut configuration = registry.watch_config(self.revision);
        let mut tick = interval_at(Instant::now() + TICK, TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let lease = tokio::select! {
                event = leases.next() => self.hear(event.ok_or(Error::WatchOver)?).await,
                bytes = configuration.next() => {
                    self.hear_configuration(bytes.ok_or(Error::WatchOver)?);
                    Lease::Kept
                }
                // What an agent before this one set stays until it is known what is wanted.
                _ = tick.tick(), if self.listed => {
                    let errors = self.backend.tick();
                    self.note_all(errors);
                    Lease::Kept
                }
                () = sleep_until(self.announce_at) => self.announce().await,
                () = until(self.renew_at) => self.renew().await,
                () = at(self.write_at) => {
                    self.write_status();
                    Lease::Kept
                }
            };
            if lease == Lease::Lost {
                return Ok(());
            }
        }
    }

    /// One thing that happened to leases.
    async fn hear(&mut self, event: Event) -> Lease {
        let now = SystemTime::now();
        self.agent.health.events.increment();
        match event {
            Event::Added(lease) => {
                if self.peers.add(&lease, now) {
                    let errors = self.backend.add(&lease);
                    self.note(errors);
                }
            }
            Event::Removed(subnet) => {
                if self.peers.remove(&subnet) {
                    let errors = self.backend.remove(&subnet);
                    self.note(errors);
                }
            }
            Event::Resynced(leases) => {
                self.listed = true;
                self.peers.replace(&leases, now);
                let errors = self.backend.sync(&leases);
                self.note_all(errors);
            }
            Event::Own(Own::Removed) => return Lease::Lost,
            Event::Own(Own::Put {
                attributes,
                lease_id,
            }) => return self.hear_own(&attributes, lease_id).await,
        }
        Lease::Kept
    }

    /// Our own key was written: mostly by us.
    async fn hear_own(&mut self, attributes: &Attributes, lease_id: Option<i64>) -> Lease {
        if attributes.public_ip != self.attributes.public_ip {
            let by = attributes.public_ip;
            tracing::error!("The lease of {} was taken by {by}", self.held.subnet.v4);
            return Lease::Lost;
        }
        let before = self.held.lease_id;
        if before != lease_id {
            let adopted = self.agent.registry.adopt(&mut self.held, lease_id).await;
            if let Err(error) = adopted {
                tracing::warn!("cannot tell when the lease ends: {}", chain(&error));
            }
            self.plan_renewal_if_changed(before);
        }
        Lease::Kept
    }

    /// The configuration in etcd is written or removed. What this node does depends on what it was.
    fn hear_configuration(&mut self, bytes: Option<Vec<u8>>) {
        let same = match bytes.as_deref().map(Config::parse) {
            Some(Ok(config)) => config == self.config,
            Some(Err(error)) => {
                tracing::warn!(
                    "the network config is not valid any more: {}",
                    chain(&error)
                );
                false
            }
            None => false,
        };
        if same == self.configuration_changed {
            if !same {
                tracing::warn!("The network config changed: it is followed after a restart");
            }
            self.configuration_changed = !same;
            self.changed();
        }
    }

    /// Writes the own key once more, for peers that missed it.
    async fn announce(&mut self) -> Lease {
        let before = self.held.lease_id;
        let written = self
            .agent
            .registry
            .announce(&mut self.held, &self.attributes)
            .await;
        let pause = match &written {
            Ok(()) => {
                self.announcements += 1;
                timing::announcement(self.announcements)
            }
            Err(_) => PAUSE,
        };
        self.announce_at = Instant::now() + jittered(pause);
        self.plan_renewal_if_changed(before);
        self.kept(written, "announce")
    }

    async fn renew(&mut self) -> Lease {
        let written = self
            .agent
            .registry
            .renew(&mut self.held, &self.attributes)
            .await;
        if written.is_ok() {
            self.agent.health.renewals.increment();
            tracing::info!("Lease renewed, new expiration: {}", told(self.held.expires));
            self.plan_renewal();
        } else {
            self.agent.health.renewals_failed.increment();
            let pause = timing::renewal_again(self.held.expires, SystemTime::now());
            self.renew_at = Some(SystemTime::now() + pause);
        }
        self.changed();
        self.kept(written, "renew")
    }

    fn kept(&self, written: Result<(), registry::Error>, what: &str) -> Lease {
        match written {
            Ok(()) => Lease::Kept,
            Err(registry::Error::Gone { .. } | registry::Error::Taken { .. }) => Lease::Lost,
            Err(error) => {
                tracing::warn!("cannot {what} the lease: {}", chain(&error));
                Lease::Kept
            }
        }
    }

    /// The same subnet again, or another one. Traffic goes on meanwhile.
    async fn come_by_again(&mut self) -> Result<(), Error> {
        if self.configuration_changed {
            return Err(Error::ConfigurationChanged);
        }
        let before = self.held.subnet;
        self.held = loop {
            match self.acquire(before).await {
                Ok(held) => break held,
                Err(error @ (Error::ConfigurationChanged | Error::WatchOver)) => return Err(error),
                Err(error) => self.told_once(&error),
            }
            sleep(jittered(PAUSE)).await;
        };
        self.agent.health.set_ready();
        self.troubles.clear();
        if self.held.subnet != before {
            self.backend.assign(self.held.subnet)?;
            let options = &self.agent.options;
            self.guard.change(options, &self.config, self.held.subnet);
            self.write_subnet_env()?;
        }
        self.begin_lease();
        Ok(())
    }

    /// Comes by a subnet, if the configuration still is what this node follows.
    async fn acquire(&self, before: Subnet) -> Result<Held, Error> {
        let registry = &self.agent.registry;
        let bytes = registry.config().await?.bytes;
        match bytes.as_deref().map(Config::parse).transpose()? {
            Some(config) if config == self.config => {}
            Some(_) => return Err(Error::ConfigurationChanged),
            None => return Err(Error::NoConfiguration),
        }
        acquire(registry, &self.config, &self.attributes, Some(before)).await
    }

    fn told_once(&mut self, error: &Error) {
        let trouble = format!("no lease: {}", chain(error));
        self.agent.health.set_unready(&trouble);
        if self.troubles.contains(&trouble) {
            return;
        }
        tracing::error!("{trouble}");
        self.troubles = BTreeSet::from([trouble]);
        // Nobody waits for the moment to write it.
        self.write_status();
    }

    /// A lease was acquired.
    fn begin_lease(&mut self) {
        self.announcements = 0;
        self.announce_at = Instant::now() + jittered(timing::announcement(0));
        self.plan_renewal();
        self.changed();
    }

    fn plan_renewal_if_changed(&mut self, before: Option<i64>) {
        if self.held.lease_id != before {
            self.plan_renewal();
        }
    }

    fn plan_renewal(&mut self) {
        let now = SystemTime::now();
        let margin = self.agent.options.renew_margin;
        let left = timing::renewal(self.held.expires, margin, now);
        if let Some(left) = left {
            tracing::info!("Waiting for {} s to renew the lease", left.as_secs());
        }
        self.renew_at = left.map(|left| now + left);
    }

    /// All that the backend cannot do at present; told when it is new.
    fn note_all(&mut self, errors: Vec<backend::Error>) {
        let before = std::mem::take(&mut self.troubles);
        self.note_new(&errors, &before);
    }

    /// What it could not do just now.
    fn note(&mut self, errors: Vec<backend::Error>) {
        self.changed();
        if !errors.is_empty() {
            let before = self.troubles.clone();
            self.note_new(&errors, &before);
        }
    }

    fn note_new(&mut self, errors: &[backend::Error], before: &BTreeSet<String>) {
        let now: BTreeSet<String> = errors.iter().map(|error| chain(error)).collect();
        let new = now.difference(before);
        for trouble in new.clone().take(TOLD) {
            tracing::warn!("{trouble}");
        }
        if let Some(more) = new.count().checked_sub(TOLD).filter(|more| *more > 0) {
            tracing::warn!("and {more} more");
        }
        self.troubles.extend(now);
        self.changed();
    }

    fn changed(&mut self) {
        self.write_at.get_or_insert_with(|| Instant::now() + STATUS);
    }

    fn write_status(&mut self) {
        self.write_at = None;
        let health = &self.agent.health;
        health.leases.set(self.peers.iter().count() as u64);
        health.set_lease_expiry(self.held.expires);
        let Some(path) = &self.agent.options.status_file else {
            return;
        };
        if let Err(error) = self.status().write(path) {
            tracing::warn!("cannot write the status: {}", chain(&error));
        }
    }

    fn status(&self) -> Status {
        let options = &self.agent.options;
        Status {
            pid: std::process::id(),
            endpoints: options.etcd.endpoints.clone(),
            prefix: options.prefix.clone(),
            backend: self.config.backend.kind().to_owned(),
            network: self.config.ipv4.as_ref().map(|range| range.network()),
            ipv6_network: self.config.ipv6.as_ref().map(|range| range.network()),
            subnet: self.held.subnet.v4,
            ipv6_subnet: self.held.subnet.v6,
            interface: self.external.name.clone(),
            public_ip: self.attributes.public_ip,
            public_ipv6: self.attributes.public_ipv6,
            mtu: self.prepared.mtu,
            lease_expires: self.held.expires.map(seconds),
            configuration_changed: self.configuration_changed,
            troubles: self.troubles.iter().take(TOLD).cloned().collect(),
            peers: self.peers.iter().map(peer_status).collect(),
        }
    }
}

fn peer_status((subnet, peer): (&crate::lease::Subnet, &super::peers::Peer)) -> PeerStatus {
    PeerStatus {
        subnet: subnet.v4,
        public_ip: peer.attributes.public_ip,
        // A stranger's words.
        backend: peer
            .attributes
            .backend
            .as_ref()
            .map(|name| name.chars().take(32).collect()),
        changed: seconds(peer.changed),
    }
}

fn told(expires: Option<SystemTime>) -> String {
    expires.map_or_else(
        || "never (a reservation)".to_owned(),
        |end| {
            let left = end.duration_since(SystemTime::now()).unwrap_or_default();
            format!("in {} s", left.as_secs())
        },
    )
}

/// Until a moment of the wall clock; for ever if there is none.
async fn until(moment: Option<SystemTime>) {
    match moment {
        Some(moment) => {
            sleep(moment.duration_since(SystemTime::now()).unwrap_or_default()).await;
        }
        None => std::future::pending().await,
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
