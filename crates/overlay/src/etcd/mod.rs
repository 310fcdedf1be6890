//! A client of etcd's v3 interface, through its JSON gateway (etcd 3.4 and later).
//!
//! ```text
//!   kv, listing, lease,
//!     cluster                one call, one answer; bounded in time and bytes
//!         |
//!     transport              endpoints in turn, the last good one first; login
//!         |
//!   wire   classify          JSON with numbers as strings and base64; what a failure means
//!
//!   watch                    a task of its own: one long answer, resumed wherever it breaks
//! ```
//!
//! A call that got no answer is made again at the next endpoint, though etcd may have done it: who
//! creates a key may so be told that it exists. The registry looks again then and finds its own.

mod classify;
mod clock;
mod cluster;
mod error;
mod kv;
mod lease;
mod lines;
mod listing;
mod outage;
mod settings;
mod speaks;
mod tls;
mod transport;
mod watch;
mod watcher;
mod wire;

pub use cluster::{Health, Member, Version};
pub use error::Error;
pub use kv::{Read, Written};
pub use lease::{Granted, TimeToLive};
pub use listing::Listing;
pub use outage::Outage;
pub use settings::{ClientIdentity, ClientTls, Credentials, Settings, SettingsError};
pub use speaks::{Speaks, speaks};
pub use tls::TlsProblem;
pub use transport::Client;
pub use watch::{Watch, WatchEvent, WatchMessage};
pub(crate) use watcher::jittered;
pub use wire::KeyValue;
