//! One label of an object.

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

/// `key=value`; the value may be empty and hold commas and `=`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    key: String,
    value: String,
}

/// Text that is no label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// There is no `=`.
    #[error("the label {text:?} has no value")]
    NoValue {
        /// The text given.
        text: String,
    },
    /// There is nothing before the `=`.
    #[error("the label {text:?} has no key")]
    NoKey {
        /// The text given.
        text: String,
    },
}

impl LabelError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some("write it as key=value; the value may be empty".into())
    }
}

impl Label {
    /// The key, never empty, without `=`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value, possibly empty.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        match text.split_once('=') {
            None => Err(LabelError::NoValue { text: text.into() }),
            Some(("", _)) => Err(LabelError::NoKey { text: text.into() }),
            Some((key, value)) => Ok(Self {
                key: key.into(),
                value: value.into(),
            }),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

serde_as_text!(Label);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_be_empty_or_hold_anything() {
        let label: Label = "a=b,c=d".parse().expect("valid");
        assert_eq!((label.key(), label.value()), ("a", "b,c=d"));
        assert_eq!("a=".parse::<Label>().expect("valid").value(), "");
    }

    #[test]
    fn keys_may_not_be_missing() {
        assert!(matches!(
            "a".parse::<Label>(),
            Err(LabelError::NoValue { .. })
        ));
        assert!(matches!(
            "=".parse::<Label>(),
            Err(LabelError::NoKey { .. })
        ));
        assert!("".parse::<Label>().is_err());
    }
}
