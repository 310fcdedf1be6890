//! When the own lease is written again.
//!
//! Peers up to v0.21.2 lose events; one that missed us learns of us by the next write of our key. So
//! it is written soon after it was acquired, and now and then ever after.

use std::time::{Duration, SystemTime};

/// After the acquisition.
const SOON: [Duration; 3] = [
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(60),
];
/// After that.
const NOW_AND_THEN: Duration = Duration::from_secs(20 * 60);
/// After a renewal that failed.
const AGAIN: Duration = Duration::from_secs(60);

/// How long until the next announcement, `count` of which have been made; before it is spread.
pub(super) fn announcement(count: usize) -> Duration {
    let past = |index: usize| SOON.get(index).copied().unwrap_or_default();
    match SOON.get(count) {
        Some(at) => *at - count.checked_sub(1).map(past).unwrap_or_default(),
        None => NOW_AND_THEN,
    }
}

/// How long until the lease is to be renewed: `margin` before its end, at once if that is past; none for
/// a reservation, which never ends. `lease_time` is how long a renewed lease lasts.
pub(super) fn renewal(
    expires: Option<SystemTime>,
    lease_time: Duration,
    margin: Duration,
    now: SystemTime,
) -> Option<Duration> {
    let left = expires?.duration_since(now).unwrap_or_default();
    // A lease no longer than the margin would be renewed without a pause.
    let margin = match margin < lease_time {
        true => margin,
        false => lease_time / 2,
    };
    Some(left.saturating_sub(margin))
}

/// How long until a failed renewal is tried again: sooner where the end is near.
pub(super) fn renewal_again(expires: Option<SystemTime>, now: SystemTime) -> Duration {
    let left = expires.and_then(|end| end.duration_since(now).ok());
    left.map_or(Duration::from_secs(1), |left| {
        (left / 4).clamp(Duration::from_secs(1), AGAIN)
    })
}

/// A time as Flannel's log has it: `22h59m59s`.
pub(super) fn human(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_flannel_tells_them() {
        for (seconds, text) in [
            (9, "9s"),
            (61, "1m1s"),
            (82_799, "22h59m59s"),
            (3600, "1h0m0s"),
        ] {
            assert_eq!(human(Duration::from_secs(seconds)), text);
        }
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn announcements_come_soon_and_then_seldom() {
        let mut at = Duration::ZERO;
        let moments: Vec<u64> = (0..4)
            .map(|count| {
                at += announcement(count);
                at.as_secs()
            })
            .collect();
        assert_eq!(moments, [2, 10, 60, 1260]);
    }

    #[test]
    fn renewed_in_time_however_short_the_lease() {
        let now = SystemTime::UNIX_EPOCH + HOUR;
        let day = |left, margin| renewal(Some(now + left), HOUR * 24, margin, now);
        assert_eq!(day(HOUR * 24, HOUR), Some(HOUR * 23));
        assert_eq!(day(HOUR * 24, HOUR * 20), Some(HOUR * 4));
        let minute = HOUR / 60;
        assert_eq!(day(HOUR * 24, minute * 1439), Some(minute));
        // What others shortened, and what is past.
        assert_eq!(day(HOUR / 2, HOUR), Some(Duration::ZERO));
        let past = renewal(Some(now - HOUR / 2), HOUR * 24, HOUR, now);
        assert_eq!(past, Some(Duration::ZERO));
        assert_eq!(renewal(None, HOUR * 24, HOUR, now), None);
        for margin in [HOUR, HOUR * 2] {
            let short = renewal(Some(now + HOUR), HOUR, margin, now);
            assert_eq!(short, Some(HOUR / 2), "renewed without a pause");
        }
        assert_eq!(renewal_again(Some(now + HOUR), now), AGAIN);
        assert_eq!(renewal_again(None, now), Duration::from_secs(1));
    }
}
