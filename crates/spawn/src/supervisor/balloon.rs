//! What a guest gives back of its memory, changed while it runs.
//!
//! ```text
//!           asked for           the VMM's answer
//!   holds ------------> wanted ------------------> holds, the new size, or the former one if it was refused
//!    ^                     | no answer in time
//!    '-- taken back <-- given up: done after all
//! ```
//!
//! One change at a time, as with rates. The guest then takes its time: what it has given back is told
//! by the VMM when it likes.

use std::time::Instant;

use ignite_vmm::Request;

use super::Supervisor;
use ignite_wire::agent::relay::ClientId;

/// The balloon of a machine that has one.
#[derive(Debug)]
pub(super) struct Balloon {
    /// Bytes it shall take.
    holds: u64,
    under_way: Option<UnderWay>,
    /// Bytes it has taken, once the VMM has told.
    actual: Option<u64>,
}

/// What the VMM was asked for.
#[derive(Debug, Clone, Copy)]
struct UnderWay {
    wanted: u64,
    /// Whoever waited was told that nothing changes.
    is_given_up: bool,
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// Whether something is not as it was.
    pub changed: bool,
    /// What the VMM is to be asked for again, as what it did came too late.
    pub restore: Option<u64>,
}

impl Balloon {
    /// Of a machine that starts with a balloon of this size.
    pub fn new(holds: u64) -> Self {
        Self {
            holds,
            under_way: None,
            actual: None,
        }
    }

    /// Bytes it has taken, once the VMM has told.
    pub fn actual(&self) -> Option<u64> {
        self.actual
    }

    /// The VMM tells what it has taken.
    pub fn told(&mut self, bytes: u64) {
        self.actual = Some(bytes);
    }

    /// The VMM is asked for another size; false if it has not answered an earlier request.
    fn begin(&mut self, wanted: u64) -> bool {
        let is_free = self.under_way.is_none();
        if is_free {
            let is_given_up = false;
            self.under_way = Some(UnderWay {
                wanted,
                is_given_up,
            });
        }
        is_free
    }

    /// The VMM did what it was asked for, or refused.
    pub fn answered(&mut self, is_done: bool) -> Answered {
        let mut answered = Answered {
            changed: false,
            restore: None,
        };
        match self.under_way.take() {
            Some(change) if is_done && change.is_given_up => {
                self.begin(self.holds);
                answered.restore = Some(self.holds);
            }
            Some(change) if is_done => {
                answered.changed = self.holds != change.wanted;
                self.holds = change.wanted;
            }
            Some(_) | None => {}
        }
        answered
    }

    /// Whoever waited is told that nothing changes.
    pub fn give_up(&mut self) {
        if let Some(change) = &mut self.under_way {
            change.is_given_up = true;
        }
    }
}

impl Supervisor<'_> {
    /// Has the guest give back that much of its memory.
    pub(super) fn inflate(&mut self, client: ClientId, bytes: u64) {
        let Some(balloon) = &mut self.balloon else {
            let hint = "it can have one from its next start on";
            return self.refuse(client, "the VM was started without a balloon", hint);
        };
        if self.requests.is_full() || !balloon.begin(bytes) {
            let reason = "the virtual machine monitor has not answered earlier requests";
            return self.refuse(client, reason, "try again in a moment");
        }
        self.ask_for_balloon(bytes, Some(client));
    }

    pub(super) fn ask_for_balloon(&mut self, bytes: u64, client: Option<ClientId>) {
        self.parts.driver.inflate(bytes);
        self.requests.push(Request::Inflate, client, Instant::now());
    }

    /// The VMM answered; whether something is not as it was.
    pub(super) fn balloon_answered(&mut self, is_done: bool) -> bool {
        let Some(balloon) = &mut self.balloon else {
            return false;
        };
        let Answered { changed, restore } = balloon.answered(is_done);
        if let Some(bytes) = restore {
            self.ask_for_balloon(bytes, None);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(changed: bool, restore: Option<u64>) -> Answered {
        Answered { changed, restore }
    }

    #[test]
    fn what_the_vmm_did_holds_and_what_it_refused_does_not() {
        let mut balloon = Balloon::new(1);
        assert!(balloon.begin(2));
        assert!(!balloon.begin(3), "one at a time");
        assert_eq!(balloon.answered(false), answered(false, None));
        assert_eq!(balloon.holds, 1);
        assert!(balloon.begin(2));
        assert_eq!(balloon.answered(true), answered(true, None));
        assert!(balloon.begin(2));
        assert_eq!(balloon.answered(true), answered(false, None));
        assert_eq!(balloon.holds, 2);
    }

    #[test]
    fn what_is_done_too_late_is_taken_back() {
        let mut balloon = Balloon::new(1);
        assert!(balloon.begin(2));
        balloon.give_up();
        assert!(!balloon.begin(3), "it may still be done");
        assert_eq!(balloon.answered(true), answered(false, Some(1)));
        assert_eq!(balloon.answered(true), answered(false, None));
        assert!(balloon.begin(2));
        balloon.give_up();
        assert_eq!(balloon.answered(false), answered(false, None));
        assert_eq!(balloon.holds, 1);
    }
}
