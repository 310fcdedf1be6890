//! One variable of a process's environment.

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

/// `NAME=value`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnvVar {
    name: String,
    value: String,
}

/// Text that is no environment variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// There is no `=`.
    #[error("the environment variable {text:?} has no value")]
    NoValue {
        /// The text given.
        text: String,
    },
    /// There is nothing before the `=`.
    #[error("the environment variable {text:?} has no name")]
    NoName {
        /// The text given.
        text: String,
    },
    /// No process can be given a NUL byte.
    #[error("the environment variable {text:?} holds a NUL byte")]
    Nul {
        /// The text given.
        text: String,
    },
}

impl EnvError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some("write it as NAME=value; the value may be empty".into())
    }
}

impl EnvVar {
    /// The name, never empty, without `=`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value, possibly empty.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl FromStr for EnvVar {
    type Err = EnvError;

    fn from_str(text: &str) -> Result<Self, EnvError> {
        let owned = || text.to_owned();
        if text.contains('\0') {
            return Err(EnvError::Nul { text: owned() });
        }
        match text.split_once('=') {
            None => Err(EnvError::NoValue { text: owned() }),
            Some(("", _)) => Err(EnvError::NoName { text: owned() }),
            Some((name, value)) => Ok(Self {
                name: name.into(),
                value: value.into(),
            }),
        }
    }
}

impl fmt::Display for EnvVar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

serde_as_text!(EnvVar);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_first_equals_sign() {
        let variable: EnvVar = "OPTS=a=b,c".parse().expect("valid");
        assert_eq!((variable.name(), variable.value()), ("OPTS", "a=b,c"));
        assert_eq!("EMPTY=".parse::<EnvVar>().expect("valid").value(), "");
        for text in ["", "=", "=x", "NAME", "A=\0"] {
            assert!(text.parse::<EnvVar>().is_err(), "{text:?}");
        }
    }
}
