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

/// How long until the lease is to be renewed; none for a reservation, which never ends.
pub(super) fn renewal(
    expires: Option<SystemTime>,
    margin: Duration,
    now: SystemTime,
) -> Option<Duration> {
    let left = expires?.duration_since(now).unwrap_or_default();
    // A lease no longer than the margin would be renewed without a pause.
    Some(left.saturating_sub(margin).max(left / 2))
}

/// How long until a failed renewal is tried again: sooner where the end is near.
pub(super) fn renewal_again(expires: Option<SystemTime>, now: SystemTime) -> Duration {
    let left = expires.and_then(|end| end.duration_since(now).ok());
    left.map_or(Duration::from_secs(1), |left| {
        (left / 4).clamp(Duration::from_secs(1), AGAIN)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(renewal(Some(now + HOUR * 24), HOUR, now), Some(HOUR * 23));
        assert_eq!(renewal(Some(now + HOUR / 2), HOUR, now), Some(HOUR / 4));
        assert_eq!(
            renewal(Some(now - HOUR / 2), HOUR, now),
            Some(Duration::ZERO)
        );
        assert_eq!(renewal(None, HOUR, now), None);
        assert_eq!(renewal_again(Some(now + HOUR), now), AGAIN);
        assert_eq!(renewal_again(None, now), Duration::from_secs(1));
    }
}
