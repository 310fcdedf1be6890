//! Which rates hold: a change is made whole or not at all.
//!
//! ```text
//!          network bounded, disk asked for          the VMM's answer
//!   holds ---------------------------------> wanted ----------------> holds, the new ones
//!    ^                                         |  refused: the network back
//!    |                                         | no answer in time: the network back
//!    '------ restored <----- done after all -- given up
//! ```
//!
//! One change of the disk at a time: of two under way nobody could say which one holds after a refusal.

use ignite_wire::agent::Limits;
use ignite_wire::supervisor::Rate;

/// What holds, and the change under way.
#[derive(Debug)]
pub(super) struct Bounds {
    holds: Limits,
    /// Not where the VMM refused a change, or did not answer: the next request is sent in any case.
    is_disk_known: bool,
    under_way: Option<UnderWay>,
}

/// What the VMM was asked for about the disk.
#[derive(Debug)]
enum UnderWay {
    /// A change that somebody waits for.
    Wanted(Limits),
    /// One that nobody waits for any more, as its client was told.
    GivenUp,
    /// The former rate, after a change that was made too late.
    Restored,
}

/// What is to be done for a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Another change is under way.
    Busy,
    /// The network alone changes, or nothing does.
    Network,
    /// The disk changes as well.
    Disk(Option<Rate>),
}

/// What is to be done after an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum After {
    Nothing,
    /// The network gets what holds.
    RestoreNetwork,
    /// The disk gets this rate, which holds.
    RestoreDisk(Option<Rate>),
}

impl Bounds {
    /// What a VM was started with.
    pub fn new(holds: Limits) -> Self {
        Self {
            holds,
            is_disk_known: true,
            under_way: None,
        }
    }

    /// What holds.
    pub fn holds(&self) -> &Limits {
        &self.holds
    }

    /// What it takes to get there.
    pub fn step(&self, wanted: &Limits) -> Step {
        match &self.under_way {
            Some(_) => Step::Busy,
            None if self.is_disk_known && wanted.disk == self.holds.disk => Step::Network,
            None => Step::Disk(wanted.disk),
        }
    }

    /// The network was changed, and nothing else is to be; whether that made a difference.
    pub fn hold(&mut self, wanted: Limits) -> bool {
        std::mem::replace(&mut self.holds, wanted) != self.holds
    }

    /// The network was changed, and the VMM is asked for the disk.
    pub fn begin(&mut self, wanted: Limits) {
        self.under_way = Some(UnderWay::Wanted(wanted));
    }

    /// The VMM did what it was asked for, or refused.
    pub fn answered(&mut self, is_done: bool) -> After {
        let (is_known, after) = match (self.under_way.take(), is_done) {
            (Some(UnderWay::Wanted(wanted)), true) => {
                self.holds = wanted;
                (true, After::Nothing)
            }
            (Some(UnderWay::Wanted(_)), false) => (false, After::RestoreNetwork),
            (Some(UnderWay::GivenUp), true) => {
                self.under_way = Some(UnderWay::Restored);
                (false, After::RestoreDisk(self.holds.disk))
            }
            (Some(UnderWay::GivenUp), false) => (false, After::Nothing),
            (Some(UnderWay::Restored) | None, is_done) => (is_done, After::Nothing),
        };
        self.is_disk_known = is_known;
        after
    }

    /// Whoever waited was told that nothing changes; the answer may still come.
    pub fn give_up(&mut self) -> After {
        if let Some(UnderWay::Wanted(_)) = self.under_way {
            self.under_way = Some(UnderWay::GivenUp);
            self.is_disk_known = false;
            return After::RestoreNetwork;
        }
        After::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(bytes_per_second: u64) -> Rate {
        Rate {
            bytes_per_second,
            burst: 1000,
        }
    }

    fn limits(network: u64, disk: u64) -> Limits {
        Limits {
            interfaces: [("eth0".to_owned(), rate(network))].into(),
            disk: Some(rate(disk)),
        }
    }

    /// The first rates hold, and a change of both is under way.
    fn changing() -> Bounds {
        let mut bounds = Bounds::new(limits(1, 1));
        assert_eq!(bounds.step(&limits(2, 2)), Step::Disk(Some(rate(2))));
        bounds.begin(limits(2, 2));
        bounds
    }

    #[test]
    fn what_the_vmm_did_holds_and_no_sooner() {
        let mut bounds = changing();
        assert_eq!(bounds.holds(), &limits(1, 1));
        assert_eq!(bounds.step(&limits(1, 1)), Step::Busy);
        assert_eq!(bounds.answered(true), After::Nothing);
        assert_eq!(bounds.holds(), &limits(2, 2));
        assert_eq!(bounds.step(&limits(3, 2)), Step::Network);
        assert!(bounds.hold(limits(3, 2)));
        assert!(!bounds.hold(limits(3, 2)));
    }

    #[test]
    fn after_a_refusal_the_disk_is_asked_for_in_any_case() {
        let mut bounds = changing();
        assert_eq!(bounds.answered(false), After::RestoreNetwork);
        assert_eq!(bounds.holds(), &limits(1, 1));
        assert_eq!(bounds.step(&limits(1, 1)), Step::Disk(Some(rate(1))));
    }

    #[test]
    fn what_is_done_too_late_is_taken_back() {
        let mut bounds = changing();
        assert_eq!(bounds.give_up(), After::RestoreNetwork);
        assert_eq!(bounds.give_up(), After::Nothing);
        assert_eq!(bounds.holds(), &limits(1, 1));
        assert_eq!(bounds.step(&limits(2, 2)), Step::Busy);
        assert_eq!(bounds.answered(true), After::RestoreDisk(Some(rate(1))));
        assert_eq!(bounds.answered(true), After::Nothing);
        assert_eq!(bounds.step(&limits(5, 1)), Step::Network);
    }

    #[test]
    fn what_is_refused_too_late_leaves_the_disk_unknown() {
        let mut bounds = changing();
        bounds.give_up();
        assert_eq!(bounds.answered(false), After::Nothing);
        assert_eq!(bounds.step(&limits(1, 1)), Step::Disk(Some(rate(1))));
    }
}
