//! Versions of the engine's API, and which one is spoken.

use std::fmt;
use std::str::FromStr;

/// A version of the API, such as 1.41.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    /// Before the dot.
    pub major: u16,
    /// Behind it.
    pub minor: u16,
}

/// Text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a version of the Docker API")]
pub struct VersionError {
    /// The text, or its beginning.
    pub text: String,
}

impl ApiVersion {
    /// The newest we speak.
    pub const OURS: Self = Self::new(1, 44);
    /// The oldest we speak, of the Docker Engine 1.13: before it, a greeting told no version.
    pub const LEAST: Self = Self::new(1, 25);
    /// Since then a MAC address belongs to the endpoint, not to the container.
    pub(crate) const MAC_OF_ENDPOINT: Self = Self::new(1, 44);

    /// The version `major.minor`.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// The version to speak with an engine whose newest is `theirs`; none if it is too old.
    pub fn negotiate(theirs: Self) -> Option<Self> {
        (theirs >= Self::LEAST).then(|| theirs.min(Self::OURS))
    }
}

impl FromStr for ApiVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| plain)
        };
        text.split_once('.')
            .and_then(|(major, minor)| Some(Self::new(number(major)?, number(minor)?)))
            .ok_or_else(|| VersionError {
                text: text.chars().take(40).collect(),
            })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> ApiVersion {
        text.parse().expect("a version")
    }

    #[test]
    fn the_older_of_both_is_spoken_if_it_is_not_too_old() {
        let spoken = |theirs| ApiVersion::negotiate(version(theirs)).map(|it| it.to_string());
        assert_eq!(spoken("1.41").as_deref(), Some("1.41"));
        assert_eq!(spoken("1.52").as_deref(), Some("1.44"));
        assert_eq!(spoken("2.0").as_deref(), Some("1.44"));
        assert_eq!(spoken("1.25").as_deref(), Some("1.25"));
        assert_eq!(spoken("1.24"), None);
        assert_eq!(spoken("0.99"), None);
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        assert!(version("1.9") < version("1.10"));
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in [
            "",
            "1",
            "1.",
            ".1",
            "1.2.3",
            "+1.4",
            "1.-4",
            "a.b",
            "99999999999.1",
            "1.99999",
        ] {
            assert!(text.parse::<ApiVersion>().is_err(), "{text}");
        }
    }
}
