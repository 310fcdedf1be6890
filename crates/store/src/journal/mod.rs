//! What happened to VMs: `events.log` in the data directory, one JSON object a line.
//!
//! ```text
//!  engine, supervisors --append, under events.lock--> events.log --full--> events.log.1 --full--> gone
//!                                                         '---- readers follow ----'
//! ```
//!
//! A line is written by one call. One that was torn by a crash, and whatever else is no event, is passed
//! over. A reader holds the file it reads open, so nothing is lost to him while it is replaced once or
//! twice; who begins reads the older file first. Each file begins with its number: a reader who was away
//! for longer knows that there was more.

mod head;
mod reader;
mod writer;

use std::collections::BTreeMap;

use ignite_api::{Name, Uid};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use reader::{Lines, Reader};
pub use writer::Journal;

/// The newer file and the older one.
const FILE: &str = "events.log";
const OLDER: &str = "events.log.1";
const LOCK: &str = "events.lock";

/// Bytes of a line; a longer one is none of ours.
pub const MAX_LINE: usize = 16 * 1024;

/// Something that happened to a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Happening {
    /// When.
    pub time: Timestamp,
    /// To which VM.
    pub uid: Uid,
    /// What it was called then.
    pub name: Name,
    /// What: `create`, `start`, `ready`, `die`, ...
    pub event: String,
    /// What else there is to say, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

impl Happening {
    /// Something that happens now.
    pub fn now(event: &str, uid: Uid, name: Name) -> Self {
        Self {
            time: Timestamp::now(),
            uid,
            name,
            event: event.to_owned(),
            attributes: BTreeMap::new(),
        }
    }

    /// The same with more to say.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.attributes.insert(name.to_owned(), value.to_string());
        self
    }
}

#[cfg(test)]
mod tests;
