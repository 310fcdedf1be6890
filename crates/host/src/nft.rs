//! The packet filter by `nft`: one script, one transaction, in the calling thread's network namespace.

use std::time::Duration;

use serde_json::Value;

use crate::process::{self, Limits, Spec, Status};

/// Errors of the packet filter.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `nft` could not be run.
    #[error("cannot run nft")]
    Run(#[source] process::Error),
    /// `nft` refused; nothing of the script was applied.
    #[error("nft refused ({status}): {message}")]
    Refused {
        /// How it ended.
        status: Status,
        /// What it said.
        message: String,
    },
    /// `nft` did not come to an end.
    #[error("nft did not end within {} s", limit.as_secs())]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// `nft` printed what cannot be read.
    #[error("cannot read what nft printed")]
    Output(#[source] serde_json::Error),
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Run(error) if error.is_not_found() => {
                Some("install nftables (Debian, Ubuntu: `apt install nftables`)".to_owned())
            }
            Self::Run(error) => error.hint(),
            Self::Refused { message, .. } if message.contains("Operation not permitted") => {
                Some("run this as root, or with sudo".to_owned())
            }
            Self::Refused { .. } | Self::TimedOut { .. } | Self::Output(_) => None,
        }
    }
}

const LIMITS: Limits = Limits {
    time: Duration::from_secs(30),
    stdout_bytes: 64 << 20,
    stderr_bytes: 16 << 10,
};

/// Applies `script` as one transaction: all of it, or nothing.
pub fn apply(script: &str) -> Result<(), Error> {
    nft(&["-f", "-"], script.as_bytes()).map(drop)
}

/// The objects of the table `family name`; none if there is no such table.
pub fn list_json(family: &str, table: &str) -> Result<Option<Vec<Value>>, Error> {
    match nft(&["-j", "list", "table", family, table], b"") {
        Ok(text) => parse(&text).map(Some),
        Err(Error::Refused { message, .. }) if message.contains("No such file or directory") => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn parse(text: &[u8]) -> Result<Vec<Value>, Error> {
    let mut value: Value = serde_json::from_slice(text).map_err(Error::Output)?;
    match value.get_mut("nftables").map(Value::take) {
        Some(Value::Array(objects)) => Ok(objects),
        _ => Ok(Vec::new()),
    }
}

fn nft(args: &[&str], stdin: &[u8]) -> Result<Vec<u8>, Error> {
    let spec = Spec::new("nft").args(args).env("LC_ALL", "C");
    let output = process::run(spec, stdin, LIMITS).map_err(Error::Run)?;
    if output.timed_out {
        return Err(Error::TimedOut { limit: LIMITS.time });
    }
    if !output.status.success() {
        return Err(Error::Refused {
            status: output.status,
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netns::Namespace;

    #[test]
    fn applies_whole_scripts_or_nothing_and_lists() {
        let namespace = Namespace::anonymous().expect("namespace");
        namespace
            .run(|| {
                apply("table inet ours { chain c { type filter hook input priority 0; }; }")
                    .expect("apply");
                let objects = list_json("inet", "ours").expect("list").expect("there");
                assert!(objects.iter().any(|object| object["chain"]["name"] == "c"));
                let error =
                    apply("add table inet other\nadd rule inet none c drop").expect_err("refused");
                assert!(matches!(error, Error::Refused { .. }), "{error}");
                assert!(list_json("inet", "other").expect("list").is_none());
            })
            .expect("enter");
    }
}
