//! Another node that takes our lease for its own: it has our public address, by which nodes know their
//! leases, so both write one key.
//!
//! Of two nodes of `udp` the values are the same, so writers are told apart by revisions alone: what was
//! written after our last write is somebody else's. What was written before may be ours, told late or
//! once more by a listing, and in either case has been overwritten.

use std::time::{Duration, SystemTime};

/// Not heard of for so long, it is gone: nodes like this one announce themselves every 20 minutes.
const FORGOTTEN: Duration = Duration::from_secs(30 * 60);

/// What is known of another writer of the own key.
#[derive(Debug, Default)]
pub(super) struct Rival {
    /// The revision of our last write.
    own: i64,
    /// A write since has failed, and may have been done all the same. Once another one succeeds it is
    /// of before that: no write of ours is done on what has changed meanwhile.
    doubtful: bool,
    seen: Option<SystemTime>,
}

/// A write of the own key as it is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Put {
    /// At which it was done.
    pub revision: i64,
    /// It made a reservation of a lease or the reverse, as an administrator does.
    pub reserved: bool,
}

impl Rival {
    /// We wrote the key, at this revision; none if we only may have.
    pub fn wrote(&mut self, revision: Option<i64>) {
        self.doubtful = revision.is_none();
        // A store that was set back counts from there again.
        self.own = revision.unwrap_or(self.own);
    }

    /// It was written.
    pub fn heard(&mut self, put: Put, now: SystemTime) {
        let may_be_ours = put.revision <= self.own || self.doubtful;
        if !may_be_ours && !put.reserved {
            self.seen = Some(now);
        }
    }

    /// This node has another address now, or another lease: nobody is known to have that, too.
    pub fn forget(&mut self) {
        self.seen = None;
    }

    /// Whether there is one.
    pub fn is_there(&self, now: SystemTime) -> bool {
        let since = self.seen.map(|seen| now.duration_since(seen));
        since.is_some_and(|since| since.unwrap_or_default() < FORGOTTEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn put(revision: i64) -> Put {
        Put {
            revision,
            reserved: false,
        }
    }

    #[test]
    fn our_own_writes_are_no_rival() {
        let mut rival = Rival::default();
        for revision in 10..50 {
            rival.wrote(Some(revision));
            rival.heard(put(revision), NOW);
            // A listing tells of it once more.
            rival.heard(put(revision), NOW);
            // Late word; also of a write whose answer was lost before it was tried again.
            rival.heard(put(revision - 1), NOW);
        }
        // As often as it may have been done.
        rival.wrote(None);
        rival.heard(put(100), NOW);
        rival.heard(put(101), NOW);
        rival.wrote(Some(102));
        let reserved = Put {
            reserved: true,
            ..put(103)
        };
        rival.heard(reserved, NOW);
        // A store that was set back.
        rival.wrote(Some(20));
        rival.heard(put(20), NOW);
        assert!(!rival.is_there(NOW));
    }

    #[test]
    fn what_is_not_ours_is_a_rivals_until_it_is_silent() {
        let mut rival = Rival::default();
        rival.wrote(Some(2));
        rival.heard(put(3), NOW);
        assert!(rival.is_there(NOW));
        assert!(!rival.is_there(NOW + FORGOTTEN));
        rival.forget();
        assert!(!rival.is_there(NOW));
        // An outage hides it for as long as it lasts, and no longer.
        for _ in 0..1000 {
            rival.wrote(None);
        }
        rival.wrote(Some(4));
        rival.heard(put(5), NOW);
        assert!(rival.is_there(NOW));
        // A store that was set back.
        rival.forget();
        rival.wrote(Some(2));
        rival.heard(put(3), NOW);
        assert!(rival.is_there(NOW));
    }
}
