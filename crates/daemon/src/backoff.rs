//! How long something that failed is left alone: 1 s, doubling to 5 minutes.

use std::time::{Duration, Instant};

/// First pause.
pub const FIRST: Duration = Duration::from_secs(1);

/// Longest pause.
pub const LONGEST: Duration = Duration::from_secs(300);

/// A VM that ran so long is one that works: what was before is forgotten.
pub const SETTLED: Duration = Duration::from_secs(60);

/// Failures in a row, and the pause after the last one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// It failed once more.
    pub fn failed(&mut self, now: Instant) {
        let pause = FIRST.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + pause.min(LONGEST));
    }

    /// It worked for so long, then ended.
    pub fn ended(&mut self, ran: Duration, now: Instant) {
        if ran >= SETTLED {
            self.reset();
        }
        self.failed(now);
    }

    /// Nothing is known against it any more.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// When it may be tried again; none for now.
    pub fn pause(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        assert_eq!(backoff.pause(now), None);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            backoff.failed(now);
            pauses.push(
                backoff
                    .pause(now)
                    .expect("a pause")
                    .duration_since(now)
                    .as_secs(),
            );
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(backoff.pause(now + LONGEST), None);
        for _ in 0..100 {
            backoff.failed(now);
        }
        assert_eq!(backoff.pause(now), Some(now + LONGEST));
    }

    #[test]
    fn what_ran_for_long_begins_anew() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.ended(Duration::from_secs(59), now);
        }
        assert_eq!(backoff.failures(), 5);
        backoff.ended(SETTLED, now);
        assert_eq!(backoff.pause(now), Some(now + FIRST));
    }
}
