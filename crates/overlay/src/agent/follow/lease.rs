//! The own lease: kept, made known, come by again.

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep_until};

use super::external::Outside;
use super::rival::Put;
use super::{Lease, Node, at};
use crate::agent::join::{PAUSE, acquire};
use crate::agent::report::Source;
use crate::agent::{Error, timing};
use crate::config::Config;
use crate::etcd::jittered;
use crate::lease::Subnet;
use crate::registry::{self, Held, Own};
use ignite_host::error::chain;

impl Node {
    /// Something about our own key: mostly that we wrote it.
    pub(super) async fn hear_own(&mut self, own: Own, revision: i64) -> Lease {
        self.look_for_rival(&own);
        if self.held.knows_better(revision) {
            // Late word of before our last write, or the store was set back: a look tells.
            self.announce_at = Instant::now();
            return Lease::Kept;
        }
        let subnet = self.held.subnet.v4;
        match own {
            Own::Removed => Lease::Lost,
            Own::Unreadable => {
                tracing::error!("The lease of {subnet} was overwritten by what is none");
                self.renew().await
            }
            Own::Put { attributes, .. } if !self.held.is_own(&attributes, &self.attributes) => {
                let by = attributes.public_ip;
                tracing::error!("The lease of {subnet} was taken by {by}");
                Lease::Lost
            }
            Own::Put { lease_id, .. } => {
                self.hear_put(lease_id, revision).await;
                Lease::Kept
            }
        }
    }

    /// Whether it was another node that wrote our key. One with another address took it, and says so.
    fn look_for_rival(&mut self, own: &Own) {
        let Own::Put {
            attributes,
            lease_id,
            mod_revision,
        } = own
        else {
            return;
        };
        if attributes.public_ip != self.attributes.public_ip {
            return;
        }
        let reserved = match (self.held.lease_id, lease_id) {
            // By whatever means: an administrator may know nothing but our address.
            (Some(_), None) => true,
            // A running `flanneld` does that with what it has to say.
            (None, Some(_)) => **attributes == self.held.written,
            _ => false,
        };
        let put = Put {
            revision: *mod_revision,
            reserved,
        };
        self.rival.heard(put, SystemTime::now());
        self.tell_rival();
    }

    async fn hear_put(&mut self, lease_id: Option<i64>, revision: i64) {
        let before = self.held.lease_id;
        let registry = &self.agent.registry;
        let adopted = registry.adopt(&mut self.held, lease_id, revision).await;
        if let Err(error) = adopted {
            tracing::warn!("cannot tell when the lease ends: {}", chain(&error));
        }
        self.plan_renewal_if_changed(before);
    }

    /// Writes the own key once more, for peers that missed it.
    pub(super) async fn announce(&mut self) -> Lease {
        let before = self.held.lease_id;
        let written = self
            .agent
            .registry
            .announce(&mut self.held, &self.attributes)
            .await;
        self.wrote(&written);
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

    pub(super) async fn renew(&mut self) -> Lease {
        let written = self
            .agent
            .registry
            .renew(&mut self.held, &self.attributes)
            .await;
        self.wrote(&written);
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

    fn wrote(&mut self, written: &Result<(), registry::Error>) {
        let revision = written.is_ok().then_some(self.held.revision);
        self.rival.wrote(revision);
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

    /// The same subnet again, or another one. Traffic goes on meanwhile, and is looked after: it may take
    /// as long as etcd is away, or has no subnet to give.
    pub(super) async fn come_by_again(mut self) -> Result<Self, Error> {
        if self.configuration_changed {
            return Err(Error::ConfigurationChanged);
        }
        let before = self.held.subnet;
        let mut outside = Outside::new();
        let mut told = None;
        self.held = loop {
            match self.acquire(before).await {
                Ok(held) => break held,
                Err(error @ (Error::ConfigurationChanged | Error::WatchOver)) => return Err(error),
                Err(error) => self.tell_no_lease(&error, &mut told),
            }
            if let Lease::Moved(external) = self.pause(&mut outside).await {
                self = self.move_to(external)?;
            }
        };
        self.agent.health.set_ready();
        self.rival.forget();
        self.agent.report.clear(Source::Lease);
        if self.held.subnet != before {
            self.backend.assign(self.held.subnet)?;
            let options = &self.agent.options;
            self.guard.change(options, &self.config, self.held.subnet);
            self.write_subnet_env()?;
        }
        self.begin_lease();
        Ok(self)
    }

    /// The time between two tries: all that needs no lease goes on.
    async fn pause(&mut self, outside: &mut Outside) -> Lease {
        let end = Instant::now() + jittered(PAUSE);
        if self.listed {
            self.repair();
        }
        let mut lease = self.look(outside);
        while lease == Lease::Kept {
            tokio::select! {
                () = sleep_until(end) => break,
                _ = outside.changed() => lease = self.look(outside),
                () = at(self.agent.report.due()) => self.write_status(),
            }
        }
        lease
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

    /// A lease was acquired.
    pub(super) fn begin_lease(&mut self) {
        self.rival.wrote(Some(self.held.revision));
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
        let lease_time = self.agent.options.lease_time.get().into();
        let lease_time = Duration::from_secs(lease_time);
        let left = timing::renewal(self.held.expires, lease_time, margin, now);
        if let Some(left) = left {
            tracing::info!("Waiting for {} to renew lease", timing::human(left));
        }
        self.renew_at = left.map(|left| now + left);
    }
}

fn told(expires: Option<SystemTime>) -> String {
    expires.map_or_else(
        || "never (a reservation)".to_owned(),
        |end| {
            let left = end.duration_since(SystemTime::now()).unwrap_or_default();
            format!("in {}", timing::human(left))
        },
    )
}
