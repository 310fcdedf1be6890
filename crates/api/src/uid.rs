//! Identity of objects: the uid, and the prefix of everything made on the host for a VM.

use std::fmt;
use std::str::FromStr;

use crate::text::{random, serde_as_text};

/// Identity of an object for its whole life: 16 characters of `[a-z0-9]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid([u8; Uid::LENGTH]);

/// Text that is no uid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a uid")]
pub struct UidError {
    text: String,
}

impl UidError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some("a uid has 16 characters, lower-case letters and digits".into())
    }
}

impl Uid {
    /// Characters of a uid.
    pub const LENGTH: usize = 16;

    /// A new one: 8 random bytes in hexadecimal.
    pub fn random() -> Self {
        let mut text = [0; Self::LENGTH];
        hex::encode_to_slice(random::<8>(), &mut text).expect("8 bytes are 16 digits");
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII was let in")
    }
}

impl FromStr for Uid {
    type Err = UidError;

    fn from_str(text: &str) -> Result<Self, UidError> {
        let valid = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        match <[u8; Self::LENGTH]>::try_from(text.as_bytes()) {
            Ok(bytes) if bytes.iter().all(valid) => Ok(Self(bytes)),
            _ => Err(UidError { text: text.into() }),
        }
    }
}

impl AsRef<str> for Uid {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<std::path::Path> for Uid {
    fn as_ref(&self) -> &std::path::Path {
        self.as_str().as_ref()
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uid({})", self.as_str())
    }
}

serde_as_text!(Uid);

/// First part of a VM's container id: `<prefix>-<uid>`, also the name of its namespace.
///
/// Short enough, and of such characters, that the whole passes as a CNI container id and as a
/// file name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdPrefix(String);

/// Text that cannot begin a container id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id prefix")]
pub struct IdPrefixError {
    text: String,
}

impl IdPrefixError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(format!(
            "use up to {} letters, digits, '-', '_' and '.', and begin with a letter or a digit",
            IdPrefix::MAX
        ))
    }
}

impl IdPrefix {
    /// Most characters a prefix may have.
    pub const MAX: usize = 32;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `<prefix>-<uid>`.
    pub fn container_id(&self, uid: Uid) -> String {
        format!("{}-{uid}", self.0)
    }
}

impl Default for IdPrefix {
    fn default() -> Self {
        Self("ignite".into())
    }
}

impl FromStr for IdPrefix {
    type Err = IdPrefixError;

    fn from_str(text: &str) -> Result<Self, IdPrefixError> {
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if begins && text.len() <= Self::MAX && text.chars().all(valid) {
            Ok(Self(text.into()))
        } else {
            Err(IdPrefixError { text: text.into() })
        }
    }
}

impl fmt::Display for IdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

serde_as_text!(IdPrefix);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_sixteen_lower_case_characters() {
        assert_eq!(
            "0123456789abcdez".parse::<Uid>().expect("valid").as_str(),
            "0123456789abcdez"
        );
        for text in [
            "",
            "0123456789abcde",
            "0123456789abcdef0",
            "0123456789ABCDEF",
            "0123456789abcd/.",
            "0123456789abcdé",
        ] {
            assert!(text.parse::<Uid>().is_err(), "{text}");
        }
        let uid = Uid::random();
        assert_eq!(uid.to_string().parse::<Uid>(), Ok(uid));
        assert_ne!(uid, Uid::random());
    }

    #[test]
    fn prefixes_stay_file_names() {
        let uid: Uid = "0123456789abcdef".parse().expect("valid");
        assert_eq!(
            IdPrefix::default().container_id(uid),
            "ignite-0123456789abcdef"
        );
        for text in ["", ".", "../x", "-a", "a/b", "a b", &"x".repeat(33)] {
            assert!(text.parse::<IdPrefix>().is_err(), "{text}");
        }
    }
}
