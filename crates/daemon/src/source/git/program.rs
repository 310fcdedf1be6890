//! One call of git: bounded in time and output, in an environment of its own, ended with the daemon.

use std::ffi::OsString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ignite_host::process::{Limits, Spec, run_until};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::config::{Access, CREDENTIALS_FD};
use super::options::Options;
use super::place::Place;
use super::secret::Credentials;
use super::{Error, ssh, status_file};

/// Most characters of what git said that are passed on.
const MAX_WORDS: usize = 600;

/// git, as this source runs it.
pub(super) struct Program {
    place: Place,
    timeout: Duration,
    ssh_command: String,
    gpg_home: PathBuf,
    credentials: Option<Credentials>,
    stop: OwnedFd,
}

/// What one call is to do.
pub(super) struct Call<'a> {
    /// What it is for, to be read after "cannot".
    pub action: &'static str,
    args: Vec<OsString>,
    stdin: &'a [u8],
    most: usize,
    access: Access,
    remote: bool,
    index: Option<PathBuf>,
}

impl<'a> Call<'a> {
    /// A call with these arguments, that reads nothing and talks to nobody.
    pub(super) fn new<W: Into<OsString>>(
        action: &'static str,
        args: impl IntoIterator<Item = W>,
    ) -> Self {
        Self {
            action,
            args: args.into_iter().map(Into::into).collect(),
            stdin: b"",
            most: 1 << 20,
            access: Access::Read,
            remote: false,
            index: None,
        }
    }

    /// What it reads.
    pub(super) fn stdin(self, stdin: &'a [u8]) -> Self {
        Self { stdin, ..self }
    }

    /// Most bytes it may answer; more is an error.
    pub(super) fn most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// It talks to the remote, so it gets the credentials.
    pub(super) fn remote(self, access: Access) -> Self {
        Self {
            remote: true,
            access,
            ..self
        }
    }

    /// The index it works with.
    pub(super) fn index(self, index: PathBuf) -> Self {
        Self {
            index: Some(index),
            ..self
        }
    }
}

impl Program {
    /// git for this source. Every call is killed when `stop` becomes readable or its other end closes.
    pub(super) fn new(options: &Options, place: Place, stop: OwnedFd) -> Self {
        let signers = options.signers.clone().unwrap_or_default();
        Self {
            timeout: options.timeout,
            ssh_command: ssh::command(&options.ssh, options.timeout),
            gpg_home: signers
                .gpg_home
                .unwrap_or_else(|| place.home().join("gnupg")),
            credentials: options.credentials.clone(),
            place,
            stop,
        }
    }

    /// The directory it works in.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether the daemon ends.
    pub(super) fn is_stopped(&self) -> bool {
        let mut fds = [PollFd::new(&self.stop, PollFlags::IN)];
        // Interrupted, it is asked again before the next call.
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Runs git in `repository`; what it answered.
    pub(super) fn run(&self, repository: &Path, call: Call<'_>) -> Result<Vec<u8>, Error> {
        let action = call.action;
        let limits = Limits {
            time: self.timeout,
            stdout_bytes: call.most,
            ..Limits::default()
        };
        let spec = self.spec(repository, &call)?;
        let output = run_until(spec, call.stdin, limits, self.stop.as_fd())
            .map_err(|source| Error::Program { action, source })?;
        if self.is_stopped() {
            return Err(Error::Stopped);
        }
        // However it ended: there was more of it than there may be.
        if output.truncated && output.stdout.len() >= call.most {
            return Err(Error::Answer { action });
        }
        if output.timed_out {
            let limit = self.timeout;
            return Err(Error::Timeout { action, limit });
        }
        if !output.status.success() {
            let said = words(&output.stderr);
            return Err(Error::Git {
                action,
                said: if said.is_empty() {
                    format!("git ended with {}", output.status)
                } else {
                    said
                },
            });
        }
        Ok(output.stdout)
    }

    fn spec(&self, repository: &Path, call: &Call<'_>) -> Result<Spec, Error> {
        let name = format!("ignited on {}", status_file::host_name());
        let mut spec = Spec::new("git")
            .arg("--git-dir")
            .arg(repository)
            .args(call.args.iter().cloned())
            .env_clear()
            .env_keep(&[
                "PATH",
                "https_proxy",
                "HTTPS_PROXY",
                "no_proxy",
                "NO_PROXY",
                "ALL_PROXY",
                "all_proxy",
            ])
            .env("HOME", self.place.home())
            .env("GNUPGHOME", &self.gpg_home)
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.place.config(call.access))
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_SSH_COMMAND", &self.ssh_command)
            .env("GIT_SSH_VARIANT", "ssh")
            .env("GIT_AUTHOR_NAME", &name)
            .env("GIT_COMMITTER_NAME", &name)
            .env("GIT_AUTHOR_EMAIL", "ignited@localhost")
            .env("GIT_COMMITTER_EMAIL", "ignited@localhost")
            .cwd(self.place.home())
            .parent_death_signal(Signal::KILL.as_raw());
        if let Some(index) = &call.index {
            spec = spec.env("GIT_INDEX_FILE", index);
        }
        if let Some(credentials) = self.credentials.as_ref().filter(|_| call.remote) {
            spec = spec.pass_fd(credentials.descriptor()?, CREDENTIALS_FD);
        }
        Ok(spec)
    }
}

/// What a program said, in one line without control characters, its progress and advice left out.
pub(super) fn words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines = text.lines().map(str::trim).filter(|line| {
        !line.is_empty() && !line.starts_with("hint:") && !line.starts_with("warning: redirecting")
    });
    let text = lines.collect::<Vec<_>>().join("; ");
    let text = text.replace("fatal: ", "").replace("error: ", "");
    text.chars()
        .filter(|c| !c.is_control())
        .take(MAX_WORDS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_becomes_one_bounded_line() {
        let said = words(b"fatal: no\x1b[2J such\r\nhint: do this\n\n  remote\n");
        assert_eq!(said, "no[2J such; remote");
        assert_eq!(words(&[b'x'; 9000]).len(), MAX_WORDS);
    }
}
