//! An agent that answers nothing: its VMM was stopped, or the agent itself hangs.
//!
//! ```text
//!   nobody waits --a program is asked for--> waited for --15 s, and again--> asked (Ping)
//!        ^                                    ^      |
//!        '-- no program is open, or the VM    '------+ anything is heard
//!            stands still by order                   |
//!                                                    v 60 s
//!       heard again: programs can be run <------ given up: programs are closed, new ones refused
//! ```
//!
//! A guest that is only slow answers in the end, and is waited for as long as it does. What counts is
//! time in which the supervisor listened: not that in which the host slept, or the supervisor itself was
//! stopped.

use std::time::{Duration, Instant};

use ignite_wire::agent::{Frame, Message};

use super::Supervisor;
use crate::log;

/// How long an agent may say nothing while somebody waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// It is asked whether it is there after each so much of silence.
const ASK: Duration = Duration::from_secs(15);

/// The most that counts of the time between two looks: the supervisor looks that often, or was stopped.
const LOOK: Duration = Duration::from_secs(5);

/// How long the agent has been silent while it was to say something.
#[derive(Debug, Default)]
pub(super) struct Silence {
    lasted: Duration,
    /// When it was counted last; none while nobody waits, and from when it is broken on.
    looked: Option<Instant>,
    /// How much of it there was when the agent was asked last.
    asked: Duration,
    given_up: bool,
}

/// What is to be done about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    Nothing,
    Ask,
    GiveUp,
}

impl Silence {
    /// The agent said something.
    pub fn broken(&mut self) {
        *self = Self::default();
    }

    /// It can say nothing, and that is known to pass.
    pub fn explained(&mut self) {
        *self = Self {
            given_up: self.given_up,
            ..Self::default()
        };
    }

    /// Whether the agent was waited for in vain, and has said nothing since.
    pub fn is_given_up(&self) -> bool {
        self.given_up
    }

    /// Counts until `now`, when all that had come by then was heard; whether somebody `waits` for the agent.
    pub fn look(&mut self, waits: bool, now: Instant) -> Act {
        if !waits {
            self.explained();
            return Act::Nothing;
        }
        let since = self.looked.replace(now).unwrap_or(now);
        self.lasted += now.saturating_duration_since(since).min(LOOK);
        if self.lasted >= PATIENCE {
            self.given_up = true;
            return Act::GiveUp;
        }
        if self.lasted >= self.asked + ASK {
            self.asked = self.lasted;
            return Act::Ask;
        }
        Act::Nothing
    }

    /// When to look again at the latest.
    pub fn next(&self) -> Option<Instant> {
        let left = PATIENCE.saturating_sub(self.lasted);
        self.looked.map(|looked| looked + LOOK.min(left))
    }
}

impl Supervisor<'_> {
    /// The agent said something, whatever it is.
    pub(super) fn heard_agent(&mut self) {
        if self.silence.is_given_up() {
            log::line("the agent is heard again");
        }
        self.silence.broken();
    }

    /// Whoever has waited long enough for the agent is told so.
    pub(super) fn listen_for_agent(&mut self, now: Instant) {
        let waits = self.relay.is_in_use() && !self.standstill.is_settled(true);
        match self.silence.look(waits, now) {
            Act::Nothing => {}
            Act::Ask => self.ping_agent(),
            Act::GiveUp => self.give_up_agent(),
        }
    }

    /// Nobody waits any longer. Should the agent hear again, it kills the programs nobody listens to.
    fn give_up_agent(&mut self) {
        log::line("the agent is given up: it answers nothing");
        let answer = self.no_answer();
        for (client, number, close) in self.relay.close_all() {
            self.tell_agent(&close);
            let frame = Frame {
                channel: number,
                message: answer.clone(),
            };
            self.tell_client(client, &frame);
        }
    }

    /// What those hear who wait for an agent that is silent.
    pub(super) fn no_answer(&self) -> Message {
        let name = &self.parts.plan.name;
        Message::Error {
            message: format!(
                "the agent in VM {name} has not answered for {} s",
                PATIENCE.as_secs()
            ),
            hint: Some(format!(
                "the guest hangs, or its VMM was stopped: see ignite logs {name}; \
                 end it with: ignite stop {name}, or ignite kill {name}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is done in so many seconds of silence from `from` on, looked at as often as is asked for, and
    /// when.
    fn acts(silence: &mut Silence, from: Instant, seconds: u64) -> Vec<(u64, Act)> {
        let end = from + Duration::from_secs(seconds);
        let (mut acts, mut now) = (Vec::new(), from);
        while now <= end {
            let act = silence.look(true, now);
            if act != Act::Nothing {
                acts.push(((now - from).as_secs(), act));
            }
            now = silence.next().expect("somebody waits").max(now + LOOK / 50);
        }
        acts
    }

    #[test]
    fn a_silent_agent_is_asked_and_then_given_up() {
        let mut silence = Silence::default();
        let done = acts(&mut silence, Instant::now(), 60);
        let expected = [
            (15, Act::Ask),
            (30, Act::Ask),
            (45, Act::Ask),
            (60, Act::GiveUp),
        ];
        assert_eq!(done, expected);
        assert!(silence.is_given_up());
        assert_eq!(silence.look(false, Instant::now()), Act::Nothing);
        assert!(silence.is_given_up(), "nothing was heard");
        assert_eq!(silence.next(), None);
        silence.broken();
        assert!(!silence.is_given_up());
    }

    #[test]
    fn one_that_answers_late_is_never_given_up() {
        let (mut silence, mut now) = (Silence::default(), Instant::now());
        for _ in 0..10 {
            let done = acts(&mut silence, now, 59);
            assert_eq!(done.len(), 3, "{done:?}");
            assert!(done.iter().all(|(_, act)| *act == Act::Ask), "{done:?}");
            silence.broken();
            now += Duration::from_secs(59);
        }
    }

    #[test]
    fn only_the_time_counts_in_which_somebody_waits() {
        let (mut silence, start) = (Silence::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(acts(&mut silence, start, 50).len(), 3);
        // Nobody waits, or the VM stands still by order.
        assert_eq!(silence.look(false, after(55)), Act::Nothing);
        let done = acts(&mut silence, after(1000), 59);
        assert_eq!(done.len(), 3, "{done:?}");
        // A full disk of the host's stops the guest as well.
        silence.explained();
        assert_eq!(acts(&mut silence, after(1060), 14), []);
    }

    #[test]
    fn the_time_in_which_nobody_listened_counts_for_little() {
        let (mut silence, start) = (Silence::default(), Instant::now());
        for look in 0..11 {
            let now = start + Duration::from_secs(3600 * look);
            assert_ne!(silence.look(true, now), Act::GiveUp, "{look}");
        }
        assert!(!silence.is_given_up());
    }
}
