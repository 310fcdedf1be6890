//! The packet filter's rules, looked after by a thread of their own: its programs take their time.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::join::{chain, last_time};
use super::options::Options;
use crate::config::Config;
use crate::filter::{Filter, FilterError, Rules, Scope};
use crate::lease::Subnet;

/// Looks after the rules until it is dropped; they stay.
#[derive(Debug)]
pub(super) struct Guard {
    wanted: Sender<Rules>,
}

impl Guard {
    /// Sets the rules, in place of those of last time. That they cannot be set is told, and no reason
    /// to go without a network.
    pub fn start(options: &Options, config: &Config, subnet: Subnet) -> Self {
        let rules = rules(options, config, subnet);
        let before = last_time(options).map(|file| Rules::from_env(&file));
        let filter = Filter::new(before.unwrap_or_else(|| rules.clone()));
        let (wanted, told) = channel();
        let interval = options.filter_interval;
        thread::spawn(move || guard(filter, rules, &told, interval));
        Self { wanted }
    }

    /// Other rules from now on.
    pub fn change(&self, options: &Options, config: &Config, subnet: Subnet) {
        // The thread ends after this end of the channel only.
        let _ = self.wanted.send(rules(options, config, subnet));
    }
}

fn guard(mut filter: Filter, mut wanted: Rules, told: &Receiver<Rules>, interval: Duration) {
    let mut current = false;
    let mut silent = false;
    loop {
        let done = match current {
            true => filter.resync().map(|restored| {
                for rule in restored {
                    tracing::info!("Some rules are missing; put back: {rule}");
                }
            }),
            // Until it succeeds: the filter keeps the rules before.
            false => filter.update(wanted.clone()),
        };
        current |= done.is_ok();
        // Once for each outage, not every few seconds.
        let failed = done.is_err();
        if !silent {
            tell(done);
        }
        silent = failed;
        match told.recv_timeout(interval) {
            Ok(rules) => (wanted, current) = (rules, false),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn tell(done: Result<(), FilterError>) {
    if let Err(error) = done {
        tracing::error!("{}", chain(&error));
        if let Some(hint) = error.hint() {
            tracing::error!("hint: {hint}");
        }
    }
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
