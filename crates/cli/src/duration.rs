//! Durations as people read them: one or two units, the finer one only while it matters.

use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// The time since `then`: `90s`, `5m30s`, `2h`, `3d4h`; none for a moment that is to come.
pub fn since(then: Timestamp, now: Timestamp) -> Option<String> {
    let seconds = now.as_second() - then.as_second();
    // Clocks of two hosts, or of one before and after a correction, differ a little.
    (seconds >= -1).then(|| human(seconds.max(0)))
}

/// A number of seconds, not negative.
pub fn human(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => two(seconds, (MINUTE, "m"), (1, "s")),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(seconds, (HOUR, "h"), (MINUTE, "m")),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(seconds, (DAY, "d"), (HOUR, "h")),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => two(seconds, (YEAR, "y"), (DAY, "d")),
        _ => format!("{}y", seconds / YEAR),
    }
}

fn two(seconds: i64, (coarse, coarse_name): (i64, &str), (fine, fine_name): (i64, &str)) -> String {
    match seconds % coarse / fine {
        0 => format!("{}{coarse_name}", seconds / coarse),
        rest => format!("{}{coarse_name}{rest}{fine_name}", seconds / coarse),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_change_where_they_should() {
        let cases = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (330, "5m30s"),
            (600, "10m"),
            (3 * HOUR - 1, "179m"),
            (3 * HOUR, "3h"),
            (3 * HOUR + 60, "3h1m"),
            (8 * HOUR, "8h"),
            (2 * DAY - 1, "47h"),
            (2 * DAY, "2d"),
            (3 * DAY + 4 * HOUR, "3d4h"),
            (8 * DAY, "8d"),
            (2 * YEAR - 1, "729d"),
            (2 * YEAR, "2y"),
            (3 * YEAR + 5 * DAY, "3y5d"),
            (9 * YEAR, "9y"),
        ];
        for (seconds, text) in cases {
            assert_eq!(human(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn a_moment_to_come_has_no_age() {
        let now = Timestamp::from_second(1000).expect("in range");
        let at = |second| Timestamp::from_second(second).expect("in range");
        assert_eq!(since(at(1001), now).as_deref(), Some("0s"));
        assert_eq!(since(at(1002), now), None);
        assert_eq!(since(at(880), now).as_deref(), Some("2m"));
    }
}
