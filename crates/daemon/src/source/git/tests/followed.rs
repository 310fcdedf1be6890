//! A repository that is followed, as the daemon sees it.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::source::git::{Git, Options};
use crate::source::{Command, Delivery, File, Snapshot, Source};

/// Much longer than git takes on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// A source on its thread.
pub(super) struct Followed {
    commands: Option<Sender<Command>>,
    deliveries: Receiver<Delivery>,
    thread: Option<JoinHandle<()>>,
}

impl Followed {
    /// Starts it.
    pub(super) fn start(options: Options) -> Self {
        let source = Box::new(Git::new(options).expect("usable"));
        let (commands, orders) = channel();
        let (sender, deliveries) = channel();
        let thread = std::thread::spawn(move || source.run(orders, sender));
        Self {
            commands: Some(commands),
            deliveries,
            thread: Some(thread),
        }
    }

    /// The next that it says.
    pub(super) fn next(&self) -> Delivery {
        self.deliveries.recv_timeout(SOON).expect("a delivery")
    }

    /// The next snapshot; nothing else may come before.
    pub(super) fn snapshot(&self) -> Snapshot {
        match self.next() {
            Delivery::Snapshot(snapshot) => snapshot,
            Delivery::Unreachable(words) => panic!("unreachable: {words}"),
        }
    }

    /// The snapshot of a commit, whatever is said before it.
    pub(super) fn snapshot_of(&self, commit: &str) -> Snapshot {
        let end = Instant::now() + SOON;
        while Instant::now() < end {
            if let Delivery::Snapshot(snapshot) = self.next()
                && snapshot.revision.as_deref() == Some(commit)
            {
                return snapshot;
            }
        }
        panic!("no snapshot of {commit}");
    }

    /// What it says when it fails next; nothing else may come before.
    pub(super) fn failure(&self) -> String {
        match self.next() {
            Delivery::Unreachable(words) => words,
            Delivery::Snapshot(snapshot) => panic!("{snapshot:?}"),
        }
    }

    /// Whether it says nothing for some looks at the repository.
    pub(super) fn is_silent(&self) -> bool {
        self.deliveries
            .recv_timeout(Duration::from_secs(2))
            .is_err()
    }

    pub(super) fn tell(&self, command: Command) {
        self.commands
            .as_ref()
            .expect("it runs")
            .send(command)
            .expect("it listens");
    }

    /// Ends it; how long that took.
    pub(super) fn end(mut self) -> Duration {
        self.stop()
    }

    fn stop(&mut self) -> Duration {
        let start = Instant::now();
        drop(self.commands.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
        start.elapsed()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The texts of a snapshot, and other files by a word for them.
pub(super) fn texts(snapshot: &Snapshot) -> BTreeMap<&str, &str> {
    let files = snapshot.files.iter();
    files
        .map(|(path, file)| (path.as_str(), text(file)))
        .collect()
}

fn text(file: &File) -> &str {
    match file {
        File::Text(text) => text,
        File::Fault(_) => "(fault)",
        File::Unchanged => "(unchanged)",
    }
}
