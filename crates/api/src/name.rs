//! Names of VMs.

use std::fmt;
use std::str::FromStr;

use crate::text::{random, serde_as_text};

/// The name of a VM: a DNS-1123 subdomain, so that it can be a host name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

/// Text that is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("a name is empty")]
    Empty,
    /// More than 253 characters, or a part of more than 63.
    #[error("the name {text:?} is too long")]
    TooLong {
        /// The text given.
        text: String,
    },
    /// Has a character no host name has, or has one in the wrong place.
    #[error("{text:?} is not a name")]
    Characters {
        /// The text given.
        text: String,
    },
}

impl NameError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Empty => "leave the name out to get a random one".into(),
            Self::TooLong { .. } => format!(
                "use up to {} characters, {} between dots",
                Name::MAX,
                Name::MAX_LABEL
            ),
            Self::Characters { .. } => {
                "use lower-case letters, digits, '-' and '.', with a letter or a digit at both ends"
                    .into()
            }
        })
    }
}

impl Name {
    /// Most characters of a name.
    pub const MAX: usize = 253;
    /// Most characters between two dots.
    pub const MAX_LABEL: usize = 63;

    /// A random one: `<adjective>-<noun>`.
    pub fn random() -> Self {
        let [a, b, c, d] = random::<4>();
        let pick = |words: &[&'static str], high, low| {
            words[usize::from(u16::from_be_bytes([high, low])) % words.len()]
        };
        Self(format!(
            "{}-{}",
            pick(&ADJECTIVES, a, b),
            pick(&NOUNS, c, d)
        ))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if !text.split('.').all(is_label) {
            return Err(NameError::Characters { text: text.into() });
        }
        if text.len() > Self::MAX || text.split('.').any(|label| label.len() > Self::MAX_LABEL) {
            return Err(NameError::TooLong { text: text.into() });
        }
        Ok(Self(text.into()))
    }
}

fn is_label(label: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = |byte: Option<&u8>| byte.is_some_and(|byte| alphanumeric(*byte));
    let bytes = label.as_bytes();
    ends(bytes.first())
        && ends(bytes.last())
        && bytes
            .iter()
            .all(|byte| alphanumeric(*byte) || *byte == b'-')
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

serde_as_text!(Name);

const ADJECTIVES: [&str; 64] = [
    "able", "agile", "amber", "ample", "azure", "bold", "brave", "breezy", "bright", "brisk",
    "calm", "candid", "clever", "cosmic", "crisp", "curious", "daring", "deft", "eager", "early",
    "easy", "fair", "fancy", "fleet", "fluent", "fond", "frank", "fresh", "gentle", "glad",
    "golden", "grand", "handy", "happy", "hardy", "humble", "jolly", "keen", "kind", "lively",
    "lucid", "lucky", "mellow", "merry", "mighty", "modest", "neat", "nimble", "noble", "patient",
    "placid", "polite", "proud", "quick", "quiet", "rapid", "serene", "sharp", "silent", "smooth",
    "snug", "spry", "steady", "swift",
];

const NOUNS: [&str; 62] = [
    "badger", "beacon", "birch", "brook", "canyon", "cedar", "comet", "coral", "crane", "delta",
    "dune", "eagle", "ember", "falcon", "fern", "finch", "fjord", "forest", "fox", "glacier",
    "grove", "harbor", "hawk", "heron", "island", "ivy", "jasper", "kestrel", "lagoon", "lark",
    "lynx", "maple", "marten", "meadow", "meteor", "moss", "nebula", "oak", "orbit", "osprey",
    "otter", "owl", "pebble", "pine", "plover", "quartz", "raven", "reef", "ridge", "river",
    "robin", "sparrow", "spruce", "summit", "swan", "thistle", "tide", "tulip", "vale", "willow",
    "wren", "zephyr",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dns_subdomains_only() {
        let long = "a".repeat(63);
        for text in [
            "a",
            "web-1",
            "0",
            "a.b-c.d",
            &long,
            &format!("{long}.{long}.{long}.{}", "b".repeat(61)),
        ] {
            assert_eq!(text.parse::<Name>().expect(text).as_str(), text);
        }
        for text in [
            "",
            "-a",
            "a-",
            "a..b",
            ".a",
            "A",
            "a_b",
            "a b",
            "é",
            "a/b",
            &"a".repeat(64),
            &format!("{long}.{long}.{long}.{long}"),
        ] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
    }

    #[test]
    fn random_names_are_names() {
        for adjective in ADJECTIVES {
            for noun in NOUNS {
                format!("{adjective}-{noun}")
                    .parse::<Name>()
                    .expect("a word");
            }
        }
        let some: std::collections::HashSet<_> = (0..64).map(|_| Name::random()).collect();
        assert!(some.len() > 32, "{some:?}");
    }

    proptest! {
        #[test]
        fn round_trip(text in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z0-9]{1,8}){0,3}") {
            prop_assert_eq!(text.parse::<Name>().expect("valid").to_string(), text);
        }
    }
}
