//! Errors: those plugins report, and those of the runtime.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::attachment::{AttachmentId, Invalid};
use crate::cache::CacheError;
use crate::config::ConfigError;
use crate::exec::ExecError;
use crate::json::{Object, excerpt, member};
use crate::result::ResultError;
use crate::stdin::StdinError;
use crate::version::{InvalidVersion, ReplyError};

/// How much of a foreign text is quoted in a message, in bytes.
pub const QUOTE: usize = 300;

/// The error object of the CNI specification, as a plugin prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginError {
    /// Its code; see [`code`].
    pub code: u32,
    /// What happened.
    pub msg: String,
    /// More about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
}

/// Error codes of the specification.
pub mod code {
    /// Nothing is known.
    pub const UNKNOWN: u32 = 0;
    /// The plugin does not speak the configuration's version.
    pub const INCOMPATIBLE_VERSION: u32 = 1;
    /// A field of the configuration is not supported.
    pub const UNSUPPORTED_FIELD: u32 = 2;
    /// The container is unknown: there is nothing to clean up.
    pub const UNKNOWN_CONTAINER: u32 = 3;
    /// An environment variable is missing or invalid.
    pub const INVALID_ENVIRONMENT: u32 = 4;
    /// Input or output failed.
    pub const IO: u32 = 5;
    /// Something could not be decoded.
    pub const DECODING: u32 = 6;
    /// The network configuration is invalid.
    pub const INVALID_CONFIG: u32 = 7;
    /// The network namespace is invalid.
    pub const INVALID_NETNS: u32 = 8;
    /// It may work later.
    pub const TRY_AGAIN: u32 = 11;
    /// STATUS: no ADD can be served.
    pub const NOT_AVAILABLE: u32 = 50;
    /// STATUS: besides, existing containers may have limited connectivity.
    pub const LIMITED: u32 = 51;
}

impl PluginError {
    /// Reads what a failed plugin printed. Where it printed no error object, what
    /// it did print is quoted; `ended` says how it ended, should it have said nothing.
    pub fn from_output(stdout: &[u8], stderr: &[u8], ended: &str) -> Self {
        let unknown = |msg: String| Self {
            code: code::UNKNOWN,
            msg,
            details: String::new(),
        };
        let is_blank = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_whitespace);
        if is_blank(stdout) {
            return unknown(match is_blank(stderr) {
                true => format!("it said nothing and ended with {ended}"),
                false => excerpt(stderr, QUOTE),
            });
        }
        match serde_json::from_slice(stdout) {
            Ok(Value::Object(object)) => Self::from_object(&object, stderr, ended),
            _ => unknown(format!(
                "it ended with {ended} and printed no error object but {:?}{}",
                excerpt(stdout, QUOTE),
                match is_blank(stderr) {
                    true => String::new(),
                    false => format!("; on stderr: {}", excerpt(stderr, QUOTE)),
                }
            )),
        }
    }

    fn from_object(object: &Object, stderr: &[u8], ended: &str) -> Self {
        let text = |key| match member(object, key) {
            Some(Value::String(text)) => excerpt(text.as_bytes(), 4 * QUOTE),
            _ => String::new(),
        };
        let code = member(object, "code").and_then(Value::as_u64);
        let mut msg = text("msg");
        if msg.is_empty() {
            msg = match excerpt(stderr, QUOTE) {
                said if said.is_empty() => format!("it ended with {ended} and gave no reason"),
                said => said,
            };
        }
        let code = code
            .and_then(|code| u32::try_from(code).ok())
            .unwrap_or(code::UNKNOWN);
        Self {
            code,
            msg,
            details: text("details"),
        }
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.msg)?;
        if !self.details.is_empty() {
            write!(f, "; {}", self.details)?;
        }
        if self.code != code::UNKNOWN {
            write!(f, " (code {})", self.code)?;
        }
        Ok(())
    }
}

impl StdError for PluginError {}

/// A command of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Attach.
    Add,
    /// Look whether an attachment is as it was made.
    Check,
    /// Detach.
    Del,
    /// Remove what belongs to no valid attachment.
    Gc,
    /// Ask whether ADD can be served.
    Status,
    /// Ask for the supported versions.
    Version,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "ADD",
            Self::Check => "CHECK",
            Self::Del => "DEL",
            Self::Gc => "GC",
            Self::Status => "STATUS",
            Self::Version => "VERSION",
        })
    }
}

/// Errors of the runtime.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name the specification does not allow; nothing was run.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A plugin could not be run, or failed.
    #[error("CNI plugin {plugin} of network {network} failed on {command}")]
    Plugin {
        /// The network.
        network: String,
        /// The plugin's type.
        plugin: String,
        /// What was asked of it.
        command: Command,
        /// Why.
        #[source]
        source: Box<ExecError>,
    },
    /// A plugin's answer cannot be understood or believed.
    #[error("CNI plugin {plugin} of network {network} gave a result that cannot be used")]
    Result {
        /// The network.
        network: String,
        /// The plugin's type.
        plugin: String,
        /// Why.
        #[source]
        source: Box<ResultError>,
    },
    /// The configuration a plugin would get cannot be built.
    #[error("cannot build the configuration for CNI plugin {plugin} of network {network}")]
    Stdin {
        /// The network.
        network: String,
        /// The plugin's type.
        plugin: String,
        /// Why.
        #[source]
        source: StdinError,
    },
    /// The version of the configuration is none.
    #[error("network {network} has no usable CNI version")]
    Version {
        /// The network.
        network: String,
        /// Why.
        #[source]
        source: InvalidVersion,
    },
    /// The version of the configuration does not have the command.
    #[error(
        "the configuration of network {network} has CNI version {version:?}, which does not support the {command} command"
    )]
    Unsupported {
        /// The network.
        network: String,
        /// Its version.
        version: String,
        /// The command.
        command: Command,
    },
    /// A plugin does not speak the network's version.
    #[error("CNI plugin {plugin} does not support version {version:?} of network {network}; it supports {}", supported.join(", "))]
    PluginVersion {
        /// The network.
        network: String,
        /// The plugin's type.
        plugin: String,
        /// The network's version.
        version: String,
        /// The plugin's versions.
        supported: Vec<String>,
    },
    /// A plugin's answer to VERSION is of no use.
    #[error("CNI plugin {plugin} cannot say which versions it supports")]
    Reply {
        /// The plugin's type.
        plugin: String,
        /// Why.
        #[source]
        source: ReplyError,
    },
    /// ADD twice without DEL.
    #[error("{id} is attached to network {network} already")]
    AlreadyAttached {
        /// The network.
        network: String,
        /// The attachment.
        id: AttachmentId,
    },
    /// Nothing is known of the attachment.
    #[error("nothing is cached for {id} on network {network}")]
    NotAttached {
        /// The network.
        network: String,
        /// The attachment.
        id: AttachmentId,
    },
    /// The cached result is of no use to CHECK.
    #[error("the cached result of {id} on network {network} cannot be used")]
    CachedResult {
        /// The network.
        network: String,
        /// The attachment.
        id: AttachmentId,
        /// Why.
        #[source]
        source: Box<ResultError>,
    },
    /// The cached configuration is of no use.
    #[error("the cached configuration of {id} on network {network} cannot be used")]
    CachedConfig {
        /// The network.
        network: String,
        /// The attachment.
        id: AttachmentId,
        /// Why.
        #[source]
        source: Box<ConfigError>,
    },
    /// The cache cannot be read or written.
    #[error(transparent)]
    Cache(Box<CacheError>),
    /// ADD failed; a full DEL was run, and failed too where it says so.
    #[error("cannot attach {id} to network {network}{}", undo(rollback.as_deref()))]
    Attach {
        /// The network.
        network: String,
        /// The attachment.
        id: AttachmentId,
        /// Why.
        #[source]
        source: Box<Error>,
        /// Why it could not be undone; DEL must be tried again then.
        rollback: Option<Box<Error>>,
    },
    /// Several things failed; what could be done was done.
    #[error("{}", all(.0))]
    Several(Vec<Error>),
}

fn undo(rollback: Option<&Error>) -> String {
    rollback.map_or(String::new(), |error| {
        format!(
            ", and what had been done could not all be undone ({})",
            chain(error)
        )
    })
}

fn all(errors: &[Error]) -> String {
    errors
        .iter()
        .map(|error| chain(error))
        .collect::<Vec<_>>()
        .join("; ")
}

/// An error with all its causes in one line.
pub fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(&format!(": {source}"));
        next = source.source();
    }
    text
}

impl From<CacheError> for Error {
    fn from(error: CacheError) -> Self {
        Self::Cache(Box::new(error))
    }
}

impl Error {
    /// One error for many; none for none.
    pub fn several(mut errors: Vec<Error>) -> Result<(), Error> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Error::Several(errors)),
        }
    }

    /// The code of the specification, where there is one: the plugin's own, or
    /// that of an invalid name. Of several the first.
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::Invalid(invalid) => Some(invalid.code()),
            Self::Plugin { source, .. } => source.code(),
            Self::Attach { source, .. } => source.code(),
            Self::Several(errors) => errors.iter().find_map(Self::code),
            _ => None,
        }
    }

    /// Whether the program of a plugin is not there: what it made is as it was, and can be released
    /// as soon as the program is back.
    pub fn is_missing_program(&self) -> bool {
        match self {
            Self::Plugin { source, .. } => matches!(**source, ExecError::NotFound { .. }),
            Self::Attach { source, .. } => source.is_missing_program(),
            Self::Several(errors) => errors.iter().any(Self::is_missing_program),
            _ => false,
        }
    }

    /// Whether a failed ADD left something behind, so that DEL must be tried again.
    pub fn must_retry_del(&self) -> bool {
        matches!(
            self,
            Self::Attach {
                rollback: Some(_),
                ..
            }
        )
    }

    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Plugin { source, .. } => source.hint(),
            Self::Attach {
                source, rollback, ..
            } => source
                .hint()
                .or_else(|| rollback.as_ref().and_then(|error| error.hint())),
            Self::Several(errors) => errors.iter().find_map(Self::hint),
            Self::Cache(error) => error.hint(),
            Self::AlreadyAttached { .. } => Some("release it with DEL first".to_owned()),
            Self::Unsupported { command, .. } => Some(format!(
                "raise cniVersion in its file; {command} came with a later one"
            )),
            Self::PluginVersion { supported, .. } => {
                let newest = supported.last()?;
                Some(format!(
                    "set cniVersion to {newest}, or install newer CNI plugins"
                ))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stdout: &str, stderr: &str) -> PluginError {
        PluginError::from_output(stdout.as_bytes(), stderr.as_bytes(), "exit code 1")
    }

    #[test]
    fn error_objects_are_read() {
        let error = read(
            r#"{"cniVersion":"1.0.0","code":11,"msg":"busy","details":"d"}"#,
            "noise",
        );
        assert_eq!(error.to_string(), "busy; d (code 11)");
        let plain = read(r#"{"code":0,"msg":"m"}"#, "");
        assert_eq!(plain.to_string(), "m");
    }

    #[test]
    fn other_output_is_quoted_within_bounds() {
        assert_eq!(read("", "it broke\n").msg, "it broke");
        assert_eq!(
            read("", "").msg,
            "it said nothing and ended with exit code 1"
        );
        assert_eq!(
            read("{}", "").msg,
            "it ended with exit code 1 and gave no reason"
        );
        let garbage = read(&"\u{1b}x".repeat(100_000), "");
        assert_eq!(garbage.code, code::UNKNOWN);
        assert!(
            garbage.msg.len() < 1000 && !garbage.msg.contains('\u{1b}'),
            "{}",
            garbage.msg
        );
    }

    #[test]
    fn several_errors_are_all_told() {
        let error = |name: &str| {
            Error::Invalid(Invalid::NetworkName {
                name: name.to_owned(),
            })
        };
        assert!(Error::several(vec![]).is_ok());
        let both = Error::several(vec![error("a/"), error("b/")]).expect_err("two");
        assert!(both.to_string().contains("\"a/\"") && both.to_string().contains("\"b/\""));
        assert_eq!(both.code(), Some(7));
    }
}
