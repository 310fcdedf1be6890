//! The external interface, looked after: whether it is still what the node was set up on.

use std::net::IpAddr;
use std::time::Duration;

use ignite_host::link::{Changed, Netlink, Watch};
use ipnet::IpNet;
use tokio::time::{Instant, sleep_until};

use crate::agent::join::find;
use crate::config::Config;
use crate::interface::{Choice, External};
use ignite_host::error::chain;

/// How often the kernel is asked for word: it is kept until then.
const ASK: Duration = Duration::from_secs(1);
/// The same after it had some: links of VMs come and go all the time.
const PAUSE: Duration = Duration::from_secs(2);

/// Word of the kernel about links and routes, and looks at the external interface. Where the kernel says
/// nothing, whoever looks now and then finds out later.
#[derive(Debug)]
pub(super) struct Outside {
    watch: Option<Watch>,
    ask_at: Instant,
    /// Why there is no interface; told once.
    told: Option<String>,
}

impl Outside {
    /// In the calling thread's network namespace. What changed before it is to be looked for besides.
    pub fn new() -> Self {
        let watch = Watch::open()
            .inspect_err(|error| {
                tracing::warn!("changes of links are found out late: {}", chain(error));
            })
            .ok();
        Self {
            watch,
            ask_at: Instant::now() + ASK,
            told: None,
        }
    }

    /// Until links or routes changed. Loses nothing when cancelled.
    pub async fn changed(&mut self) -> Changed {
        let Some(watch) = &self.watch else {
            return std::future::pending().await;
        };
        loop {
            sleep_until(self.ask_at).await;
            // Of a socket that fails nothing can be known: better look.
            let changed = watch.changed().unwrap_or(Changed {
                links: true,
                routes: true,
            });
            if changed != Changed::default() {
                self.ask_at = Instant::now() + PAUSE;
                return changed;
            }
            self.ask_at = Instant::now() + ASK;
        }
    }

    /// The interface there is now, if it is not the one before any more. Says what is wrong if there is
    /// none.
    pub fn moved(
        &mut self,
        before: &External,
        choice: &Choice,
        config: &Config,
    ) -> Option<External> {
        if is_there(before) {
            self.told = None;
            return None;
        }
        match find(choice, config) {
            // Its source address may be another interface's.
            Ok(external) => Some(external).filter(|external| external != before),
            Err(error) => {
                let problem = chain(&error);
                if self.told.as_ref() != Some(&problem) {
                    tracing::error!(
                        "The external interface {} with address {} is gone: {problem}",
                        before.name,
                        before.address
                    );
                }
                self.told = Some(problem);
                None
            }
        }
    }
}

/// Whether the interface is there, with its addresses. Where the kernel does not say, nothing changed.
fn is_there(external: &External) -> bool {
    let look = || -> Result<bool, ignite_host::link::Error> {
        let netlink = Netlink::open()?;
        if netlink.link_by_index(external.index)?.is_none() {
            return Ok(false);
        }
        let found = netlink.addresses(external.index)?;
        let has = |address: IpAddr| found.iter().map(IpNet::addr).any(|found| found == address);
        let v6 = external.address_v6.map(Into::into);
        Ok(has(external.address.into()) && v6.is_none_or(has))
    };
    look().unwrap_or(true)
}
