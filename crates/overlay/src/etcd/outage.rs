//! Whether etcd answers, for those who have nothing to ask at the moment.

use std::time::SystemTime;

use tokio::sync::watch;

use super::error::Error;

/// etcd does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// Since when that is known.
    pub since: SystemTime,
    /// What became of the last attempt, with its causes; one line.
    pub problem: String,
    /// What can be done about it.
    pub hint: Option<String>,
}

/// What the calls and watches of a client came to.
#[derive(Debug)]
pub(super) struct Outages(watch::Sender<Option<Outage>>);

impl Outages {
    /// Nothing is known to be wrong.
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// An endpoint answered.
    pub(super) fn answered(&self) {
        self.0.send_if_modified(|outage| outage.take().is_some());
    }

    /// No endpoint did; what etcd itself refuses is no outage.
    pub(super) fn failed(&self, error: &Error) {
        if !error.is_of_endpoint() {
            return;
        }
        let problem = error.with_causes();
        self.0.send_if_modified(|outage| {
            let since = outage.as_ref().map(|known| known.since);
            let now = Outage {
                since: since.unwrap_or_else(SystemTime::now),
                problem,
                hint: error.hint(),
            };
            let changed = outage.as_ref() != Some(&now);
            *outage = Some(now);
            changed
        });
    }

    pub(super) fn watch(&self) -> watch::Receiver<Option<Outage>> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_begins_once_and_ends_with_an_answer() {
        let outages = Outages::new();
        let mut seen = outages.watch();
        let error = |endpoint: &str| Error::ConnectTimedOut {
            endpoint: endpoint.into(),
        };
        outages.answered();
        outages.failed(&Error::Compacted { revision: 1 });
        assert!(!seen.has_changed().expect("alive"));
        outages.failed(&error("http://a:1"));
        let first = seen.borrow_and_update().clone().expect("away");
        outages.failed(&error("http://a:1"));
        assert!(!seen.has_changed().expect("alive"));
        outages.failed(&error("http://b:1"));
        let second = seen.borrow_and_update().clone().expect("away");
        assert_eq!(first.since, second.since);
        assert!(second.problem.contains("http://b:1") && second.hint.is_some());
        outages.answered();
        assert_eq!(*seen.borrow_and_update(), None);
    }
}
