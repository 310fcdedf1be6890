//! The runtime half of the Container Network Interface: reads network
//! configurations, runs their plugin programs, understands what they answer.
//!
//! ```text
//!  /etc/cni/net.d --load--> NetworkConfig --+
//!                                           |      plugin   plugin   plugin
//!  Attachment (container, namespace, ifname)+-> Runtime::add ->  ->  -> AddResult
//!                                                  |
//!                                               Cache (libcni's format) <-- del, check, gc
//! ```
//!
//! Beyond what libcni does, this crate also takes on what libcni leaves to its
//! callers: roll-back by a full DEL, time limits that end whole process groups,
//! bounded output, an atomic cache, exact numbers, results that are checked
//! before anything believes them, and locks ([`lock`]). It creates no network
//! namespace, keeps no record of virtual machines, and never prints.
//!
//! The contract is the CNI specification 1.1.0.

pub mod args;
pub mod attachment;
pub mod cache;
pub mod capability;
pub mod config;
pub mod default;
pub mod error;
pub mod exec;
mod json;
pub mod leak;
pub mod lease;
pub mod load;
pub mod lock;
pub mod result;
pub mod runtime;
pub mod stdin;
pub mod version;

pub use attachment::{Attachment, AttachmentId};
pub use config::{NetworkConfig, PluginConfig};
pub use error::{Error, PluginError};
pub use load::{LoadError, Networks};
pub use result::NetworkResult;
pub use runtime::{AddResult, Collected, Run, Runtime};
pub use version::Version;
