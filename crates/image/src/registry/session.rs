//! One repository of one registry: where it answers, how it wants to be asked, and its answers in
//! bounded memory.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Mutex;

use ignite_api::Reference;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RANGE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;

use super::auth::Challenge;
use super::credentials::{self, Credentials};
use super::{Error, Options};
use crate::manifest::MANIFEST_TYPES;

const USER_AGENT: &str = concat!("ignite/", env!("CARGO_PKG_VERSION"));
/// What is kept of an answer that only explains an error.
const LONGEST_MESSAGE: u64 = 16 << 10;
const LONGEST_TOKEN: u64 = 1 << 20;

/// A registry found and spoken to.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) reference: Reference,
    pub(super) options: Options,
    client: Client,
    /// `https://registry-1.docker.io/`.
    base: Url,
    credentials: Option<Credentials>,
    /// Value of the `Authorization` header, once known.
    authorization: Mutex<Option<HeaderValue>>,
}

/// Whether it must be TLS with a known certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Certificate,
    Anything,
}

/// One way to reach the registry.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    scheme: &'static str,
    trust: Trust,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    errors: Vec<ErrorItem>,
}

#[derive(Deserialize)]
struct ErrorItem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// Ways to reach `registry`, best first. As Docker does, one on this machine need not have TLS.
fn candidates(registry: &str, insecure: &[String]) -> Vec<Candidate> {
    if is_loopback(registry) || insecure.iter().any(|listed| is_listed(listed, registry)) {
        let scheme = |scheme| Candidate {
            scheme,
            trust: Trust::Anything,
        };
        return vec![scheme("https"), scheme("http")];
    }
    vec![Candidate {
        scheme: "https",
        trust: Trust::Certificate,
    }]
}

/// Host without the port, and without the brackets of an IPv6 address.
fn host(registry: &str) -> &str {
    match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => registry.split(':').next().unwrap_or(registry),
    }
}

fn is_loopback(registry: &str) -> bool {
    let host = host(registry);
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// A listed host without a port means all its ports.
fn is_listed(listed: &str, registry: &str) -> bool {
    listed.eq_ignore_ascii_case(registry) || listed.eq_ignore_ascii_case(host(registry))
}

/// The server behind the name people write.
fn server(registry: &str) -> &str {
    if registry == "docker.io" {
        "registry-1.docker.io"
    } else {
        registry
    }
}

impl Session {
    /// Finds out how the registry of `reference` is reached, and what it asks for.
    pub async fn open(reference: &Reference, options: &Options) -> Result<Self, Error> {
        let registry = reference.registry();
        let credentials = match credentials::directory(options.docker_config.as_deref()) {
            Some(directory) => {
                credentials::find(&directory, registry).map_err(|source| Error::Credentials {
                    registry: registry.into(),
                    source,
                })?
            }
            None => None,
        };
        let mut result = None;
        for candidate in candidates(registry, &options.insecure) {
            let client = client(registry, &candidate, options)?;
            let text = format!("{}://{}/", candidate.scheme, server(registry));
            let base = Url::parse(&text).map_err(|error| Error::Challenge {
                registry: registry.into(),
                reason: error.to_string(),
            })?;
            let session = Self {
                reference: reference.clone(),
                options: options.clone(),
                client,
                base,
                credentials: credentials.clone(),
                authorization: Mutex::new(None),
            };
            match session.ping().await {
                Ok(()) => return Ok(session),
                // The first failure is the one that says something: http is the last resort.
                Err(error @ Error::Unreachable { .. }) => result = result.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Err(result.expect("there is a way to try"))
    }

    pub fn registry(&self) -> &str {
        self.reference.registry()
    }

    /// Asks for a manifest or index by tag or digest.
    pub async fn manifest(&self, name: &str) -> Result<Response, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(MANIFEST_TYPES));
        self.get(&format!("manifests/{name}"), headers).await
    }

    /// Asks for a blob from `offset` on. The answer may begin at 0 all the same.
    pub async fn blob(&self, digest: &str, offset: u64) -> Result<Response, Error> {
        let mut headers = HeaderMap::new();
        if offset > 0 {
            let range = HeaderValue::from_str(&format!("bytes={offset}-"));
            headers.insert(RANGE, range.expect("digits and a dash are a header"));
        }
        self.get(&format!("blobs/{digest}"), headers).await
    }

    /// The rest of an answer that must not be larger than `max`.
    pub async fn body(
        &self,
        mut response: Response,
        what: &'static str,
        max: u64,
    ) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|source| self.broken(source))?
        {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > max {
                return Err(Error::TooLarge {
                    registry: self.registry().into(),
                    what,
                    max,
                });
            }
        }
        Ok(bytes)
    }

    pub fn broken(&self, source: reqwest::Error) -> Error {
        Error::Broken {
            registry: self.registry().into(),
            source,
        }
    }

    async fn ping(&self) -> Result<(), Error> {
        let url = self.url("v2/");
        let sent = self.client.get(url).send().await;
        let response = sent.map_err(|source| Error::Unreachable {
            registry: self.registry().into(),
            source,
        })?;
        match response.status() {
            StatusCode::UNAUTHORIZED => self.log_in(&response).await,
            status if status.is_success() => Ok(()),
            status if status.is_server_error() => Err(self.refused(response).await),
            status => Err(Error::NotARegistry {
                registry: self.registry().into(),
                status: status.as_u16(),
            }),
        }
    }

    /// Sends a request, logging in once more where the login has run out.
    async fn get(&self, path: &str, headers: HeaderMap) -> Result<Response, Error> {
        let url = self.url(&format!("v2/{}/{path}", self.reference.repository()));
        let send = async || {
            let mut request = self.client.get(url.clone()).headers(headers.clone());
            if let Some(value) = self.authorization() {
                request = request.header(AUTHORIZATION, value);
            }
            request.send().await.map_err(|source| self.broken(source))
        };
        let mut response = send().await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.log_in(&response).await?;
            response = send().await?;
        }
        match response.status().is_success() {
            true => Ok(response),
            false => Err(self.refused(response).await),
        }
    }

    fn url(&self, path: &str) -> Url {
        self.base
            .join(path)
            .expect("a repository's characters are those of a path")
    }

    fn authorization(&self) -> Option<HeaderValue> {
        self.authorization
            .lock()
            .expect("nobody panics with it")
            .clone()
    }

    fn set_authorization(&self, value: &str) -> Result<(), Error> {
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| self.challenge("the login holds characters no header can".into()))?;
        value.set_sensitive(true);
        *self.authorization.lock().expect("nobody panics with it") = Some(value);
        Ok(())
    }

    /// Answers the challenge of a refusal.
    async fn log_in(&self, refusal: &Response) -> Result<(), Error> {
        let headers = refusal.headers().get_all(WWW_AUTHENTICATE);
        let headers: Vec<&str> = headers
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        match (Challenge::parse(&headers), &self.credentials) {
            (_, Some(Credentials::RegistryToken(token))) => {
                self.set_authorization(&format!("Bearer {token}"))
            }
            (Some(Challenge::Basic), Some(Credentials::Password(user, password))) => {
                self.set_authorization(&basic(user, password))
            }
            (Some(Challenge::Bearer { realm, service }), _) => {
                let token = self.token(&realm, service.as_deref()).await?;
                self.set_authorization(&format!("Bearer {token}"))
            }
            _ => Err(self.unauthorised()),
        }
    }

    /// Fetches a token for reading the repository.
    async fn token(&self, realm: &str, service: Option<&str>) -> Result<String, Error> {
        let mut url = Url::parse(realm)
            .map_err(|_| self.challenge(format!("{realm:?} is no address of a token server")))?;
        let safe =
            url.scheme() == "https" || (url.scheme() == "http" && self.base.scheme() == "http");
        if !safe {
            return Err(self.challenge(format!("its token server {realm} is not asked over TLS")));
        }
        let scope = format!("repository:{}:pull", self.reference.repository());
        let mut fields = vec![("scope", scope.as_str())];
        fields.extend(service.map(|service| ("service", service)));
        let request = match &self.credentials {
            Some(Credentials::IdentityToken(refresh)) => {
                fields.extend([
                    ("grant_type", "refresh_token"),
                    ("client_id", "ignite"),
                    ("refresh_token", refresh.as_str()),
                ]);
                // The query of a throw-away URL is the encoding forms have.
                let mut form = url.clone();
                form.query_pairs_mut().clear().extend_pairs(&fields);
                let body = form.query().unwrap_or_default().to_owned();
                self.client
                    .post(url)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(body)
            }
            other => {
                url.query_pairs_mut().extend_pairs(&fields);
                let request = self.client.get(url);
                match other {
                    Some(Credentials::Password(user, password)) => {
                        request.header(AUTHORIZATION, basic(user, password))
                    }
                    _ => request,
                }
            }
        };
        let response = request.send().await.map_err(|source| self.broken(source))?;
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                return Err(self.unauthorised());
            }
            status if !status.is_success() => return Err(self.refused(response).await),
            _ => {}
        }
        let bytes = self.body(response, "token", LONGEST_TOKEN).await?;
        let answer = serde_json::from_slice::<TokenAnswer>(&bytes).ok();
        answer
            .and_then(|answer| answer.token.or(answer.access_token))
            .ok_or_else(|| self.challenge(format!("{realm} sends no token")))
    }

    /// What an answer other than success means.
    async fn refused(&self, response: Response) -> Error {
        let status = response.status();
        let url = response.url().to_string();
        let wait = response.headers().get(RETRY_AFTER).cloned();
        let body = self
            .body(response, "answer", LONGEST_MESSAGE)
            .await
            .unwrap_or_default();
        let errors = serde_json::from_slice::<ErrorAnswer>(&body).map(|answer| answer.errors);
        let errors = errors.unwrap_or_default();
        let has = |code: &str| errors.iter().any(|error| error.code == code);
        let reference = self.reference.clone();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.unauthorised(),
            StatusCode::NOT_FOUND if has("NAME_UNKNOWN") => Error::UnknownRepository { reference },
            StatusCode::NOT_FOUND if url.contains("/manifests/") => {
                Error::UnknownImage { reference }
            }
            StatusCode::TOO_MANY_REQUESTS => {
                tracing::debug!(?wait, "the registry limits the rate");
                Error::RateLimited {
                    registry: self.registry().into(),
                }
            }
            status => {
                let first = errors.into_iter().next().map(|error| error.message);
                let text = || String::from_utf8_lossy(&body).chars().take(200).collect();
                let message = first.filter(|text| !text.is_empty()).unwrap_or_else(text);
                Error::Status {
                    url,
                    status: status.as_u16(),
                    message,
                }
            }
        }
    }

    fn unauthorised(&self) -> Error {
        let user = self
            .credentials
            .as_ref()
            .map(|login| login.user().unwrap_or("a token's owner"));
        Error::Unauthorised {
            registry: self.registry().into(),
            repository: self.reference.repository().into(),
            user: user.map(str::to_owned),
        }
    }

    fn challenge(&self, reason: String) -> Error {
        Error::Challenge {
            registry: self.registry().into(),
            reason,
        }
    }
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine;
    let pair = base64::prelude::BASE64_STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {pair}")
}

fn client(registry: &str, candidate: &Candidate, options: &Options) -> Result<Client, Error> {
    // Fails when another part of the program set it: fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(options.connect)
        .read_timeout(options.silence)
        .tls_danger_accept_invalid_certs(candidate.trust == Trust::Anything)
        .tls_certs_merge(certificates(&options.certificates.join(registry)));
    if is_loopback(registry) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(Error::Client)
}

/// The authorities an administrator trusts for one registry, in Docker's place for them.
fn certificates(directory: &Path) -> Vec<reqwest::Certificate> {
    let entries = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let files = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension() == Some("crt".as_ref()));
    let read = |path| {
        let bytes = std::fs::read(&path).ok()?;
        let certificates = reqwest::Certificate::from_pem_bundle(&bytes);
        certificates
            .inspect_err(|error| tracing::warn!(?path, %error, "not a certificate"))
            .ok()
    };
    files.filter_map(read).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemes(registry: &str, insecure: &[&str]) -> Vec<&'static str> {
        let insecure: Vec<String> = insecure.iter().map(|text| (*text).into()).collect();
        candidates(registry, &insecure)
            .iter()
            .map(|candidate| candidate.scheme)
            .collect()
    }

    #[test]
    fn plain_http_only_where_it_is_allowed() {
        for registry in [
            "localhost:5000",
            "127.0.0.1:5000",
            "127.9.9.9",
            "[::1]:5000",
        ] {
            assert_eq!(schemes(registry, &[]), ["https", "http"], "{registry}");
        }
        for registry in [
            "docker.io",
            "10.0.0.1:5000",
            "localhost.example",
            "[2001:db8::1]:5000",
        ] {
            assert_eq!(schemes(registry, &["other"]), ["https"], "{registry}");
        }
        assert_eq!(
            schemes("10.0.0.1:5000", &["10.0.0.1:5000"]),
            ["https", "http"]
        );
        assert_eq!(schemes("10.0.0.1:5000", &["10.0.0.1"]), ["https", "http"]);
        assert_eq!(schemes("10.0.0.1:5000", &["10.0.0.1:5001"]), ["https"]);
    }
}
