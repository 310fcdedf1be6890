//! Sizes in bytes, as people write them.
//!
//! Units are binary: `KB` is 1024 bytes. Text is exact (`1500MB`), the human form is not
//! (`1.5 GB`).

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

/// A number of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Size(u64);

/// Text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Not a whole number and a unit.
    #[error("{text:?} is not a size")]
    Syntax {
        /// The text given.
        text: String,
    },
    /// `Mb` and the like are bits.
    #[error("{text:?} is a number of bits, not a size")]
    Bits {
        /// The text given.
        text: String,
    },
    /// More than 2^64 - 1 bytes.
    #[error("{text:?} is more than any size here can be")]
    TooLarge {
        /// The text given.
        text: String,
    },
}

impl SizeError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some("write a whole number and a unit, such as 512MB or 2GB (1GB is 1024MB)".into())
    }
}

/// Units from the smallest: power `n` of 1024 is the unit's size in bytes.
const UNITS: [&str; 7] = ["B", "KB", "MB", "GB", "TB", "PB", "EB"];

impl Size {
    /// One mebibyte.
    pub const MIB: Self = Self(1 << 20);
    /// One gibibyte.
    pub const GIB: Self = Self(1 << 30);

    /// A size of so many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// A size of so many mebibytes (as many as fit in 64 bits).
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(1 << 20))
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// For tables: one decimal, in the largest unit of which there is more than one.
    ///
    /// 1 GiB is `1024.0 MB`, 2 GiB is `2.0 GB`, 512 is `512 B`.
    pub fn human(self) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            let power = (1..UNITS.len()).rev().find(|power| self.0 > unit(*power));
            let Some(power) = power else {
                return write!(f, "{} B", self.0);
            };
            // `ps` prints thousands: a number of floating point takes a µs to write.
            let tenths = (u128::from(self.0) * 10 + u128::from(unit(power) / 2)) >> (10 * power);
            write!(f, "{}.{} {}", tenths / 10, tenths % 10, UNITS[power])
        })
    }
}

fn unit(power: usize) -> u64 {
    1 << (10 * power)
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let syntax = || SizeError::Syntax { text: text.into() };
        let trimmed = text.trim();
        let digits = trimmed
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(trimmed.len());
        let (number, name) = trimmed.split_at(digits);
        if number.is_empty() {
            return Err(syntax());
        }
        let name = name.trim_start();
        if is_bits(name) {
            return Err(SizeError::Bits { text: text.into() });
        }
        let power = power_of(name).ok_or_else(syntax)?;
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(unit(power)))
            .map(Self)
            .ok_or_else(|| SizeError::TooLarge { text: text.into() })
    }
}

/// A capital prefix with a small `b` means bits everywhere else.
fn is_bits(name: &str) -> bool {
    name.len() == 2 && name.ends_with('b') && name.starts_with(|c: char| c.is_ascii_uppercase())
}

fn power_of(name: &str) -> Option<usize> {
    let name = name.to_ascii_lowercase();
    if matches!(name.as_str(), "" | "b" | "byte" | "bytes") {
        return Some(0);
    }
    let words = ["kilo", "mega", "giga", "tera", "peta", "exa"];
    let letters = ["k", "m", "g", "t", "p", "e"];
    (0..words.len())
        .find(|&i| {
            let short = name.strip_prefix(letters[i]);
            let long = name.strip_prefix(words[i]);
            matches!(short, Some("" | "b" | "ib")) || matches!(long, Some("" | "byte" | "bytes"))
        })
        .map(|i| i + 1)
}

impl fmt::Display for Size {
    /// Exact, in the largest unit that divides it: `512MB`, `1500MB`, `0B`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let power = match self.0 {
            0 => 0,
            bytes => (bytes.trailing_zeros() / 10) as usize,
        };
        f.pad(&format!("{}{}", self.0 / unit(power), UNITS[power]))
    }
}

serde_as_text!(Size);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(text: &str) -> u64 {
        text.parse::<Size>()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .bytes()
    }

    #[test]
    fn reads_every_unit() {
        for text in [
            "1024",
            "1024b",
            "1024 Byte",
            "1k",
            "1K",
            "1kb",
            "1 KB",
            "1kilo",
            "1KiloBytes",
            "1KiB",
        ] {
            assert_eq!(bytes(text), 1024, "{text}");
        }
        assert_eq!(bytes("512MB"), 512 << 20);
        assert_eq!(bytes("3GB"), 3 << 30);
        assert_eq!(bytes("2tb"), 2 << 40);
        assert_eq!(bytes("1e"), 1 << 60);
    }

    #[test]
    fn says_what_is_wrong() {
        for text in ["", "MB", "-1MB", "1.5GB", "1 G B", "1mbb", "0x10", "١MB"] {
            assert!(
                matches!(text.parse::<Size>(), Err(SizeError::Syntax { .. })),
                "{text}"
            );
        }
        assert!(matches!("8Mb".parse::<Size>(), Err(SizeError::Bits { .. })));
        for text in ["16EB", "18446744073709551616"] {
            assert!(
                matches!(text.parse::<Size>(), Err(SizeError::TooLarge { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn exact_text() {
        let cases = [
            (0, "0B"),
            (1, "1B"),
            (1024, "1KB"),
            (512 << 20, "512MB"),
            (1500 << 20, "1500MB"),
            (4 << 30, "4GB"),
            (u64::MAX, "18446744073709551615B"),
        ];
        for (bytes, text) in cases {
            assert_eq!(Size::from_bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn human_text_takes_the_next_unit_above_one() {
        let cases = [
            (0, "0 B"),
            (1024, "1024 B"),
            (1025, "1.0 KB"),
            (512 << 20, "512.0 MB"),
            (1 << 30, "1024.0 MB"),
            (2 << 30, "2.0 GB"),
            (3 << 29, "1.5 GB"),
            ((1 << 30) - 1, "1024.0 MB"),
            (u64::MAX, "16.0 EB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(Size::from_bytes(bytes).human().to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn round_trip(bytes: u64, shift in 0u32..64) {
            let size = Size::from_bytes(bytes >> shift << (shift / 2));
            prop_assert_eq!(size.to_string().parse::<Size>(), Ok(size));
        }

        #[test]
        fn never_panics(text in ".{0,24}") {
            let _ = text.parse::<Size>();
        }
    }
}
