//! Values of flags: the types of manifests, with their hints in clap's messages.

use std::env::VarError;
use std::time::Duration;

use clap::Arg;
use ignite_api::{
    Address, ByteRate, CopyFile, CopyFileError, DetachKeys, Dns, EnvVar, ExtraHost, HostName,
    Label, Limit, Mac, Name, PortMapping, Size, VmmChoice, VolumeFlag,
};
use ignite_program::{Parser, message};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

pub use ignite_program::value;

/// A flag that is on, off (`=false`) or left to something else.
pub fn on_or_off(flag: Arg) -> Arg {
    flag.value_name("BOOL")
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .hide_possible_values(true)
}

/// What one `--ports` stands for.
#[derive(Debug, Clone)]
pub struct Ports(pub Vec<PortMapping>);

/// Parses one `--ports`: mappings between commas, which may be ranges.
pub fn ports(text: &str) -> Result<Ports, String> {
    PortMapping::parse_all([text])
        .map(Ports)
        .map_err(|error| message(&error))
}

/// Parses a number of processors; what a VM can have is said where its manifest is read.
pub fn cpus(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is no number of processors\nhint: a VM has whole ones, such as 1 or 2")
    })
}

/// What one `--volumes` stands for.
#[derive(Debug, Clone)]
pub struct Volumes(pub Vec<VolumeFlag>);

/// Parses one `--volumes`: volumes between commas.
pub fn volumes(text: &str) -> Result<Volumes, String> {
    let parsed = VolumeFlag::parse_all(text).map(Volumes);
    parsed.map_err(|error| match error.hint() {
        Some(hint) => format!("{error}\nhint: {hint}"),
        None => error.to_string(),
    })
}

/// What one `--copy-files` stands for.
#[derive(Debug, Clone)]
pub struct Copies(pub Vec<CopyFile>);

/// Parses one `--copy-files`: pairs of paths between commas.
pub fn copies(text: &str) -> Result<Copies, String> {
    let pairs: Result<_, _> = text.split(',').map(str::parse).collect();
    pairs.map(Copies).map_err(|error: CopyFileError| {
        let hint = error.hint().unwrap_or_default();
        format!("{error}\nhint: {hint}")
    })
}

/// What one `--env` stands for: none for a variable that we have not either.
#[derive(Debug, Clone)]
pub struct Passed(pub Option<EnvVar>);

/// Parses `NAME=value`, or `NAME` for the value it has in our own environment, if it has one.
pub fn env(text: &str) -> Result<Passed, String> {
    if text.is_empty() || text.contains('=') {
        return value(text).map(|variable| Passed(Some(variable)));
    }
    // A name that cannot be one is none of ours either.
    value::<EnvVar>(&format!("{text}="))?;
    match std::env::var(text) {
        Ok(own) => value(&format!("{text}={own}")).map(|variable| Passed(Some(variable))),
        Err(VarError::NotPresent) => Ok(Passed(None)),
        Err(VarError::NotUnicode(_)) => Err(format!(
            "the value of {text} is no text\nhint: give the VM a file with it: ignite cp FILE VM:PATH"
        )),
    }
}

/// Those that are there.
pub fn passed(all: Vec<Passed>) -> Vec<EnvVar> {
    all.into_iter()
        .filter_map(|Passed(variable)| variable)
        .collect()
}

/// Longer than anybody waits, and short enough to be added to any time there is.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// Parses a duration: seconds, or numbers with units, such as `90s` or `1h30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let seconds = || text.parse().ok().map(Duration::from_secs);
    let with_units = || {
        let duration: SignedDuration = text.parse().ok()?;
        Duration::try_from(duration).ok()
    };
    let duration = seconds().or_else(with_units).ok_or_else(|| {
        format!("{text:?} is not a duration\nhint: write numbers and units, such as 30s or 1h30m")
    })?;
    if duration > LONGEST {
        return Err(format!(
            "{text:?} is longer than a hundred years\nhint: write numbers and units, such as 30s or 1h30m"
        ));
    }
    Ok(duration)
}

/// Parses how long a guest may say nothing: a second to a day.
pub fn patience(text: &str) -> Result<Duration, String> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let patience = duration(text)?;
    if patience < Duration::from_secs(1) || patience > DAY {
        return Err(format!(
            "{text:?} is not between a second and a day\nhint: write numbers and units, such as 30s or 5m"
        ));
    }
    Ok(patience)
}

/// Parser of [`DetachKeys`].
pub const DETACH_KEYS: Parser<DetachKeys> = value;
/// Parses a moment: so long ago, as RFC 3339 writes it, or seconds since the epoch. One without an
/// offset is meant as `--timestamps` shows it: in UTC.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    let seconds = text.parse::<i64>().ok();
    let epoch = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    let ago = || {
        let ago = duration(text).ok().filter(|_| seconds.is_none())?;
        Timestamp::now().checked_sub(ago).ok()
    };
    let in_utc = || {
        let shown: DateTime = text.parse().ok()?;
        Some(shown.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    epoch
        .or_else(ago)
        .or_else(|| text.parse().ok())
        .or_else(in_utc)
        .ok_or_else(|| {
            format!(
                "{text:?} is not a moment\nhint: write how long ago, such as 10m, or 2026-01-31T12:00:00Z"
            )
        })
}

/// Parser of [`Size`].
pub const SIZE: Parser<Size> = value;
/// Parser of a disk's rate.
pub const DISK_RATE: Parser<Limit<ByteRate>> = value;
/// Parser of [`Address`].
pub const ADDRESS: Parser<Address> = value;
/// Parser of [`Mac`].
pub const MAC: Parser<Mac> = value;
/// Parser of [`Name`].
pub const NAME: Parser<Name> = value;
/// Parser of [`Label`].
pub const LABEL: Parser<Label> = value;
/// Parser of [`Dns`].
pub const DNS: Parser<Dns> = value;
/// Parser of [`HostName`].
pub const HOST_NAME: Parser<HostName> = value;
/// Parser of [`ExtraHost`].
pub const EXTRA_HOST: Parser<ExtraHost> = value;
/// Parser of [`VmmChoice`].
pub const VMM: Parser<VmmChoice> = value;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, milliseconds) in [
            ("5", 5000),
            ("30s", 30_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("250ms", 250),
            ("1h30m", 5_400_000),
            ("1m0s", 60_000),
            ("1.5s", 1500),
        ] {
            assert_eq!(
                duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in ["", "s", "-1", "-1s", "3d", "3 apples", "99999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments() {
        let second = |text| moment(text).map(|moment| moment.as_second());
        assert_eq!(second("1700000000"), Ok(1_700_000_000));
        assert_eq!(second("1970-01-01T01:00:00+01:00"), Ok(0));
        let ago = Timestamp::now().as_second() - second("10m").expect("a duration");
        assert!((600..660).contains(&ago), "{ago}");
        assert_eq!(second("1970-01-02"), Ok(86_400));
        assert_eq!(second("1970-01-01T00:00:07"), Ok(7));
        for text in ["", "yesterday", "10x", "2026-02-31", "99999999999999h"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hints_follow_the_fault() {
        let fault = ports("80").expect_err("one port");
        assert_eq!(
            fault,
            "the port mapping \"80\" names only one port\nhint: name the host's port too: 80:80"
        );
        assert_eq!(ports("80:80,81:81").expect("two").0.len(), 2);
    }

    #[test]
    fn a_bare_name_takes_our_own_value() {
        let said = |text| passed(vec![env(text).expect(text)]);
        let path = std::env::var("PATH").expect("tests have one");
        assert_eq!(said("PATH")[0].value(), path);
        assert_eq!(said("A=b")[0].to_string(), "A=b");
        assert_eq!(said("IGNITE_TESTS_HAVE_NONE_OF_THIS_NAME"), []);
        assert!(env("").is_err() && env("=x").is_err());
    }

    #[test]
    fn durations_are_bounded() {
        assert_eq!(patience("90"), Ok(Duration::from_secs(90)));
        assert_eq!(patience("2m"), Ok(Duration::from_secs(120)));
        assert!(patience("0").is_err() && patience("25h").is_err());
        assert!(duration("90000h").is_ok());
        for text in ["18446744073709551615", "1000000h"] {
            let fault = duration(text).expect_err(text);
            assert!(fault.contains("hundred years"), "{fault}");
        }
    }
}
