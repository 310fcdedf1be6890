//! What was read of each file, so that only what changed is read again.

use std::collections::BTreeMap;
use std::sync::Arc;

use ignite_api::VmSpec;

use super::{Fault, Mentions, Reading, read};
use crate::source::{File, Snapshot};

/// A reading for each file of a source.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Book {
    readings: BTreeMap<String, Read>,
}

/// What was read of one file, and over which defaults.
#[derive(Debug, Clone, PartialEq)]
struct Read {
    reading: Reading,
    defaults: Arc<VmSpec>,
}

impl Book {
    /// Takes over what a source holds now; whether anything says something else than before.
    /// What a manifest does not say is as in `defaults`.
    pub fn take(&mut self, snapshot: Snapshot, defaults: &VmSpec) -> bool {
        let mut old = std::mem::take(&mut self.readings);
        let defaults = Arc::new(defaults.clone());
        let mut changed = false;
        for (path, file) in snapshot.files {
            let before = old.remove(&path);
            let reading = match (file, &before) {
                (File::Unchanged, Some(_)) => None,
                (File::Unchanged, None) => Some(unread("the source has never shown it")),
                (File::Text(text), _) => Some(read(&text, &defaults)),
                (File::Fault(message), _) => Some(unread(message)),
            };
            let reading = reading.map(|reading| Read {
                reading,
                defaults: Arc::clone(&defaults),
            });
            changed |= reading.is_some() && reading != before;
            self.readings
                .extend(reading.or(before).map(|it| (path, it)));
        }
        changed || !old.is_empty()
    }

    /// The readings, by file, with the defaults that fill what each leaves open.
    pub fn readings(&self) -> impl Iterator<Item = (&str, &Reading, &Arc<VmSpec>)> {
        self.readings
            .iter()
            .map(|(file, read)| (file.as_str(), &read.reading, &read.defaults))
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.readings.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.readings.is_empty()
    }
}

/// A file without a text to search for what it is about.
fn unread(message: impl Into<String>) -> Reading {
    Reading::Fault {
        fault: Fault::new(message),
        mentions: Mentions::default(),
    }
}
