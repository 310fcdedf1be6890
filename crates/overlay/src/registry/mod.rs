//! The overlay's records in etcd, below a prefix P.
//!
//! ```text
//!   P/config              the network's configuration: read, watched
//!   P/subnets/<subnet>    a lease per node: listed, watched; our own is
//!                           acquired -> announced ... renewed ... -> released
//!                         without an etcd lease it is a reservation, and stays one
//! ```
//!
//! Never more than one key changes in one transaction: of two, `flanneld` up to v0.21.2 sees the
//! first only.

mod acquire;
mod error;
mod hold;
mod reserve;
mod snapshot;
mod watch;

pub use acquire::{ATTEMPTS, AcquireError};
pub use error::Error;
pub use hold::Held;
pub use reserve::{Reserved, Unreserve};
pub use snapshot::{Found, Snapshot};
pub use watch::{ConfigWatch, Event, LeaseWatch, Own};

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use crate::etcd::Client;
use crate::lease::{Subnet, key};
use snapshot::Complaints;

/// How long a lease is, in seconds: a day, as Flannel has it.
pub const LEASE_TIME: NonZeroU32 = NonZeroU32::new(86_400).expect("not zero");

/// The overlay's records in etcd.
#[derive(Debug, Clone)]
pub struct Registry {
    client: Client,
    /// With the slash that follows.
    prefix: String,
    lease_time: NonZeroU32,
    /// Of all clones: what cannot be read is told once, by whoever meets it first.
    complaints: Arc<Mutex<Complaints>>,
}

/// The configuration as it was at a revision of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The store's revision.
    pub revision: i64,
    /// What it holds, not looked at; none if there is no such key.
    pub bytes: Option<Vec<u8>>,
}

impl Registry {
    /// The records below `prefix` (Flannel's is `/coreos.com/network`).
    pub fn new(client: Client, prefix: &str) -> Self {
        Self {
            client,
            prefix: clean(prefix),
            lease_time: LEASE_TIME,
            complaints: Arc::default(),
        }
    }

    /// With leases of another length, in seconds.
    pub fn with_lease_time(mut self, lease_time: NonZeroU32) -> Self {
        self.lease_time = lease_time;
        self
    }

    /// The client it works with.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The network's configuration.
    pub async fn config(&self) -> Result<Config, Error> {
        let read = self.client.get(&self.config_key()).await?;
        Ok(Config {
            revision: read.revision,
            bytes: read.pair.map(|pair| pair.value),
        })
    }

    /// Writes the network's configuration; without `replace` only where there is none. Whether it did.
    pub async fn set_config(&self, text: &str, replace: bool) -> Result<bool, Error> {
        let (key, value) = (self.config_key(), text.as_bytes());
        if replace {
            self.client.put(&key, value, None).await?;
            return Ok(true);
        }
        let written = self.client.create_if_absent(&key, value, None).await?;
        Ok(matches!(written, crate::etcd::Written::Yes { .. }))
    }

    fn config_key(&self) -> String {
        format!("{}config", self.prefix)
    }

    /// What the keys of all leases begin with.
    fn subnets(&self) -> String {
        format!("{}subnets/", self.prefix)
    }

    pub(crate) fn key(&self, subnet: &Subnet) -> String {
        format!("{}{}", self.subnets(), key::format(subnet))
    }
}

/// A prefix as Flannel takes it: no slash twice, and none at the beginning that was not given.
fn clean(prefix: &str) -> String {
    let parts = prefix.split('/').filter(|part| !part.is_empty());
    let root = if prefix.starts_with('/') { "/" } else { "" };
    parts.fold(root.to_owned(), |path, part| path + part + "/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::Settings;

    #[test]
    fn keys_are_below_the_prefix_however_it_is_written() {
        let client = Client::new(Settings::new(["http://127.0.0.1:1"])).expect("client");
        let registry = Registry::new(client, "/coreos.com/network/");
        assert_eq!(registry.config_key(), "/coreos.com/network/config");
        let subnet = Subnet {
            v4: "10.5.3.0/24".parse().expect("net"),
            v6: None,
        };
        assert_eq!(
            registry.key(&subnet),
            "/coreos.com/network/subnets/10.5.3.0-24"
        );
        for (given, cleaned) in [
            ("/coreos.com//network", "/coreos.com/network/"),
            ("coreos.com/network", "coreos.com/network/"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(clean(given), cleaned);
        }
    }
}
