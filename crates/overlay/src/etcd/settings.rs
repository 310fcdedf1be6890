//! How etcd is reached: endpoints, certificates, login.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ignite_host::fs;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, Client, Identity, Url, redirect};

use crate::pki::{Facts, Validity};

/// No certificate or key of etcd is as large.
const MAX_PEM: u64 = 1 << 20;
/// More endpoints than clusters have members.
const MAX_ENDPOINTS: usize = 64;

/// How etcd is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Client URLs, `http://` or `https://`, tried in turn.
    pub endpoints: Vec<String>,
    /// Files for TLS; without them the system's authorities are trusted.
    pub tls: Option<ClientTls>,
    /// The login, where etcd wants one.
    pub user: Option<Credentials>,
    /// For one attempt to connect.
    pub connect_timeout: Duration,
    /// For one call at one endpoint.
    pub request_timeout: Duration,
    /// After this much silence of a watch its endpoint is asked whether it still serves.
    pub idle: Duration,
}

impl Settings {
    /// Settings for these endpoints, without TLS files and login, with the usual time limits.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            tls: None,
            user: None,
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(5),
            idle: Duration::from_secs(20),
        }
    }
}

/// Files (PEM) for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// The only authorities trusted; the system's if none.
    pub ca: Option<PathBuf>,
    /// What etcd is shown where it asks who is there.
    pub identity: Option<ClientIdentity>,
}

/// A client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The certificate, and those between it and the authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// The login of a user of etcd.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Settings may end up in a log, passwords may not.
        write!(f, "Credentials({:?})", self.user)
    }
}

/// What is wrong with settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// None at all.
    #[error("no etcd endpoint is given")]
    NoEndpoint,
    /// More than any cluster has.
    #[error("{0} etcd endpoints are given, more than {MAX_ENDPOINTS}")]
    TooManyEndpoints(usize),
    /// Not the URL of an etcd.
    #[error("{endpoint:?} is not an etcd endpoint: {reason}")]
    Endpoint {
        /// As given.
        endpoint: String,
        /// Why not.
        reason: String,
    },
    /// A file for TLS cannot be read.
    #[error("cannot use the {what} for etcd")]
    File {
        /// Which one.
        what: &'static str,
        /// What failed.
        source: fs::Error,
    },
    /// A file for TLS holds something else.
    #[error("{} holds no {what} (PEM)", path.display())]
    NotPem {
        /// What was looked for.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not fit, or are of an unknown kind.
    #[error("cannot set up TLS and HTTP for etcd")]
    Client(#[source] reqwest::Error),
}

impl SettingsError {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoEndpoint | Self::Endpoint { .. } => {
                Some("an endpoint is a URL such as http://10.0.0.1:2379".into())
            }
            Self::File { source, .. } => source.hint(),
            Self::Client(_) => Some("does the client key belong to the client certificate?".into()),
            Self::TooManyEndpoints(_) | Self::NotPem { .. } => None,
        }
    }
}

/// The endpoints as URLs.
pub(super) fn endpoints(settings: &Settings) -> Result<Vec<Url>, SettingsError> {
    match settings.endpoints.len() {
        0 => Err(SettingsError::NoEndpoint),
        count if count > MAX_ENDPOINTS => Err(SettingsError::TooManyEndpoints(count)),
        _ => settings
            .endpoints
            .iter()
            .map(|text| endpoint(text))
            .collect(),
    }
}

fn endpoint(text: &str) -> Result<Url, SettingsError> {
    let refuse = |reason: String| SettingsError::Endpoint {
        endpoint: text.to_owned(),
        reason,
    };
    let url = Url::parse(text.trim()).map_err(|error| refuse(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("it begins with neither http:// nor https://".into()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("a login is not given in the URL".into()));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("there is something after host and port".into()));
    }
    Ok(url)
}

/// The HTTP client for these settings; reads the files anew.
pub(super) fn http(settings: &Settings) -> Result<Client, SettingsError> {
    // Fails when another part of the program set it: fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("ignite-overlay/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.connect_timeout)
        // A proxy is for the world outside; etcd is this cluster's inside.
        .no_proxy()
        .redirect(redirect::Policy::none())
        .dns_resolver(Resolver {
            limit: settings.connect_timeout / 2,
        })
        // A watch is silent for hours: notice a peer that vanished.
        .tcp_keepalive(Duration::from_secs(15))
        .tcp_keepalive_interval(Duration::from_secs(5))
        .tcp_keepalive_retries(3);
    if let Some(tls) = &settings.tls {
        if let Some(ca) = &tls.ca {
            builder = builder.tls_certs_only(authorities(ca)?);
        }
        if let Some(pair) = &tls.identity {
            builder = builder.identity(identity(pair)?);
        }
    }
    builder.build().map_err(SettingsError::Client)
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, SettingsError> {
    let not_pem = || SettingsError::NotPem {
        what: "certificate",
        path: path.to_owned(),
    };
    let bytes = read("CA file", path)?;
    let found = Certificate::from_pem_bundle(&bytes).map_err(|_| not_pem())?;
    match found.is_empty() {
        true => Err(not_pem()),
        false => Ok(found),
    }
}

fn identity(pair: &ClientIdentity) -> Result<Identity, SettingsError> {
    let mut bytes = read("client certificate", &pair.certificate)?;
    bytes.push(b'\n');
    bytes.extend(read("client key", &pair.key)?);
    Identity::from_pem(&bytes).map_err(|_| SettingsError::NotPem {
        what: "certificate with its key beside it",
        path: pair.certificate.clone(),
    })
}

/// From when to when the client certificate is valid, if that is not now.
pub(super) fn over(settings: &Settings, now: SystemTime) -> Option<Validity> {
    let pair = settings.tls.as_ref()?.identity.as_ref()?;
    let bytes = read("client certificate", &pair.certificate).ok()?;
    let facts = Facts::of_pem(&String::from_utf8_lossy(&bytes)).ok()?;
    match facts.remaining(now) {
        Some(_) => None,
        None => Some(facts.validity()),
    }
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, SettingsError> {
    fs::read_bounded(path, MAX_PEM).map_err(|source| SettingsError::File { what, source })
}

/// The system's resolver, with errors that can be told apart from those of the connection, and with
/// less time than the attempt to connect has, whose end would hide that it was the name's.
struct Resolver {
    limit: Duration,
}

/// The resolver's answer, found again in the causes of a failed call.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0)]
pub(super) struct ResolveError(pub(super) io::Error);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let limit = self.limit;
        Box::pin(async move {
            let found = tokio::time::timeout(limit, tokio::net::lookup_host((name.as_str(), 0)))
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                .map_err(ResolveError)?;
            let addresses: Vec<SocketAddr> = found.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_of_a_host_and_a_port() {
        for good in [
            "http://127.0.0.1:2379",
            " https://etcd.example:2379/",
            "http://[::1]:4001",
        ] {
            endpoint(good).expect(good);
        }
        for bad in [
            "",
            "127.0.0.1:2379",
            "localhost:2379",
            "unix:///run/etcd",
            "http://u:p@h:1",
            "http://h:1/v3",
            "http://h:99999",
            "http://",
        ] {
            let error = endpoint(bad).expect_err(bad);
            assert!(error.hint().is_some(), "{error}");
        }
        assert!(matches!(
            endpoints(&Settings::new(Vec::<String>::new())),
            Err(SettingsError::NoEndpoint)
        ));
        assert!(matches!(
            endpoints(&Settings::new(vec!["http://h:1"; 65])),
            Err(SettingsError::TooManyEndpoints(65))
        ));
    }

    #[test]
    fn files_that_are_absent_or_something_else_are_named() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("ca.crt");
        let mut settings = Settings::new(["https://h:1"]);
        settings.tls = Some(ClientTls {
            ca: Some(path.clone()),
            identity: None,
        });
        assert!(matches!(
            http(&settings),
            Err(SettingsError::File {
                what: "CA file",
                ..
            })
        ));
        std::fs::write(&path, "no certificate").expect("write");
        let error = http(&settings).expect_err("no PEM");
        assert!(
            error.to_string().contains("ca.crt holds no certificate"),
            "{error}"
        );
        settings.tls = Some(ClientTls {
            ca: None,
            identity: Some(ClientIdentity {
                certificate: path.clone(),
                key: path,
            }),
        });
        assert!(matches!(http(&settings), Err(SettingsError::NotPem { .. })));
    }

    #[test]
    fn a_password_is_not_printed() {
        let mut settings = Settings::new(["http://h:1"]);
        settings.user = Some(Credentials {
            user: "root".into(),
            password: "hush".into(),
        });
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
