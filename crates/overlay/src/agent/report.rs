//! The status file, and the troubles in it: raised and cleared by source, written soon after a change
//! and never more often than once a second.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::options::Options;
use super::status::{Process, Status, seconds};
use crate::checkup::{self, Trouble};
use ignite_host::error::chain;

/// How soon a change is in the file; many changes are one write.
const SOON: Duration = Duration::from_millis(200);
/// From one write to the next at least: thousands of leases may change one after the other.
const PAUSE: Duration = Duration::from_secs(1);

/// Who raises troubles. Each replaces its own, and knows of no other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// Whether etcd answers.
    Etcd,
    /// The configuration.
    Configuration,
    /// The own lease.
    Lease,
    /// Who else writes it.
    Rival,
    /// The external interface.
    Interface,
    /// The packet filter.
    Rules,
    /// The backend.
    Backend,
    /// The others' backends.
    Mismatch,
    /// The others' records.
    Unreadable,
}

/// The status file of an agent. Clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct Report(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    path: Option<PathBuf>,
    status: Status,
    troubles: BTreeMap<Source, Vec<Trouble>>,
    due: Option<Instant>,
    written: Option<Instant>,
}

impl Report {
    /// Nothing is known or written yet.
    pub fn new(options: &Options) -> Self {
        let endpoints = &options.etcd.endpoints;
        Self(Arc::new(Mutex::new(State {
            path: options.status_file.clone(),
            status: Status::new(Process::own(), endpoints, &options.prefix),
            troubles: BTreeMap::new(),
            due: None,
            written: None,
        })))
    }

    /// Notes what is known now; to be written soon.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        let mut state = self.state();
        change(&mut state.status);
        state.changed();
    }

    /// Something is not as it was; to be written soon.
    pub fn changed(&self) {
        self.state().changed();
    }

    /// These are the troubles of this source now. One that was there has begun when it did; others
    /// begin now, unless they say when they did.
    pub fn set(&self, source: Source, troubles: Vec<Trouble>) {
        let mut troubles = checkup::bounded(troubles);
        let mut state = self.state();
        let before = state.troubles.remove(&source).unwrap_or_default();
        let now = seconds(SystemTime::now());
        for trouble in &mut troubles {
            let same = |known: &&Trouble| known.kind == trouble.kind && known.text == trouble.text;
            let known = before.iter().find(same).and_then(|known| known.since);
            trouble.since = known.or(trouble.since).or(Some(now));
        }
        if before != troubles {
            state.changed();
        }
        if !troubles.is_empty() {
            state.troubles.insert(source, troubles);
        }
    }

    /// This source has no trouble any more.
    pub fn clear(&self, source: Source) {
        self.set(source, Vec::new());
    }

    /// When it is to be written; none if it is as it should be.
    pub fn due(&self) -> Option<Instant> {
        self.state().due
    }

    /// Writes what is known.
    pub fn write(&self) {
        self.state().write();
    }

    /// The agent ends, and says why: nothing is written after this.
    pub fn end(&self, why: Trouble) {
        let mut state = self.state();
        state.status.ended = Some(why.since(seconds(SystemTime::now())));
        state.write();
    }

    /// The state is whole at every line: a panic elsewhere leaves it good.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn changed(&mut self) {
        let soon = Instant::now() + SOON;
        let earliest = self.written.map_or(soon, |written| written + PAUSE);
        self.due.get_or_insert(soon.max(earliest));
    }

    fn write(&mut self) {
        self.due = None;
        self.written = Some(Instant::now());
        let Some(path) = &self.path else {
            return;
        };
        let all = self.troubles.values().flatten().cloned().collect();
        self.status.troubles = checkup::bounded(all);
        if let Err(error) = self.status.write(path) {
            tracing::warn!("cannot write the status: {}", chain(&error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkup::Kind;
    use crate::etcd::Settings;

    fn report(path: PathBuf) -> Report {
        Report::new(&Options {
            status_file: Some(path),
            ..Options::new(Settings::new(["http://127.0.0.1:1"]))
        })
    }

    fn trouble(text: &str) -> Trouble {
        Trouble::new(Kind::PeerRefused, text, "r")
    }

    #[test]
    fn troubles_come_and_go_by_source_and_keep_when_they_began() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("status.json");
        let report = report(path.clone());
        report.set(Source::Backend, vec![trouble("a").since(5), trouble("b")]);
        report.set(
            Source::Etcd,
            vec![Trouble::new(Kind::EtcdAway, "away", "r")],
        );
        report.set(Source::Backend, vec![trouble("a"), trouble("c")]);
        let told = || {
            report.write();
            let status = Status::read(&path).expect("written");
            let troubles = status.troubles.into_iter();
            troubles
                .map(|trouble| (trouble.text, trouble.since.expect("since")))
                .collect::<Vec<_>>()
        };
        let first = told();
        let texts: Vec<&str> = first.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(texts, ["away", "a", "c"]);
        assert_eq!(first[1].1, 5);
        report.clear(Source::Backend);
        assert_eq!(told().len(), 1);
    }

    #[test]
    fn many_changes_are_one_write_a_second() {
        let report = report(PathBuf::from("/nonexistent/status.json"));
        assert_eq!(report.due(), None);
        let begun = Instant::now();
        for _ in 0..1000 {
            report.changed();
        }
        let due = report.due().expect("soon");
        assert!((begun + SOON..begun + PAUSE).contains(&due));
        report.write();
        assert_eq!(report.due(), None);
        report.update(|status| status.mtu = Some(1450));
        assert!(report.due().expect("later") >= begun + PAUSE);
        report.write();
        report.clear(Source::Etcd);
        assert_eq!(report.due(), None, "nothing changed");
    }

    #[test]
    fn the_end_has_a_reason() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("status.json");
        report(path.clone()).end(trouble("last words"));
        let ended = Status::read(&path).expect("written").ended.expect("ended");
        assert_eq!(ended.text, "last words");
    }
}
