//! A directory of manifests, watched with all below it.
//!
//! ```text
//!  inotify --> Changes (dirty paths) --settled--> Tree: looks at those --> Snapshot
//!  every 60 s, overflow, SIGHUP ----------------> Tree: looks at all --'
//! ```
//! What is read is bounded and never waited for: a FIFO, a device or a link out of the directory is a
//! fault with a name. Directories are entered, but not through symbolic links, nor hidden ones; links to
//! files inside the directory are followed, as Kubernetes makes them for a ConfigMap.

mod changes;
mod entry;
mod names;
#[cfg(test)]
mod tests;
mod tree;
mod wait;
mod walk;
mod watch;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use crate::source::{Command, Delivery, Source};

use changes::Changes;
use ignite_program::Failure;
use tree::Tree;
use wait::{Wake, Waker};

/// Quiet after which a burst of changes is over.
const QUIET: Duration = Duration::from_millis(5);

/// A burst that does not end is looked at nevertheless.
const BURST: Duration = Duration::from_millis(20);

/// A file written to so lately may be half written, unless it was seen to be closed.
const FRESH: Duration = Duration::from_millis(500);

/// Time after which a directory that could not be read is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// A directory of manifests.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    rescan: Duration,
}

impl Directory {
    /// The directory, looked at as a whole every so often.
    pub fn new(path: PathBuf, rescan: Duration) -> Result<Self, Failure> {
        let path = std::path::absolute(&path).map_err(|error| Failure::new(error, None))?;
        Ok(Self { path, rescan })
    }
}

impl Source for Directory {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn run(self: Box<Self>, commands: Receiver<Command>, deliveries: Sender<Delivery>) {
        match Waker::start(commands) {
            Ok(waker) => {
                let tree = Tree::new(self.path);
                Loop {
                    tree,
                    rescan: self.rescan,
                    waker,
                    deliveries,
                    told: None,
                }
                .run();
            }
            Err(error) => {
                // Nobody listens any more when the daemon is ending.
                let _ = deliveries.send(Delivery::Unreachable(error.to_string()));
            }
        }
    }
}

struct Loop {
    tree: Tree,
    rescan: Duration,
    waker: Waker,
    deliveries: Sender<Delivery>,
    /// Why the directory could not be read, as was told.
    told: Option<String>,
}

impl Loop {
    fn run(mut self) {
        let mut next = self.first();
        loop {
            let deadline = self.tree.later().into_iter().fold(next, Instant::min);
            let mut changes = match self.waker.wait(self.tree.events(), deadline) {
                Wake::Over => return,
                Wake::Rescan => self.anew(),
                Wake::Time => Changes::default(),
                Wake::Events => self.burst(),
            };
            let now = Instant::now();
            if changes.is_everything() || next <= now {
                next = self.scan();
                continue;
            }
            changes.add(self.tree.take_later(now));
            match self.tree.look(changes, now) {
                Ok(Some(snapshot)) => self.tell(Delivery::Snapshot(snapshot)),
                Ok(None) => {}
                Err(_) => next = self.scan(),
            }
        }
    }

    /// The first look; where files are being written in this moment, it is taken a little later.
    fn first(&mut self) -> Instant {
        let fresh = self.tree.scan().is_ok() && self.tree.later().is_some();
        if fresh && self.waker.wait(None, Instant::now() + FRESH) == Wake::Over {
            return Instant::now();
        }
        // What it has found was told to nobody.
        self.tree.forget();
        self.tree.take_later(Instant::now());
        self.scan()
    }

    /// Collects changes until there is a moment without any.
    fn burst(&mut self) -> Changes {
        let end = Instant::now() + BURST;
        let mut changes = Changes::default();
        loop {
            changes.add(self.tree.read_events());
            let quiet = (Instant::now() + QUIET).min(end);
            match self.waker.wait(self.tree.events(), quiet) {
                Wake::Events if Instant::now() < end => {}
                Wake::Events | Wake::Time => return changes,
                // Seen again by the next wait.
                Wake::Over => return changes,
                Wake::Rescan => changes = self.anew(),
            }
        }
    }

    /// Everything is to be read again, whether or not it changed: what it means may have.
    fn anew(&mut self) -> Changes {
        self.tree.read_again();
        Changes::everything()
    }

    /// Looks at everything; when to do so again.
    fn scan(&mut self) -> Instant {
        match self.tree.scan() {
            Ok(snapshot) => {
                self.tell(Delivery::Snapshot(snapshot));
                Instant::now() + self.rescan
            }
            Err(error) => {
                let hint = error.hint().map(|hint| format!(" ({hint})"));
                let error = format!("{error}{}", hint.unwrap_or_default());
                if self.told.as_ref() != Some(&error) {
                    self.tell(Delivery::Unreachable(error));
                }
                Instant::now() + RETRY.min(self.rescan)
            }
        }
    }

    fn tell(&mut self, delivery: Delivery) {
        self.told = match &delivery {
            Delivery::Snapshot(_) => None,
            Delivery::Unreachable(error) => Some(error.clone()),
        };
        // Nobody listens any more when the daemon is ending, which the waker tells.
        let _ = self.deliveries.send(delivery);
    }
}
