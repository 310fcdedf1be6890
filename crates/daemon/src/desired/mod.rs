//! What the files of a source say: texts become wanted VMs, and faults.
//!
//! ```text
//!  Snapshot --read--> Book (a reading for each file) --resolve--> Desired: wanted VMs, faults, shields
//! ```
//! Pure: nothing of the host is looked at, but which VMs are kept after which files is an argument,
//! since of two files that want one VM, the one it was made after has it.

mod book;
mod read;
mod resolve;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use ignite_api::{Uid, Vm, VmSpec};

pub use book::Book;
pub use read::{Mentions, Reading, read};
pub use resolve::{Keeping, resolve};

/// What is wrong with a manifest, or with the VM it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, with line and column where they are known.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Most characters of a message: what a stranger wrote may be quoted in it.
const MAX_MESSAGE: usize = 2000;

impl Fault {
    /// A fault without advice. Of a long message the beginning is kept.
    pub fn new(message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
            message.truncate(end);
            message.push('…');
        }
        Self {
            message,
            hint: None,
        }
    }

    /// The same with advice.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// As which VM a manifest is known: by its uid where it gives one, else by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// This very VM.
    Uid(Uid),
    /// The VM of that name among those of the source.
    Name(String),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => uid.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// A VM that should be there.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Which one.
    pub key: Key,
    /// Where it is written.
    pub file: String,
    /// How it should be.
    pub vm: Arc<Vm>,
    /// As in these is what its manifest leaves open.
    pub defaults: Arc<VmSpec>,
}

impl Wanted {
    /// Whether it should run.
    pub fn runs(&self) -> bool {
        self.vm.status.running
    }

    /// Its name, where the manifest gives one.
    pub fn name(&self) -> Option<&str> {
        Some(self.vm.metadata.name.as_str()).filter(|name| !name.is_empty())
    }
}

/// VMs that are left alone, because what is written of them cannot be made out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shields {
    /// Those made after one of these files, or after one below: it may be a directory.
    pub files: BTreeSet<String>,
    /// Those.
    pub uids: BTreeSet<Uid>,
    /// Those of these names.
    pub names: BTreeSet<String>,
}

impl Shields {
    /// Whether the VM made after that file is left alone.
    pub fn covers(&self, file: &str) -> bool {
        let mut ancestors = std::path::Path::new(file).ancestors();
        ancestors.any(|path| path.to_str().is_some_and(|path| self.files.contains(path)))
    }
}

/// All that is wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Desired {
    /// The VMs.
    pub wanted: BTreeMap<Key, Wanted>,
    /// What is wrong, by file.
    pub faults: BTreeMap<String, Fault>,
    /// Files that hold something else than a VM, with what it is.
    pub ignored: BTreeMap<String, String>,
    /// What is left alone.
    pub shields: Shields,
}
