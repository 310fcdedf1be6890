//! What the clock of an endpoint shows, by the `Date` of its answers (RFC 9110, 5.6.7).

use std::time::{Duration, SystemTime};

use super::classify::failure;
use super::error::Error;
use super::transport::Client;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DAY: u64 = 86_400;

impl Client {
    /// What the clock of the first endpoint shows, cut to whole seconds; none if it does not say.
    pub async fn date(&self) -> Result<Option<SystemTime>, Error> {
        let endpoint = self.endpoint(0);
        let asked = async {
            let asked = self.get_page(endpoint, "/version").await;
            asked.map_err(|error| failure(endpoint, error))
        };
        let response = self.in_time(endpoint, asked).await?;
        let date = response.headers().get("date");
        Ok(date.and_then(|date| parse(date.to_str().ok()?)))
    }
}

/// A moment such as `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that is written today.
fn parse(text: &str) -> Option<SystemTime> {
    let (_, text) = text.split_once(", ")?;
    let parts: Vec<&str> = text.splitn(6, [' ', ':']).collect();
    let &[day, month, year, hour, minute, rest] = parts.as_slice() else {
        return None;
    };
    let second = rest.strip_suffix(" GMT")?;
    let month = MONTHS.iter().position(|name| *name == month)?;
    let number = |text: &str, most: u64| text.parse().ok().filter(|number| *number <= most);
    let days = days(number(year, 9999)?, month as u64 + 1, number(day, 31)?)?;
    let (hour, minute) = (number(hour, 23)?, number(minute, 59)?);
    // A second may be a leap second.
    let seconds = days * DAY + hour * 3600 + minute * 60 + number(second, 60)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Days from the first of January 1970, of the Gregorian calendar; none before that.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    // Years begin with March here, so that the leap day is their last.
    let (year, month) = match month {
        1 | 2 => (year.checked_sub(1)?, month + 9),
        _ => (year, month - 3),
    };
    let leaps = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leaps + (month * 153 + 2) / 5 + day.checked_sub(1)?;
    days.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        for (text, seconds) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Thu, 29 Feb 2024 23:59:60 GMT", 1_709_251_200),
            ("Fri, 01 Mar 2024 00:00:00 GMT", 1_709_251_200),
            ("Fri, 31 Dec 2100 12:00:00 GMT", 4_133_937_600),
        ] {
            let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "Sun, 06 Nov 1994 08:49:37",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 06 Nov 99999999999 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sun, 06 Brumaire 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
