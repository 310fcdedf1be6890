//! Rules in the tables of iptables, where another program's chains force it.
//!
//! One `iptables-restore --noflush` for a whole change; reading by `iptables-save`, bounded. Both work
//! in the calling thread's network namespace.

use std::time::Duration;

use crate::process::{self, Limits, Spec, Status};

/// The protocol family of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4: `iptables-restore`, `iptables-save`.
    V4,
    /// IPv6: `ip6tables-restore`, `ip6tables-save`.
    V6,
}

/// Errors of iptables.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program could not be run.
    #[error("cannot run {program}")]
    Run {
        /// Which.
        program: &'static str,
        /// Why.
        source: process::Error,
    },
    /// It refused; a table is changed as a whole or not at all.
    #[error("{program} refused ({status}): {message}")]
    Refused {
        /// Which.
        program: &'static str,
        /// How it ended.
        status: Status,
        /// What it said.
        message: String,
    },
    /// It did not come to an end: another program holds the lock.
    #[error("{program} did not end within {} s", limit.as_secs())]
    TimedOut {
        /// Which.
        program: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The tables are larger than we read.
    #[error("{program} printed more than {max} bytes")]
    TooLarge {
        /// Which.
        program: &'static str,
        /// The bound.
        max: usize,
    },
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Run { source, .. } if source.is_not_found() => {
                Some("install iptables (Debian, Ubuntu: `apt install iptables`)".to_owned())
            }
            Self::Run { source, .. } => source.hint(),
            Self::Refused { message, .. } if message.contains("Permission denied") => {
                Some("run this as root, or with sudo".to_owned())
            }
            Self::TimedOut { .. } => Some(
                "another program may hold the iptables lock: see who has /run/xtables.lock open"
                    .to_owned(),
            ),
            Self::Refused { .. } | Self::TooLarge { .. } => None,
        }
    }
}

const LIMITS: Limits = Limits {
    time: Duration::from_secs(60),
    stdout_bytes: 64 << 20,
    stderr_bytes: 16 << 10,
};

/// Applies `script` (the format of `iptables-save`) without touching what it does not name.
pub fn restore(script: &str, family: Family) -> Result<(), Error> {
    let program = match family {
        Family::V4 => "iptables-restore",
        Family::V6 => "ip6tables-restore",
    };
    // -w: waits for the lock of the legacy backend, within our own time limit.
    let spec = Spec::new(program).args(["--noflush", "-w"]);
    execute(program, spec, script.as_bytes()).map(drop)
}

/// The table as `iptables-save` prints it. A table nobody has used yet comes out empty.
pub fn save(table: &str, family: Family) -> Result<String, Error> {
    let program = match family {
        Family::V4 => "iptables-save",
        Family::V6 => "ip6tables-save",
    };
    let output = execute(program, Spec::new(program).args(["-t", table]), b"")?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}

fn execute(program: &'static str, spec: Spec, stdin: &[u8]) -> Result<Vec<u8>, Error> {
    let output = process::run(spec.env("LC_ALL", "C"), stdin, LIMITS)
        .map_err(|source| Error::Run { program, source })?;
    if output.timed_out {
        return Err(Error::TimedOut {
            program,
            limit: LIMITS.time,
        });
    }
    if !output.status.success() {
        return Err(Error::Refused {
            program,
            status: output.status,
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    if output.stdout.len() >= LIMITS.stdout_bytes && output.truncated {
        return Err(Error::TooLarge {
            program,
            max: LIMITS.stdout_bytes,
        });
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netns::Namespace;

    #[test]
    fn restores_and_saves_in_both_families() {
        let namespace = Namespace::anonymous().expect("namespace");
        for family in [Family::V4, Family::V6] {
            namespace
                .run(|| {
                    restore(
                        "*filter\n:OURS - [0:0]\n-A OURS -j ACCEPT\nCOMMIT\n",
                        family,
                    )
                    .expect("restore");
                    restore("*filter\n-A FORWARD -j OURS\nCOMMIT\n", family).expect("again");
                    let saved = save("filter", family).expect("save");
                    assert!(saved.contains("-A OURS -j ACCEPT"), "{saved}");
                    assert!(saved.contains("-A FORWARD -j OURS"), "{saved}");
                    let error = restore("*filter\n-A NONE -j ACCEPT\nCOMMIT\n", family)
                        .expect_err("no chain");
                    assert!(matches!(error, Error::Refused { .. }), "{error}");
                })
                .expect("enter");
        }
    }
}
