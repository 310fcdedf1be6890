//! Following: the others' leases into the kernel, the own lease kept.
//!
//! ```text
//!   leases, configuration, kernel, etcd, clock --> follow_lease: one thing after the other
//!      kept   what is heard of the own lease, and when it is written
//!      lost   the subnet is come by again, and follow_lease anew
//!      moved  another external interface: the backend is made anew, and follow_lease
//! ```

mod external;
mod lease;
mod notice;
mod peers;
mod rival;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};

use super::guard::Guard;
use super::join::attributes;
use super::report::Source;
use super::translate::settings;
use super::{Agent, Error, troubles};
use crate::backend::{Backend, Prepared};
use crate::checkup::Trouble;
use crate::config::Config;
use crate::interface::External;
use crate::lease::{Attributes, Subnet};
use crate::registry::{Event, Held};
use external::Outside;
use ignite_host::error::chain;
use notice::Away;
use peers::Peers;
use rival::Rival;

/// How often the kernel is compared with what it should hold.
const TICK: Duration = Duration::from_secs(10);

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
    /// What the log was told.
    troubles: BTreeSet<String>,
    /// What the backend cannot do.
    refused: Vec<Trouble>,
    rival: Rival,
    away: Option<Away>,
    /// Not to be told in the log once more.
    configuration_changed: bool,
    announcements: usize,
    announce_at: Instant,
    /// By the wall clock, which goes on while the host sleeps, as the lease does.
    renew_at: Option<SystemTime>,
}

/// Whether the lease is still ours, and the node where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Lease {
    Kept,
    Lost,
    /// It is, but the others are reached otherwise.
    Moved(External),
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
            refused: Vec::new(),
            rival: Rival::default(),
            away: None,
            configuration_changed: false,
            announcements: 0,
            announce_at: Instant::now(),
            renew_at: None,
        };
        node.begin_lease();
        node
    }

    /// Follows for ever.
    pub async fn follow(mut self) -> Result<(), Error> {
        loop {
            match self.follow_lease().await? {
                Lease::Kept => {}
                Lease::Moved(external) => self = self.move_to(external)?,
                Lease::Lost => {
                    tracing::warn!("The lease of {} is lost", self.held.subnet.v4);
                    self = self.come_by_again().await?;
                }
            }
        }
    }

    /// Follows until the lease is lost or the external interface another.
    async fn follow_lease(&mut self) -> Result<Lease, Error> {
        let registry = self.agent.registry.clone();
        let mut leases = registry.watch_leases(Some(self.held.subnet), None);
        let mut configuration = registry.watch_config(self.revision);
        let mut outage = registry.client().outage();
        self.hear_outage(outage.borrow_and_update().clone());
        let mut rules = self.guard.trouble();
        self.hear_rules(rules.borrow_and_update().clone());
        let mut outside = Outside::new();
        // What changed since the node was set up.
        let lease = self.look(&mut outside);
        if lease != Lease::Kept {
            return Ok(lease);
        }
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
                    self.repair();
                    self.look_around();
                    self.look(&mut outside)
                }
                changed = outside.changed() => {
                    let lease = self.look(&mut outside);
                    if lease == Lease::Kept && changed.links && self.listed {
                        self.repair();
                    }
                    lease
                }
                () = sleep_until(self.announce_at) => self.announce().await,
                () = until(self.renew_at) => self.renew().await,
                Ok(()) = outage.changed() => {
                    self.hear_outage(outage.borrow_and_update().clone());
                    Lease::Kept
                }
                () = at(self.away.as_ref().and_then(|away| away.tell_at)) => {
                    self.tell_outage();
                    Lease::Kept
                }
                Ok(()) = rules.changed() => {
                    self.hear_rules(rules.borrow_and_update().clone());
                    Lease::Kept
                }
                () = at(self.agent.report.due()) => {
                    self.write_status();
                    Lease::Kept
                }
            };
            if lease != Lease::Kept {
                return Ok(lease);
            }
        }
    }

    /// Compares the kernel with what it should hold.
    fn repair(&mut self) {
        let errors = self.backend.tick();
        let reconciled = self.backend.take_reconciled() as u64;
        self.agent.health.entries_reconciled.add(reconciled);
        self.note_all(errors);
        let Some(prepared) = self.backend.prepared() else {
            return;
        };
        if prepared != self.prepared {
            tracing::warn!("The device was made again and is another now: telling the others");
            self.tell_of(prepared);
        }
    }

    /// The own lease says this from now on.
    fn tell_of(&mut self, prepared: Prepared) {
        self.attributes = attributes(&self.external, &self.config, &prepared);
        self.prepared = prepared;
        self.announce_at = Instant::now();
    }

    fn look(&self, outside: &mut Outside) -> Lease {
        let choice = &self.agent.options.interface;
        let moved = outside.moved(&self.external, choice, &self.config);
        moved.map_or(Lease::Kept, Lease::Moved)
    }

    /// Goes on with another external interface, or another address of it: same subnet, told anew.
    /// Where that fails, another start of the agent is the next try.
    fn move_to(mut self, external: External) -> Result<Self, Error> {
        tracing::warn!(
            "The external interface changed from {} with address {} to {} with address {}",
            self.external.name,
            self.external.address,
            external.name,
            external.address
        );
        let wanted = settings(&self.config, self.agent.options.wireguard_key.as_deref())?;
        // Connections from an address that is gone would be waited for in vain.
        self.agent.registry.client().reload()?;
        // Its sockets are in the way of the next one's.
        drop(self.backend);
        let (mut backend, prepared) = Backend::prepare(&wanted, &external)?;
        backend.assign(self.held.subnet)?;
        self.backend = backend;
        self.external = external;
        self.listed = false;
        self.rival.forget();
        let mtu = self.prepared.mtu;
        self.tell_of(prepared);
        if self.prepared.mtu != mtu {
            self.write_subnet_env()?;
        }
        self.changed();
        Ok(self)
    }

    /// One thing that happened to leases.
    async fn hear(&mut self, event: Event) -> Lease {
        let now = SystemTime::now();
        self.agent.health.events.increment();
        match event {
            Event::Added(lease) => {
                self.hear_readable(&lease.subnet);
                if self.peers.add(&lease, now) {
                    let errors = self.backend.add(&lease);
                    self.note(errors);
                }
            }
            Event::Removed(subnet) => {
                self.hear_readable(&subnet);
                if self.peers.remove(&subnet) {
                    let errors = self.backend.remove(&subnet);
                    self.note(errors);
                }
            }
            Event::Unreadable(subnet) => {
                if self.peers.add_unreadable(subnet) {
                    self.changed();
                }
            }
            Event::Resynced {
                mut leases,
                unreadable,
            } => {
                self.listed = true;
                leases.extend(self.peers.replace(&leases, &unreadable, now));
                let errors = self.backend.sync(&leases);
                // What is new was nobody's fault.
                self.backend.take_reconciled();
                self.note_all(errors);
            }
            Event::Own { own, revision } => return self.hear_own(own, revision).await,
        }
        Lease::Kept
    }

    fn hear_readable(&mut self, subnet: &Subnet) {
        if self.peers.remove_unreadable(subnet) {
            self.changed();
        }
    }

    /// The configuration in etcd is written or removed. What this node does depends on what it was.
    fn hear_configuration(&mut self, bytes: Option<Vec<u8>>) {
        let trouble = match bytes.as_deref().map(Config::parse) {
            Some(Ok(config)) => (config != self.config).then(troubles::changed_configuration),
            Some(Err(error)) => {
                tracing::warn!(
                    "the network config is not valid any more: {}",
                    chain(&error)
                );
                Some(troubles::invalid_configuration(&error))
            }
            None => Some(troubles::no_configuration(&self.agent.options.prefix)),
        };
        let same = trouble.is_none();
        let troubles = trouble.into_iter().collect();
        self.agent.report.set(Source::Configuration, troubles);
        if same == self.configuration_changed {
            if !same {
                tracing::warn!("The network config changed: it is followed after a restart");
            }
            self.configuration_changed = !same;
            self.changed();
        }
    }
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
