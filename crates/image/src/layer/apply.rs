//! Layer upon layer: entries become files, whiteouts take files of lower layers away.

use std::collections::HashSet;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use ignite_archive::{Account, Extractor, Policy, clean};
use ignite_host::fs::{self, RootDir};

use super::whiteout::{Whiteout, whiteout};
use super::{Data, Entry, EntryError};

/// The tree that layers are applied to.
pub(super) struct Layers {
    tree: Extractor,
    /// What the current layer made, with the directories above it; unused in the lowest layer.
    written: HashSet<PathBuf>,
    lowest: bool,
}

impl Layers {
    pub(super) fn new(root: &Path) -> Result<Self, fs::Error> {
        let root = RootDir::open(root)?;
        Ok(Self {
            tree: Extractor::new(root, Path::new(""), Policy::layer()),
            written: HashSet::new(),
            lowest: true,
        })
    }

    /// Another layer on top of what is there.
    pub(super) fn next(&mut self) {
        self.lowest = false;
        self.written.clear();
    }

    /// All layers are applied.
    pub(super) fn finish(self) -> Result<(), fs::Error> {
        self.tree.finish()
    }

    pub(super) fn apply(
        &mut self,
        entry: &Entry,
        data: Data<'_, impl BufRead>,
        account: Account<'_>,
    ) -> Result<(), EntryError> {
        let given = clean(&entry.path)?;
        let (Some(parent), Some(name)) = (given.parent(), given.file_name()) else {
            return self.tree.apply_root(entry);
        };
        if let Some(whiteout) = whiteout(name)? {
            return self.hide(parent, whiteout);
        }
        let path = self.tree.parent(parent)?.join(name);
        self.tree.make(&path, entry, data, account)?;
        self.remember(path);
        Ok(())
    }

    /// Removes what lower layers have; nothing is made for it.
    fn hide(&mut self, parent: &Path, whiteout: Whiteout<'_>) -> Result<(), EntryError> {
        let Some(parent) = self.tree.existing_parent(parent)? else {
            return Ok(());
        };
        match whiteout {
            Whiteout::Ignored => Ok(()),
            Whiteout::Opaque => self.remove_lower_below(&parent),
            Whiteout::Of(name) => self.remove_lower(&parent.join(name)),
        }
    }

    /// Marks an entry of this layer, with the directories above it.
    fn remember(&mut self, path: PathBuf) {
        if self.lowest {
            return;
        }
        let mut next = Some(path);
        while let Some(path) = next {
            next = path.parent().map(Path::to_owned);
            if path.as_os_str().is_empty() || !self.written.insert(path) {
                return;
            }
        }
    }

    /// Removes what lower layers have at `path`; what this layer made stays.
    fn remove_lower(&mut self, path: &Path) -> Result<(), EntryError> {
        if self.lowest {
            Ok(())
        } else if !self.written.contains(path) {
            Ok(self.tree.remove(path)?)
        } else if self.tree.root().kind(path)? == Some(fs::Kind::Directory) {
            self.remove_lower_below(path)
        } else {
            Ok(())
        }
    }

    fn remove_lower_below(&mut self, directory: &Path) -> Result<(), EntryError> {
        if !self.lowest {
            for entry in self.tree.root().list(directory)? {
                self.remove_lower(&directory.join(entry.name))?;
            }
        }
        Ok(())
    }
}
