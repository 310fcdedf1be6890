//! What is asked of a repository as a source: plain data, checked when it is made.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ignite_host::fs;

use super::branch::Branch;
use super::remote::{Remote, Scheme};
use super::secret::Credentials;
use super::{Error, status_file::StatusFile};

/// A repository and how it is read.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it is.
    pub remote: Remote,
    /// The branch that is followed.
    pub branch: Branch,
    /// The directory of this host that the repository is kept below.
    pub directory: PathBuf,
    /// Time between two looks at it.
    pub interval: Duration,
    /// Most time one call of git takes.
    pub timeout: Duration,
    /// What ssh is told.
    pub ssh: Ssh,
    /// What an HTTPS server is told.
    pub credentials: Option<Credentials>,
    /// The authorities an HTTPS server's certificate may be of; the system's, if none is named.
    pub ca_file: Option<PathBuf>,
    /// Whose signature every commit must have, if it must.
    pub signers: Option<Signers>,
    /// Where in the repository the status is written, if it is.
    pub status_file: Option<StatusFile>,
}

/// What ssh is told.
#[derive(Debug, Clone, Default)]
pub struct Ssh {
    /// The private key; ssh's own choice, if none is named.
    pub identity_file: Option<PathBuf>,
    /// The hosts that are known; ssh's own choice, if none is named.
    pub hosts_file: Option<PathBuf>,
}

/// Whose signatures count.
#[derive(Debug, Clone, Default)]
pub struct Signers {
    /// Signers by their ssh keys, as `ssh-keygen(1)` describes the file.
    pub allowed: Option<PathBuf>,
    /// A home directory of GPG; whoever has a key in it counts.
    pub gpg_home: Option<PathBuf>,
}

impl Options {
    /// Finds what can never work: a path that git or ssh cannot be given.
    ///
    /// # Errors
    /// The first such path.
    pub fn check_names(&self) -> Result<(), Error> {
        let signers = self.signers.as_ref();
        let paths = [
            self.ssh.hosts_file.as_deref(),
            self.ssh.identity_file.as_deref(),
            self.ca_file.as_deref(),
            signers.and_then(|signers| signers.allowed.as_deref()),
            signers.and_then(|signers| signers.gpg_home.as_deref()),
        ];
        paths.into_iter().flatten().try_for_each(writable)
    }

    /// Finds what keeps a look at the repository from working: a file that was named is missing, which
    /// may be so for a while.
    ///
    /// # Errors
    /// The first such file.
    pub fn check_files(&self) -> Result<(), Error> {
        if self.remote.scheme() == Scheme::Ssh {
            if let Some(path) = &self.ssh.hosts_file
                && !path.exists()
            {
                return Err(Error::NoKnownHosts {
                    path: path.clone(),
                    host: self.remote.host().to_owned(),
                });
            }
            readable("private key of ssh", self.ssh.identity_file.as_deref())?;
        }
        if let Some(credentials) = &self.credentials {
            drop(credentials.descriptor()?);
        }
        readable("certificate of the authority", self.ca_file.as_deref())?;
        let signers = self.signers.clone().unwrap_or_default();
        readable("file of allowed signers", signers.allowed.as_deref())?;
        readable("home directory of GPG", signers.gpg_home.as_deref())
    }
}

/// Whether the path can be written into a line of configuration.
fn writable(path: &Path) -> Result<(), Error> {
    match path.to_str() {
        Some(text) if !text.contains(char::is_control) => Ok(()),
        _ => Err(Error::Path {
            path: path.to_owned(),
        }),
    }
}

/// Whether the path can be opened.
fn readable(what: &'static str, path: Option<&Path>) -> Result<(), Error> {
    let Some(path) = path else { return Ok(()) };
    let opened = std::fs::File::open(path).map_err(|source| fs::Error::Io {
        action: "open",
        path: path.to_owned(),
        source,
    });
    opened
        .map(drop)
        .map_err(|source| Error::File { what, source })
}
