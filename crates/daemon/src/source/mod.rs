//! Where manifests come from: a directory that is watched, or a git repository that is fetched.
//!
//! A source gives the whole of what it holds each time it is asked, as texts with their names; which
//! of them are manifests, and what they say, is read elsewhere, for all sources alike.

pub mod directory;
pub mod git;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender};

/// Most bytes of one manifest.
pub const MAX_MANIFEST: u64 = 1 << 20;

/// Most files of one source.
pub const MAX_FILES: usize = 20_000;

/// One file of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum File {
    /// What is in it.
    Text(String),
    /// It cannot be taken as a manifest, and why, in words for people.
    Fault(String),
    /// As it was when it was last asked for; its text is not read again.
    Unchanged,
}

/// All that a source holds, by path relative to its root. Hidden files and directories (their names
/// begin with a dot) and files whose names do not end in `.yaml`, `.yml` or `.json` are no part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The files.
    pub files: BTreeMap<String, File>,
    /// What is not right with the source as a whole, and did not keep it from being read.
    pub warnings: Vec<String>,
    /// What this is the state of, where the source can say: a commit.
    pub revision: Option<String>,
}

/// What the daemon tells a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Look at everything now, and give the texts of files that did not change as well: what they mean
    /// may have changed with the configuration. After SIGHUP.
    Rescan,
    /// What came of the last snapshot, as the text of a status file, for sources that publish it.
    Status(String),
}

/// What a source tells the daemon.
#[derive(Debug)]
pub enum Delivery {
    /// All that it holds now. Sent once at the start, then whenever something changed.
    Snapshot(Snapshot),
    /// It cannot be read at present, and why, in words for people: what was read before still holds.
    Unreachable(String),
}

/// Where manifests come from. It runs on a thread of its own.
pub trait Source: Send {
    /// Its name for people and for [`ignite_engine::Managed`], the same for ever: a directory, or a
    /// repository with its branch. Never with credentials.
    fn name(&self) -> String;

    /// Delivers until `commands` is closed, then returns within a second.
    fn run(self: Box<Self>, commands: Receiver<Command>, deliveries: Sender<Delivery>);
}
