//! Logins from Docker's `config.json`.
//!
//! A helper for the registry (`credHelpers`) is asked first, then the general one (`credsStore`), then
//! the file's own `auths`. Only logins are read; nothing is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ignite_host::fs::read_bounded;
use ignite_host::process::{self, Limits, Spec};
use serde::Deserialize;

/// What Docker calls its own registry here.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
const LARGEST_FILE: u64 = 4 << 20;
const HELPER_TIME: Duration = Duration::from_secs(30);
/// The user name that marks a helper's secret as an identity token.
const TOKEN_USER: &str = "<token>";

/// A login.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Name and password.
    Password(String, String),
    /// A refresh token.
    IdentityToken(String),
    /// A token sent as it is.
    RegistryToken(String),
}

// Not derived: secrets do not belong into logs.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.user().unwrap_or("a token"))
    }
}

impl Credentials {
    /// The name, where there is one.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Password(user, _) => Some(user),
            _ => None,
        }
    }
}

/// Errors of finding a login.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file could not be read.
    #[error("cannot read Docker's configuration")]
    Read(#[from] ignite_host::fs::Error),
    /// The file is no JSON of the known form.
    #[error("{} cannot be read", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it breaks.
        source: serde_json::Error,
    },
    /// An `auth` is not base64 of `user:password`.
    #[error("the login for {registry} in {} is malformed", path.display())]
    Auth {
        /// The file.
        path: PathBuf,
        /// The entry.
        registry: String,
    },
    /// A helper's name that is no plain word.
    #[error("{name:?} is no name of a credential helper")]
    HelperName {
        /// The name.
        name: String,
    },
    /// A helper could not be run.
    #[error("cannot run the credential helper {program}")]
    Helper {
        /// Its program.
        program: String,
        /// What failed.
        source: process::Error,
    },
    /// A helper failed.
    #[error("the credential helper {program} failed: {message}")]
    HelperFailed {
        /// Its program.
        program: String,
        /// What it said.
        message: String,
    },
}

impl CredentialsError {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Helper { program, source } if source.is_not_found() => Some(format!(
                "install {program}, or take the helper out of Docker's config.json"
            )),
            Self::Auth { registry, .. } => Some(format!("log in again: docker login {registry}")),
            Self::Read(source) => source.hint(),
            _ => None,
        }
    }
}

/// What Docker's `config.json` says of logins. Not to be printed: it holds secrets.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Logins {
    auths: BTreeMap<String, AuthEntry>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

/// An `auth` that is not base64 of `user:password`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuthEntry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl Logins {
    /// Reads the file's content.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// The name of the helper to ask for `registry` (host and port).
    pub fn helper(&self, registry: &str) -> Option<&str> {
        let mut own = self.cred_helpers.iter();
        own.find(|(host, _)| same_host(host, registry))
            .map(|(_, name)| name)
            .or(self.creds_store.as_ref())
            .map(String::as_str)
    }

    /// The login for `registry` that the file itself holds.
    pub fn kept(&self, registry: &str) -> Result<Option<Credentials>, Malformed> {
        let mut entries = self.auths.iter();
        entries
            .find(|(host, _)| same_host(host, registry))
            .map_or(Ok(None), |(_, entry)| entry.read())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

/// The directory of Docker's configuration: the one given, `$DOCKER_CONFIG`, or `~/.docker`.
pub(super) fn directory(given: Option<&Path>) -> Option<PathBuf> {
    let from_env = || std::env::var_os("DOCKER_CONFIG").filter(|value| !value.is_empty());
    let home = || std::env::home_dir().map(|home| home.join(".docker"));
    given
        .map(Path::to_owned)
        .or_else(|| from_env().map(PathBuf::from))
        .or_else(home)
}

/// The login for `registry` (host and port), if there is one in `directory`.
pub(super) fn find(
    directory: &Path,
    registry: &str,
) -> Result<Option<Credentials>, CredentialsError> {
    let path = directory.join("config.json");
    let bytes = match read_bounded(&path, LARGEST_FILE) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let logins = Logins::parse(&bytes).map_err(|source| CredentialsError::Json {
        path: path.clone(),
        source,
    })?;
    let key = if registry == "docker.io" {
        DOCKER_HUB_KEY
    } else {
        registry
    };
    if let Some(helper) = logins.helper(registry)
        && let Some(found) = ask_helper(helper, key)?
    {
        return Ok(Some(found));
    }
    logins
        .kept(registry)
        .map_err(|Malformed| CredentialsError::Auth {
            path,
            registry: registry.to_owned(),
        })
}

impl AuthEntry {
    fn read(&self) -> Result<Option<Credentials>, Malformed> {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = filled(&self.identitytoken) {
            return Ok(Some(Credentials::IdentityToken(token)));
        }
        if let Some(token) = filled(&self.registrytoken) {
            return Ok(Some(Credentials::RegistryToken(token)));
        }
        if let Some(auth) = filled(&self.auth) {
            let bytes = BASE64_STANDARD.decode(auth.trim()).map_err(|_| Malformed)?;
            let text = String::from_utf8(bytes).map_err(|_| Malformed)?;
            let (user, password) = text.split_once(':').ok_or(Malformed)?;
            let password = password.trim_end_matches('\0');
            return Ok(Some(Credentials::Password(user.into(), password.into())));
        }
        match (filled(&self.username), filled(&self.password)) {
            (Some(user), Some(password)) => Ok(Some(Credentials::Password(user, password))),
            _ => Ok(None),
        }
    }
}

/// Keys are hosts, or URLs from the time of the first registry protocol.
fn same_host(key: &str, registry: &str) -> bool {
    let host = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let host = host.split('/').next().unwrap_or_default();
    let hub = |host: &str| {
        matches!(
            host,
            "docker.io" | "index.docker.io" | "registry-1.docker.io"
        )
    };
    host.eq_ignore_ascii_case(registry) || (hub(host) && hub(registry))
}

fn ask_helper(name: &str, server: &str) -> Result<Option<Credentials>, CredentialsError> {
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(valid) {
        return Err(CredentialsError::HelperName {
            name: name.to_owned(),
        });
    }
    let program = format!("docker-credential-{name}");
    let limits = Limits {
        time: HELPER_TIME,
        stdout_bytes: 64 << 10,
        stderr_bytes: 4 << 10,
    };
    let output = process::run(Spec::new(&program).arg("get"), server.as_bytes(), limits).map_err(
        |source| CredentialsError::Helper {
            program: program.clone(),
            source,
        },
    )?;
    // By the helpers' protocol, the reason of a failure is on standard output.
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() {
        if said.contains("credentials not found") {
            return Ok(None);
        }
        let late = output
            .timed_out
            .then(|| format!("no answer in {} s", HELPER_TIME.as_secs()));
        return Err(CredentialsError::HelperFailed {
            program,
            message: late.unwrap_or(said),
        });
    }
    let answer: HelperAnswer =
        serde_json::from_slice(&output.stdout).map_err(|error| CredentialsError::HelperFailed {
            program,
            message: error.to_string(),
        })?;
    Ok(Some(match answer.username == TOKEN_USER {
        true => Credentials::IdentityToken(answer.secret),
        false => Credentials::Password(answer.username, answer.secret),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(config: &str, registry: &str) -> Result<Option<Credentials>, CredentialsError> {
        let directory = tempfile::tempdir().expect("tempdir");
        std::fs::write(directory.path().join("config.json"), config).expect("write");
        find(directory.path(), registry)
    }

    fn password(user: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Password(user.into(), password.into()))
    }

    #[test]
    fn reads_the_forms_docker_writes() {
        // "me:a:b"
        let config = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"bWU6YTpi"},
            "reg.example:5000":{"username":"u","password":"p"},
            "http://old.example/v2/":{"identitytoken":"t"},"empty.example":{}}}"#;
        let found = |registry: &str| lookup(config, registry).expect(registry);
        assert_eq!(found("docker.io"), password("me", "a:b"));
        assert_eq!(found("reg.example:5000"), password("u", "p"));
        assert_eq!(
            found("old.example"),
            Some(Credentials::IdentityToken("t".into()))
        );
        assert_eq!(found("empty.example"), None);
        assert_eq!(found("reg.example"), None);
    }

    #[test]
    fn a_damaged_file_is_said_not_skipped() {
        assert!(lookup("{", "a").is_err());
        assert!(lookup(r#"{"auths":{"a.b":{"auth":"!"}}}"#, "a.b").is_err());
        assert!(lookup(r#"{"credsStore":"../evil"}"#, "a.b").is_err());
        let nowhere = find(Path::new("/nonexistent"), "a.b");
        assert_eq!(nowhere.expect("no file is no login"), None);
    }

    #[test]
    fn secrets_are_not_printed() {
        let text = format!("{:?}", password("me", "hunter2"));
        assert!(text.contains("me") && !text.contains("hunter2"));
    }
}
