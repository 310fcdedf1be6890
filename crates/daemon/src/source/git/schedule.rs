//! When the repository is looked at next.

use std::time::Duration;

/// Longest pause after failures, unless the interval is longer.
const MAX_PAUSE: Duration = Duration::from_secs(600);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    failures: u32,
}

impl Schedule {
    /// It went well.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// It did not.
    pub(super) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// How long to wait: the interval, doubled for each failure after the first.
    pub(super) fn pause(&self, interval: Duration) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(31);
        interval
            .saturating_mul(1 << doublings)
            .min(MAX_PAUSE.max(interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(interval: u64, failures: u32) -> Vec<u64> {
        let mut schedule = Schedule::default();
        let mut pauses = Vec::new();
        for _ in 0..failures {
            schedule.failed();
            pauses.push(schedule.pause(Duration::from_secs(interval)).as_secs());
        }
        schedule.succeeded();
        pauses.push(schedule.pause(Duration::from_secs(interval)).as_secs());
        pauses
    }

    #[test]
    fn failures_double_the_pause_up_to_a_bound() {
        assert_eq!(pauses(30, 7), [30, 60, 120, 240, 480, 600, 600, 30]);
        assert_eq!(pauses(3600, 3), [3600, 3600, 3600, 3600]);
        assert_eq!(pauses(1, 40).last(), Some(&1));
    }
}
