//! What may have changed since the last look.

use std::collections::{BTreeMap, BTreeSet};

/// Paths, relative to the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Whether nothing is known but that there was something.
    everything: bool,
    /// Files, and whether each was seen to be complete: closed, or moved here.
    pub files: BTreeMap<String, bool>,
    /// Directories that came or went.
    pub directories: BTreeSet<String>,
    /// Whether a symbolic link may lead elsewhere now.
    pub links: bool,
}

impl Changes {
    /// Everything may have.
    pub fn everything() -> Self {
        Self {
            everything: true,
            ..Self::default()
        }
    }

    /// Whether everything is looked at.
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// A file.
    pub fn file(&mut self, path: String, complete: bool) {
        *self.files.entry(path).or_default() |= complete;
    }

    /// All of `other` too.
    pub fn add(&mut self, other: Self) {
        self.everything |= other.everything;
        self.links |= other.links;
        self.directories.extend(other.directories);
        for (path, complete) in other.files {
            self.file(path, complete);
        }
    }
}
