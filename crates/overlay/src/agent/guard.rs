//! The packet filter's rules, looked after by a thread of their own: its programs take their time.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use ignite_host::error::chain;
use tokio::sync::watch;

use super::join::last_time;
use super::options::Options;
use super::troubles;
use crate::checkup::Trouble;
use crate::config::Config;
use crate::filter::{Filter, FilterError, Rules, Scope};
use crate::lease::Subnet;

/// Looks after the rules until it is dropped; they stay.
#[derive(Debug)]
pub(super) struct Guard {
    wanted: Sender<Rules>,
    trouble: watch::Receiver<Option<Trouble>>,
}

impl Guard {
    /// Sets the rules, in place of those of last time. That they cannot be set is told, and no reason
    /// to go without a network.
    pub fn start(options: &Options, config: &Config, subnet: Subnet) -> Self {
        let rules = rules(options, config, subnet);
        let before = last_time(options).map(|file| Rules::from_env(&file));
        let filter = Filter::new(before.unwrap_or_else(|| rules.clone()));
        let (wanted, told) = channel();
        let (tell, trouble) = watch::channel(None);
        let interval = options.filter_interval;
        thread::spawn(move || guard(filter, rules, &told, &tell, interval));
        Self { wanted, trouble }
    }

    /// Other rules from now on.
    pub fn change(&self, options: &Options, config: &Config, subnet: Subnet) {
        // The thread ends after this end of the channel only.
        let _ = self.wanted.send(rules(options, config, subnet));
    }

    /// Whether the rules are there, whenever that changes.
    pub fn trouble(&self) -> watch::Receiver<Option<Trouble>> {
        self.trouble.clone()
    }
}

fn guard(
    mut filter: Filter,
    mut wanted: Rules,
    told: &Receiver<Rules>,
    trouble: &watch::Sender<Option<Trouble>>,
    interval: Duration,
) {
    let mut current = false;
    let mut before = BTreeSet::new();
    loop {
        let errors = match current {
            true => {
                let (restored, errors) = filter.resync();
                for rule in restored {
                    tracing::info!("Some rules are missing; put back: {rule}");
                }
                errors
            }
            // Until it succeeds: the filter remembers the rules before.
            false => {
                let errors = filter.update(wanted.clone());
                current = errors.is_empty();
                errors
            }
        };
        let now = errors.first().map(troubles::of_rules);
        trouble.send_if_modified(|before| {
            let changed = *before != now;
            *before = now;
            changed
        });
        before = tell(&errors, &before);
        match told.recv_timeout(interval) {
            Ok(rules) => (wanted, current) = (rules, false),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Says what was not among the problems before: once for each outage, not every few seconds. The
/// problems there are now.
fn tell(errors: &[FilterError], before: &BTreeSet<String>) -> BTreeSet<String> {
    let mut now = BTreeSet::new();
    for error in errors {
        let problem = chain(error);
        if !before.contains(&problem) {
            tracing::error!("{problem}");
            if let Some(hint) = error.hint() {
                tracing::error!("hint: {hint}");
            }
        }
        now.insert(problem);
    }
    now
}

fn rules(options: &Options, config: &Config, subnet: Subnet) -> Rules {
    Rules {
        ipv4: config.ipv4.as_ref().map(|range| Scope {
            network: range.network(),
            subnet: subnet.v4,
        }),
        ipv6: config
            .ipv6
            .as_ref()
            .zip(subnet.v6)
            .map(|(range, v6)| Scope {
                network: range.network(),
                subnet: v6,
            }),
        ip_masq: options.ip_masq,
        forward: options.forward,
        random_fully: true,
    }
}
