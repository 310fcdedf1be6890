//! What can go wrong between a repository and its manifests.

use std::path::PathBuf;
use std::time::Duration;

use ignite_host::error::SystemError;
use ignite_host::{fs, process};

/// Errors of a repository as a source of manifests.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is of no kind that is fetched.
    #[error("{url:?} cannot be fetched: {reason}")]
    Url {
        /// What was given, without credentials.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
        /// What to give instead.
        hint: &'static str,
    },
    /// No branch can be called that.
    #[error("{name:?} cannot be the name of a branch")]
    BranchName {
        /// What was given.
        name: String,
    },
    /// The hosts that ssh knows are not where they were looked for.
    #[error("there are no known hosts of ssh in {}", path.display())]
    NoKnownHosts {
        /// The file.
        path: PathBuf,
        /// The host of the repository.
        host: String,
    },
    /// A file that was named is not there, or may not be read.
    #[error("cannot use the {what}")]
    File {
        /// What it is for.
        what: &'static str,
        /// What failed.
        source: fs::Error,
    },
    /// A path cannot be given to git or ssh.
    #[error("{} cannot be used: its name holds a control character", path.display())]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// Credentials that no request can carry.
    #[error("a user name or password holds a line break or a zero byte")]
    Credentials,
    /// The status file would be taken for a manifest, or is no path of a repository.
    #[error("{path:?} cannot be the status file: {reason}")]
    StatusFile {
        /// What was given.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The place on the disk where the repository is kept.
    #[error("cannot keep the repository in {}", path.display())]
    Place {
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// A file of that place.
    #[error("cannot keep the repository")]
    Keep(#[from] fs::Error),
    /// The kernel refused what a call of git needs.
    #[error("cannot run git")]
    System(#[from] SystemError),
    /// git does not start.
    #[error("cannot {action}")]
    Program {
        /// What it was for.
        action: &'static str,
        /// What failed.
        source: process::Error,
    },
    /// git refused.
    #[error("cannot {action}: {said}")]
    Git {
        /// What it was for.
        action: &'static str,
        /// What it said, in one line.
        said: String,
    },
    /// git was not done in time.
    #[error("cannot {action} within {limit:?}")]
    Timeout {
        /// What it was for.
        action: &'static str,
        /// The time it had.
        limit: Duration,
    },
    /// git answered what it never should.
    #[error("cannot {action}: git's answer is not understood")]
    Answer {
        /// What it was for.
        action: &'static str,
    },
    /// Nothing was ever pushed to the repository.
    #[error("the repository is empty")]
    Empty,
    /// The repository has others, but not this branch.
    #[error("there is no branch {branch}, but {others}")]
    NoBranch {
        /// The one asked for.
        branch: String,
        /// Those there are, some of them.
        others: String,
    },
    /// A commit that nobody signed who may.
    #[error("commit {commit} is not signed as it must be: {said}")]
    Signature {
        /// The commit.
        commit: String,
        /// What the check said.
        said: String,
    },
    /// More than is ever read.
    #[error("commit {commit} holds more than {most} {what}")]
    TooMuch {
        /// The commit.
        commit: String,
        /// The bound.
        most: u64,
        /// Of what.
        what: &'static str,
    },
    /// Somebody else pushed at the same time, again and again.
    #[error("cannot push the status: the branch changed each time")]
    Race,
    /// The daemon ends.
    #[error("interrupted")]
    Stopped,
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Url { hint, .. } => Some((*hint).to_owned()),
            Self::BranchName { .. } => Some("give its short name: --branch main".to_owned()),
            Self::NoKnownHosts { path, host } => Some(format!(
                "compare the host's key with the one it should have, then: ssh-keyscan {host} >> {}; or name another file with --hosts-file",
                path.display()
            )),
            Self::File { source, .. } | Self::Keep(source) => source.hint(),
            Self::Path { .. } => Some("give it another name".to_owned()),
            Self::Credentials => Some("put the password alone into the file".to_owned()),
            Self::StatusFile { .. } => Some(
                "give a path in a directory that begins with a dot: .ignite-status/web.json"
                    .to_owned(),
            ),
            Self::Place { .. } => Some("the directory is set with --data-dir".to_owned()),
            Self::System(source) => source.hint(),
            Self::Program { source, .. } => source.hint(),
            Self::Git { said, .. } => super::hint::for_words(said).map(str::to_owned),
            Self::Timeout { .. } => Some("give it more time with --timeout".to_owned()),
            Self::Empty => Some("push a branch with manifests to it".to_owned()),
            Self::NoBranch { .. } => Some("name one of them with --branch".to_owned()),
            Self::Signature { .. } => Some(
                "sign it (git commit --amend -S), or add its signer to those that are trusted"
                    .to_owned(),
            ),
            Self::TooMuch { .. } => {
                Some("keep the manifests in a repository of their own".to_owned())
            }
            Self::Answer { .. } | Self::Race | Self::Stopped => None,
        }
    }

    /// Whether the copy on this host may be what is broken, so that a new one could help.
    pub(super) fn may_be_ours(&self) -> bool {
        matches!(self, Self::Git { .. } | Self::Answer { .. })
    }
}
