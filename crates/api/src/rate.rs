//! How fast a network interface or a disk may be, as people write it.
//!
//! ```text
//! limit    = "none" / "0" / rate
//! rate     = speed [ ":" burst ]          burst: a size
//! speed    = 10Mbit, 1Gbit, 10M           an interface's: bits a second, powers of 1000
//!          / 50MB, 50MB/s                 a disk's: bytes a second, a size
//! ```
//!
//! A burst is what goes at once after a pause, before the speed holds.

use std::fmt;
use std::str::FromStr;

use crate::Size;
use crate::text::serde_as_text;

/// A speed in bits a second, and a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitRate {
    bits: u64,
    burst: Option<Size>,
}

/// A speed in bytes a second, and a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRate {
    bytes: Size,
    burst: Option<Size>,
}

/// A rate, or that there is none, said in so many words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit<R> {
    /// As fast as it goes.
    Unlimited,
    /// No faster than this.
    At(R),
}

/// Text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Not a whole number with a unit of bits.
    #[error("{text:?} is not a speed in bits a second")]
    Bits {
        /// The text given.
        text: String,
    },
    /// `mbps` and the like are bits to some, and bytes to `tc`.
    #[error("{text:?} may be bits or bytes")]
    Ambiguous {
        /// The text given.
        text: String,
    },
    /// Not a size.
    #[error("{text:?} is not a speed in bytes a second")]
    Bytes {
        /// The text given.
        text: String,
        /// Why.
        source: crate::SizeError,
    },
    /// The burst is not a size.
    #[error("the burst {text:?} is not a size")]
    Burst {
        /// The text given.
        text: String,
        /// Why.
        source: crate::SizeError,
    },
    /// Too little, or too much.
    #[error("the {what} {given} is not between {least} and {most}")]
    Bounds {
        /// `speed` or `burst`.
        what: &'static str,
        /// What was given.
        given: String,
        /// The least there may be.
        least: String,
        /// The most.
        most: String,
    },
}

impl RateError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        const OF_BITS: &str =
            "write bits a second, such as 10Mbit, 1Gbit or 10M, or none for no limit";
        Some(match self {
            Self::Bits { .. } => OF_BITS.into(),
            Self::Ambiguous { .. } => format!("{OF_BITS}; a byte a second is eight of them"),
            Self::Bytes { .. } => {
                "write bytes a second, such as 50MB or 1GB, or none for no limit".into()
            }
            Self::Burst { .. } => "write a size after the colon, such as 10Mbit:256KB".into(),
            Self::Bounds { what: "burst", .. } => "leave it out for one that fits".into(),
            Self::Bounds { .. } => "write none for no limit".into(),
        })
    }
}

/// Units of speed from the smallest: power `n` of 1000.
const BITS: [&str; 5] = ["bit", "Kbit", "Mbit", "Gbit", "Tbit"];

impl BitRate {
    /// Below it nothing that is a network works.
    const LEAST: u64 = 8_000;
    const MOST: u64 = 1_000_000_000_000;
    /// Some frame.
    const LEAST_BURST: Size = Size::from_bytes(2 << 10);
    const MOST_BURST: Size = Size::GIB;
    /// Two frames of 64 KiB, as guests with offloads send them: these pass uncut.
    const USUAL_BURST: u64 = 128 << 10;

    /// Bytes a second.
    pub fn bytes_per_second(self) -> u64 {
        self.bits / 8
    }

    /// Bytes at once: what was asked for, or a hundredth of a second, at least two of the largest
    /// frames.
    pub fn burst(self) -> u64 {
        let usual = || (self.bytes_per_second() / 100).max(Self::USUAL_BURST);
        self.burst.map_or_else(usual, Size::bytes)
    }
}

impl ByteRate {
    /// Below it a guest waits longer for its disk than it has patience.
    const LEAST: Size = Size::from_bytes(64 << 10);
    const MOST: Size = Size::from_bytes(1 << 40);

    /// Bytes a second.
    pub fn bytes_per_second(self) -> u64 {
        self.bytes.bytes()
    }

    /// Bytes at once: what was asked for, or a tenth of a second.
    pub fn burst(self) -> u64 {
        let usual = || self.bytes.bytes() / 10;
        self.burst.map_or_else(usual, Size::bytes)
    }
}

impl FromStr for BitRate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (speed, burst) = parts(text)?;
        let bits = bits(speed)?;
        within("speed", bits, Self::LEAST, Self::MOST, &display_bits)?;
        if let Some(burst) = burst {
            let (least, most) = (Self::LEAST_BURST, Self::MOST_BURST);
            within("burst", burst, least, most, &|size: &Size| size.to_string())?;
        }
        Ok(Self { bits, burst })
    }
}

impl FromStr for ByteRate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (speed, burst) = parts(text)?;
        let size = speed.strip_suffix("/s").unwrap_or(speed);
        let bytes = size.parse().map_err(|source| RateError::Bytes {
            text: speed.into(),
            source,
        })?;
        let show = |size: &Size| size.to_string();
        within("speed", bytes, Self::LEAST, Self::MOST, &show)?;
        if let Some(burst) = burst {
            // Less than a second's worth is nothing a VMM can be told.
            within("burst", burst, bytes, Self::MOST, &show)?;
        }
        Ok(Self { bytes, burst })
    }
}

impl<R: FromStr<Err = RateError>> FromStr for Limit<R> {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        match text.trim() {
            "0" | "none" => Ok(Self::Unlimited),
            rate => rate.parse().map(Self::At),
        }
    }
}

/// The speed's text, and the burst.
fn parts(text: &str) -> Result<(&str, Option<Size>), RateError> {
    let Some((speed, burst)) = text.split_once(':') else {
        return Ok((text.trim(), None));
    };
    let size = burst.parse().map_err(|source| RateError::Burst {
        text: burst.into(),
        source,
    })?;
    Ok((speed.trim(), Some(size)))
}

fn bits(text: &str) -> Result<u64, RateError> {
    let wrong = || RateError::Bits { text: text.into() };
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let unit = unit.trim_start().to_ascii_lowercase();
    if unit.ends_with("bps") || unit.ends_with("b/s") {
        return Err(RateError::Ambiguous { text: text.into() });
    }
    let letter = unit.strip_suffix("bit").unwrap_or(&unit);
    let power = ["", "k", "m", "g", "t"].iter().position(|it| *it == letter);
    let power = u32::try_from(power.ok_or_else(wrong)?).expect("five of them");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1000_u64.pow(power)).ok_or_else(wrong)
}

fn within<T: PartialOrd>(
    what: &'static str,
    given: T,
    least: T,
    most: T,
    show: &dyn Fn(&T) -> String,
) -> Result<(), RateError> {
    if given >= least && given <= most {
        return Ok(());
    }
    Err(RateError::Bounds {
        what,
        given: show(&given),
        least: show(&least),
        most: show(&most),
    })
}

fn display_bits(bits: &u64) -> String {
    let divides = |power: &usize| bits.is_multiple_of(1000_u64.pow(*power as u32));
    let power = (0..BITS.len()).rev().find(divides).unwrap_or_default();
    format!("{}{}", bits / 1000_u64.pow(power as u32), BITS[power])
}

fn with_burst(speed: &str, burst: Option<Size>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match burst {
        None => f.write_str(speed),
        Some(burst) => write!(f, "{speed}:{burst}"),
    }
}

impl fmt::Display for BitRate {
    /// Exact, in the largest unit that divides it: `10Mbit`, `1500Kbit:64KB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        with_burst(&display_bits(&self.bits), self.burst, f)
    }
}

impl fmt::Display for ByteRate {
    /// Exact: `50MB`, `50MB:100MB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        with_burst(&self.bytes.to_string(), self.burst, f)
    }
}

impl<R: fmt::Display> fmt::Display for Limit<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("none"),
            Self::At(rate) => rate.fmt(f),
        }
    }
}

impl<R> Limit<R> {
    /// The rate, if there is one.
    pub fn rate(self) -> Option<R> {
        match self {
            Self::Unlimited => None,
            Self::At(rate) => Some(rate),
        }
    }
}

serde_as_text!(Limit<BitRate>);
serde_as_text!(Limit<ByteRate>);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(text: &str) -> u64 {
        text.parse::<BitRate>()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .bits
    }

    fn fault<T: FromStr<Err = RateError> + fmt::Debug>(text: &str) -> String {
        let error = text.parse::<T>().expect_err(text);
        format!("{error}; {}", error.hint().expect("a hint"))
    }

    #[test]
    fn bits_have_the_units_of_tc_and_plain_letters() {
        for text in [
            "10Mbit",
            "10mbit",
            "10M",
            "10 Mbit",
            "10000Kbit",
            "10000000",
        ] {
            assert_eq!(bits(text), 10_000_000, "{text}");
        }
        assert_eq!(bits("1Gbit"), 1_000_000_000);
        assert_eq!(bits("8kbit"), 8_000);
    }

    #[test]
    fn bursts_are_asked_for_or_fit() {
        let burst = |text: &str| text.parse::<BitRate>().expect("a rate").burst();
        assert_eq!(burst("8Mbit"), 128 << 10);
        assert_eq!(burst("10Gbit"), 12_500_000);
        assert_eq!(burst("8Mbit:64KB"), 64 << 10);
        let burst = |text: &str| text.parse::<ByteRate>().expect("a rate").burst();
        assert_eq!(burst("50MB/s"), 5 << 20);
        assert_eq!(burst("50MB:1GB"), 1 << 30);
    }

    #[test]
    fn none_is_said_in_two_ways() {
        for text in ["0", "none"] {
            assert_eq!(text.parse(), Ok(Limit::<BitRate>::Unlimited), "{text}");
        }
        let limit: Limit<ByteRate> = "50MB".parse().expect("a limit");
        assert_eq!(limit.rate().expect("a rate").bytes_per_second(), 50 << 20);
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_right() {
        let faults = [
            fault::<BitRate>("fast"),
            fault::<BitRate>("10MB"),
            fault::<BitRate>("10mbps"),
            fault::<BitRate>("10Mb/s"),
            fault::<BitRate>("7999"),
            fault::<BitRate>("99999999999999999999Tbit"),
            fault::<BitRate>("10Mbit:1"),
            fault::<BitRate>("10Mbit:x"),
            fault::<ByteRate>("50Mbit"),
            fault::<ByteRate>("1KB"),
            fault::<ByteRate>("50MB:1MB"),
        ];
        insta::assert_snapshot!(faults.join("\n"));
    }

    proptest! {
        #[test]
        fn bit_rates_round_trip(bits in BitRate::LEAST..=BitRate::MOST, zeros in 0u32..9, burst in prop::option::of(2048_u64..=1 << 30)) {
            let bits = (bits / 10_u64.pow(zeros) * 10_u64.pow(zeros)).max(BitRate::LEAST);
            let rate = BitRate { bits, burst: burst.map(Size::from_bytes) };
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }

        #[test]
        fn byte_rates_round_trip(bytes in 65_536_u64..=1 << 40, more in prop::option::of(0_u64..=1 << 39)) {
            let burst = more.map(|more| Size::from_bytes((bytes + more).min(1 << 40)));
            let rate = ByteRate { bytes: Size::from_bytes(bytes), burst };
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }

        #[test]
        fn no_text_is_a_surprise(text in "[0-9a-zA-Z:/. ]{0,16}") {
            if let Ok(limit) = text.parse::<Limit<BitRate>>() {
                prop_assert_eq!(limit.to_string().parse(), Ok(limit));
            }
            if let Ok(limit) = text.parse::<Limit<ByteRate>>() {
                prop_assert_eq!(limit.to_string().parse(), Ok(limit));
            }
        }
    }
}
