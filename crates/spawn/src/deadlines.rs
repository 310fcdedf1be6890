//! What happens if nothing happens.

use std::time::{Duration, Instant};

use crate::end::Verdict;

/// Time a VMM has to end after it was asked to, before it is killed.
const QUIT_PATIENCE: Duration = Duration::from_secs(1);

/// Time a VMM has to end after it said its machine stops.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// Time between two attempts of a guest that stands still because the host's disk is full.
const DISK_PAUSE: Duration = Duration::from_secs(2);

/// A time that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// End the VMM for this reason.
    End(Verdict),
    /// Kill the VMM.
    Kill,
    /// Press the machine's button.
    Button,
    /// Let the guest try its disk again.
    Resume,
}

/// All deadlines of a VM.
#[derive(Debug, Default)]
pub struct Deadlines {
    boot: Option<Instant>,
    button: Option<Instant>,
    grace: Option<Instant>,
    silence: Option<(Instant, Verdict)>,
    kill: Option<Instant>,
    resume: Option<Instant>,
    /// Since when the guest's own times stand still with it.
    held: Option<Instant>,
}

impl Deadlines {
    /// The agent must be ready by then.
    pub fn boot(&mut self, at: Instant) {
        self.boot = Some(at);
    }

    /// The agent is ready.
    pub fn booted(&mut self) {
        self.boot = None;
    }

    /// The guest must have shut down by then; an earlier time of an earlier request stands.
    pub fn grace(&mut self, at: Instant) {
        self.grace = Some(self.grace.map_or(at, |set| set.min(at)));
    }

    /// A guest that has not shut down by then is asked by its button; an earlier time stands.
    pub fn button(&mut self, at: Instant) {
        self.button = Some(self.button.map_or(at, |set| set.min(at)));
    }

    /// Unless the agent is heard of by then, the guest is taken for gone.
    pub fn silence(&mut self, at: Instant, verdict: Verdict) {
        self.silence = Some((at, verdict));
    }

    /// The agent was heard of.
    pub fn heard(&mut self) {
        self.silence = None;
    }

    /// The guest's disk failed.
    pub fn disk_failed(&mut self, now: Instant) {
        self.resume = Some(now + DISK_PAUSE);
    }

    /// The guest stands still by order: what it must do by some time, it need not do now.
    pub fn hold(&mut self, now: Instant) {
        self.held.get_or_insert(now);
        self.resume = None;
    }

    /// The guest goes on, and has the time that was left.
    pub fn go_on(&mut self, now: Instant) {
        let Some(since) = self.held.take() else {
            return;
        };
        let lost = now.saturating_duration_since(since);
        self.boot = self.boot.map(|at| at + lost);
        self.silence = self.silence.map(|(at, verdict)| (at + lost, verdict));
    }

    /// The VMM was asked to quit: nothing else matters now.
    pub fn quitting(&mut self, now: Instant) {
        *self = Self {
            kill: Some(now + QUIT_PATIENCE),
            ..Self::default()
        };
    }

    /// The VMM said that the machine stops: only that it ends is waited for.
    pub fn stopped(&mut self, now: Instant) {
        let kill = self.kill.unwrap_or(now + SHUTDOWN_PATIENCE);
        *self = Self {
            kill: Some(kill),
            ..Self::default()
        };
    }

    /// The next one.
    pub fn next(&self) -> Option<Instant> {
        let silence = self.silence.map(|(at, _)| at);
        let of_guest = [self.boot, silence, self.resume];
        let of_guest = of_guest.into_iter().filter(|_| self.held.is_none());
        [self.button, self.grace, self.kill]
            .into_iter()
            .chain(of_guest)
            .flatten()
            .min()
    }

    /// One that is over, which is then forgotten.
    pub fn due(&mut self, now: Instant) -> Option<Due> {
        if self.kill.take_if(|at| *at <= now).is_some() {
            return Some(Due::Kill);
        }
        if self.grace.take_if(|at| *at <= now).is_some() {
            return Some(Due::End(Verdict::GraceOver));
        }
        if self.button.take_if(|at| *at <= now).is_some() {
            return Some(Due::Button);
        }
        if self.held.is_some() {
            return None;
        }
        if let Some((_, verdict)) = self.silence.take_if(|(at, _)| *at <= now) {
            return Some(Due::End(verdict));
        }
        if self.boot.take_if(|at| *at <= now).is_some() {
            return Some(Due::End(Verdict::BootTimeout));
        }
        let resume = self.resume.take_if(|at| *at <= now);
        resume.map(|_| Due::Resume)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_due_once_in_its_time() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut deadlines = Deadlines::default();
        assert_eq!(deadlines.next(), None);
        deadlines.boot(after(5));
        deadlines.grace(after(3));
        deadlines.grace(after(4));
        assert_eq!(deadlines.next(), Some(after(3)));
        assert_eq!(deadlines.due(after(2)), None);
        assert_eq!(deadlines.due(after(3)), Some(Due::End(Verdict::GraceOver)));
        assert_eq!(deadlines.due(after(3)), None);
        deadlines.quitting(after(3));
        assert_eq!(deadlines.due(after(100)), Some(Due::Kill));
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn the_button_is_pressed_before_the_grace_is_over() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut deadlines = Deadlines::default();
        for (button, grace) in [(7, 8), (9, 10)] {
            deadlines.button(after(button));
            deadlines.grace(after(grace));
        }
        deadlines.hold(start);
        assert_eq!(deadlines.next(), Some(after(7)));
        assert_eq!(deadlines.due(after(7)), Some(Due::Button));
        assert_eq!(deadlines.due(after(7)), None);
        deadlines.button(after(7));
        deadlines.stopped(after(7));
        assert_eq!(deadlines.due(after(8)), None, "it stops already");
    }

    #[test]
    fn a_full_disk_is_tried_again_and_ends_nothing() {
        let now = Instant::now();
        let mut deadlines = Deadlines::default();
        deadlines.disk_failed(now);
        assert_eq!(deadlines.due(now), None);
        assert_eq!(deadlines.due(now + DISK_PAUSE), Some(Due::Resume));
        assert_eq!(deadlines.next(), None);
        deadlines.disk_failed(now);
        deadlines.quitting(now);
        assert_eq!(deadlines.due(now + DISK_PAUSE), Some(Due::Kill));
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn a_guest_that_stands_still_by_order_loses_no_time() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut deadlines = Deadlines::default();
        deadlines.boot(after(5));
        deadlines.silence(after(3), Verdict::HaltAnnounced);
        deadlines.disk_failed(start);
        deadlines.hold(after(1));
        assert_eq!(deadlines.next(), None);
        assert_eq!(deadlines.due(after(100)), None);
        deadlines.hold(after(50));
        deadlines.go_on(after(101));
        assert_eq!(deadlines.next(), Some(after(103)));
        assert_eq!(deadlines.due(after(102)), None);
        let silent = Due::End(Verdict::HaltAnnounced);
        assert_eq!(deadlines.due(after(103)), Some(silent));
        assert_eq!(deadlines.next(), Some(after(105)));
    }

    #[test]
    fn an_order_to_end_is_not_held_up() {
        let now = Instant::now();
        let mut deadlines = Deadlines::default();
        deadlines.hold(now);
        deadlines.grace(now);
        assert_eq!(deadlines.due(now), Some(Due::End(Verdict::GraceOver)));
        deadlines.quitting(now);
        assert_eq!(deadlines.due(now + QUIT_PATIENCE), Some(Due::Kill));
    }

    #[test]
    fn a_guest_that_is_heard_of_is_not_gone() {
        let now = Instant::now();
        let mut deadlines = Deadlines::default();
        deadlines.silence(now, Verdict::HaltAnnounced);
        deadlines.heard();
        assert_eq!(deadlines.due(now), None);
    }
}
