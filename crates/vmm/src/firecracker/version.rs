//! Firecracker's version, and what depends on it.

use std::fmt;
use std::str::FromStr;

/// A version of Firecracker's; what follows a dash is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

impl Version {
    /// The oldest that is supported: it lists its devices in ACPI tables, as ordinary kernels want.
    pub const OLDEST: Self = Self::new(1, 8, 0);

    /// The first that tells a guest's driver the MTU.
    const MTU: Self = Self::new(1, 16, 0);

    /// The first whose balloon takes what the guest frees besides.
    const REPORTING: Self = Self::new(1, 14, 0);

    /// Of three numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Whether a guest can give back, beside what its balloon takes, what it frees.
    pub fn reports_free_pages(self) -> bool {
        self >= Self::REPORTING
    }

    /// Whether it tells a guest's driver the MTU.
    pub fn tells_mtu(self) -> bool {
        self >= Self::MTU
    }
}

impl FromStr for Version {
    type Err = ();

    /// Reads `1.8.0`, `v1.8.0`, `1.17.0-dev`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text
            .split_once(['-', '+'])
            .map_or(text, |(numbers, _)| numbers);
        let numbers: Vec<u32> = text
            .split('.')
            .map(|number| number.parse().map_err(|_| ()))
            .collect::<Result<_, _>>()?;
        match numbers[..] {
            [major, minor, patch] => Ok(Self::new(major, minor, patch)),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_not_text() {
        let version = |text: &str| text.parse::<Version>().expect(text);
        assert!(version("1.10.1") > Version::OLDEST);
        assert!(version("1.7.0") < Version::OLDEST);
        assert!(version("v1.17.0-dev").tells_mtu() && !version("1.9.9").tells_mtu());
        assert!(version("1.14.0").reports_free_pages() && !version("1.13.2").reports_free_pages());
        for bad in ["", "1", "1.8", "one.two.three", "1.x.3"] {
            assert_eq!(bad.parse::<Version>(), Err(()), "{bad}");
        }
    }
}
