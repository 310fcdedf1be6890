//! `ignited gitops`: manifests from a git repository.

mod conceal;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use ignite_program::Failure;

pub use conceal::conceal;
use conceal::{Carried, DESCRIPTOR_VARIABLE, carried};

use crate::app;
use crate::args::{Globals, duration};
use crate::config::Config;
use crate::source::git::{
    Branch, Credentials, Error, Git, Options, PasswordSource, Remote, Scheme, Secret, Signers, Ssh,
    StatusFile,
};

const EXAMPLES: &str = "\
Examples:
  ignited gitops git@example.org:vms.git --identity-file /etc/ignite/vms.key
  ignited gitops https://example.org/vms.git --https-username ignited --https-password-file /etc/ignite/vms.password
  ignited gitops file:///srv/vms.git --branch main --interval 5s";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Gitops {
    /// Repository: ssh://HOST/PATH, USER@HOST:PATH, https://HOST/PATH or file:///PATH
    #[arg(value_name = "REPO")]
    repository: String,

    /// Branch
    #[arg(short, long, value_name = "NAME", default_value = "master")]
    branch: String,

    /// Time between two looks at the repository
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    interval: Duration,

    /// Most time git may take for anything
    #[arg(long, value_name = "DURATION", default_value = "1m0s", value_parser = duration)]
    timeout: Duration,

    /// Private key for ssh [default: ssh's own choice]
    #[arg(long, value_name = "FILE")]
    identity_file: Option<PathBuf>,

    /// Hosts that ssh may talk to, and their keys; empty for ssh's own choice
    #[arg(long, value_name = "FILE", default_value = "~/.ssh/known_hosts")]
    hosts_file: OsString,

    /// User for HTTPS
    #[arg(long, value_name = "USER")]
    https_username: Option<String>,

    /// File with the password or token for HTTPS, read each time it is needed
    #[arg(long, value_name = "FILE")]
    https_password_file: Option<PathBuf>,

    /// Password or token for HTTPS; better in --https-password-file, or the variable IGNITED_HTTPS_PASSWORD
    #[arg(long, value_name = "PASSWORD", conflicts_with = "https_password_file")]
    https_password: Option<String>,

    /// Certificates of the authorities an HTTPS server's may be of [default: the system's]
    #[arg(long, value_name = "FILE")]
    https_ca_file: Option<PathBuf>,

    /// Take only commits that are signed by somebody who is trusted
    #[arg(long)]
    require_signature: bool,

    /// Trusted signers with ssh keys, as ssh-keygen(1) describes
    #[arg(long, value_name = "FILE", requires = "require_signature")]
    allowed_signers: Option<PathBuf>,

    /// Home directory of GPG; whoever has a key in it is trusted
    #[arg(long, value_name = "DIR", requires = "require_signature")]
    gpg_home: Option<PathBuf>,

    /// Commit the status of the VMs to the repository
    #[arg(long, conflicts_with = "require_signature")]
    commit_status: bool,

    /// Where in the repository [default: .ignite-status/HOSTNAME.json]
    #[arg(long, value_name = "PATH", requires = "commit_status")]
    status_file: Option<String>,

    /// Where the secrets of the command line went when the program started anew
    #[arg(long, hide = true, env = DESCRIPTOR_VARIABLE, hide_env = true)]
    credentials_fd: Option<i32>,
}

impl Gitops {
    /// Keeps VMs until it is told to end.
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        let config = Config::new(globals)?;
        let carried = self
            .credentials_fd
            .map(carried)
            .transpose()?
            .unwrap_or_default();
        for warning in &carried.warnings {
            tracing::warn!("{warning}");
        }
        let directory = config.directory.join("gitops");
        let source = Git::new(self.options(carried, directory)?)?;
        app::run(config, Box::new(source))
    }

    fn options(self, carried: Carried, directory: PathBuf) -> Result<Options, Failure> {
        let (remote, _) = Remote::parse(&self.repository)?;
        if self.require_signature && self.allowed_signers.is_none() && self.gpg_home.is_none() {
            return Err(Failure::usage(
                "--require-signature says not whose signatures count",
                Some("name them with --allowed-signers or --gpg-home".to_owned()),
            ));
        }
        let status_file = match (&self.status_file, self.commit_status) {
            (Some(path), _) => Some(StatusFile::parse(path)?),
            (None, true) => Some(StatusFile::of_host()),
            (None, false) => None,
        };
        Ok(Options {
            branch: Branch::parse(&self.branch)?,
            directory: expand(&directory),
            interval: self.interval,
            timeout: self.timeout,
            ssh: self.ssh(),
            credentials: self.credentials(&remote, carried),
            ca_file: self.https_ca_file.as_deref().map(expand),
            signers: self.require_signature.then(|| self.signers()),
            status_file,
            remote,
        })
    }

    fn ssh(&self) -> Ssh {
        let hosts_file = Path::new(&self.hosts_file);
        Ssh {
            identity_file: self.identity_file.as_deref().map(expand),
            hosts_file: (!hosts_file.as_os_str().is_empty()).then(|| expand(hosts_file)),
        }
    }

    fn signers(&self) -> Signers {
        Signers {
            allowed: self.allowed_signers.as_deref().map(expand),
            gpg_home: self.gpg_home.as_deref().map(expand),
        }
    }

    /// The file beats what was carried over from command line and environment.
    fn credentials(&self, remote: &Remote, carried: Carried) -> Option<Credentials> {
        let user = self.https_username.clone().or(carried.user);
        let known = self.https_password.clone().or(carried.password);
        let password = match &self.https_password_file {
            Some(path) => Some(PasswordSource::File(expand(path))),
            None => known.map(|password| PasswordSource::Known(Secret::new(password))),
        };
        if user.is_none() && password.is_none() {
            return None;
        }
        if remote.scheme() != Scheme::Https {
            tracing::warn!(
                "credentials for HTTPS are not used: the repository is reached otherwise"
            );
            return None;
        }
        Some(Credentials {
            user: user.unwrap_or_default(),
            password: password.unwrap_or_else(|| PasswordSource::Known(Secret::new(""))),
        })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let hint = error.hint();
        match error {
            Error::Url { .. } | Error::BranchName { .. } | Error::StatusFile { .. } => {
                Self::usage(error, hint)
            }
            error => Self::new(error, hint),
        }
    }
}

/// A path whose `~` is the home directory, made absolute: git runs elsewhere.
fn expand(path: &Path) -> PathBuf {
    let home = path.strip_prefix("~").ok().zip(std::env::home_dir());
    let path = home.map_or_else(|| path.to_owned(), |(rest, home)| home.join(rest));
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        gitops: Gitops,
    }

    fn options(words: &[&str]) -> Result<Options, String> {
        let words = ["gitops"].iter().chain(words);
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        let carried = Carried {
            password: Some("carried".to_owned()),
            ..Carried::default()
        };
        line.gitops
            .options(carried, "/data".into())
            .map_err(|failure| failure.line())
    }

    #[test]
    fn what_is_asked_for_by_default() {
        let options = options(&["git@example.org:vms"]).expect("valid");
        assert_eq!(options.branch.name(), "master");
        assert_eq!(
            (options.interval.as_secs(), options.timeout.as_secs()),
            (30, 60)
        );
        assert!(
            options
                .ssh
                .hosts_file
                .expect("a file")
                .ends_with(".ssh/known_hosts")
        );
        assert_eq!(options.credentials, None);
        assert!(options.signers.is_none() && options.status_file.is_none());
    }

    #[test]
    fn a_home_is_expanded_and_an_empty_file_means_ssh_s_own() {
        assert!(!expand(Path::new("~/x")).to_string_lossy().contains('~'));
        assert_eq!(expand(Path::new("/a/~b")), Path::new("/a/~b"));
        let options = options(&["git@example.org:vms", "--hosts-file", ""]).expect("valid");
        assert_eq!(options.ssh.hosts_file, None);
    }

    #[test]
    fn a_password_file_beats_what_was_carried_over() {
        let url = "https://example.org/vms";
        let password = |words: &[&str]| {
            options(words)
                .expect("valid")
                .credentials
                .expect("some")
                .password
        };
        assert_eq!(
            password(&[url]),
            PasswordSource::Known(Secret::new("carried"))
        );
        assert_eq!(
            password(&[url, "--https-password-file", "/p"]),
            PasswordSource::File("/p".into())
        );
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let cases: [(&[&str], &str); 5] = [
            (&["git@h:x", "--require-signature"], "whose signatures"),
            (
                &[
                    "git@h:x",
                    "--require-signature",
                    "--allowed-signers",
                    "/x",
                    "--commit-status",
                ],
                "cannot be used",
            ),
            (
                &["git@h:x", "--allowed-signers", "/x"],
                "--require-signature",
            ),
            (
                &["git@h:x", "--commit-status", "--status-file", "status.json"],
                "hidden",
            ),
            (&["http://h/x"], "was changed"),
        ];
        for (words, part) in cases {
            let error = options(words).expect_err(part);
            assert!(error.contains(part), "{error}");
        }
    }
}
