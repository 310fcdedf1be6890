//! What is done about a VM that ended although its manifest wants it to run.

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

/// The value of `spec.restartPolicy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum RestartPolicy {
    /// It is started again, however it ended.
    #[default]
    Always,
    /// It is started again unless it ended in order: powered off, or its command succeeded.
    OnFailure,
    /// It is started once.
    Never,
}

/// Text that names no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no restart policy {text:?}: choose always, on-failure or never")]
pub struct RestartPolicyError {
    text: String,
}

impl RestartPolicy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Always, Self::OnFailure, Self::Never];

    /// As written in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::OnFailure => "on-failure",
            Self::Never => "never",
        }
    }
}

impl FromStr for RestartPolicy {
    type Err = RestartPolicyError;

    fn from_str(text: &str) -> Result<Self, RestartPolicyError> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or_else(|| RestartPolicyError { text: text.into() })
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

serde_as_text!(RestartPolicy);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_is_read_as_it_is_written() {
        for policy in RestartPolicy::ALL {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert!("Always".parse::<RestartPolicy>().is_err());
    }
}
