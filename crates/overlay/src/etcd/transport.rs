//! Calls: the endpoints in turn, a login where there is a user, answers within bounds.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use reqwest::{Response, StatusCode, Url, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::classify::{answer, failure, is_stale_login, name};
use super::error::Error;
use super::outage::{Outage, Outages};
use super::settings::{self, Settings};
use super::tls::TlsProblem;

/// The largest answer, and the largest listing, whose pages are far smaller: ten thousand leases are
/// about 10 MB.
pub(super) const MAX_ANSWER: usize = 64 << 20;
/// The largest error or status.
const MAX_SMALL: usize = 64 << 10;

/// A client of one etcd cluster. Clones share connections and login.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    endpoints: Vec<Url>,
    http: Mutex<reqwest::Client>,
    /// The endpoint that answered last.
    good: AtomicUsize,
    failures: Arc<AtomicU64>,
    token: Mutex<Option<String>>,
    outages: Outages,
}

impl Client {
    /// A client with these settings. Files are read, nothing is connected yet.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let endpoints = settings::endpoints(&settings)?;
        let http = settings::http(&settings)?;
        Ok(Self {
            shared: Arc::new(Shared {
                settings,
                endpoints,
                http: Mutex::new(http),
                good: AtomicUsize::new(0),
                failures: Arc::default(),
                token: Mutex::new(None),
                outages: Outages::new(),
            }),
        })
    }

    /// Reads the TLS files anew, for all clones: certificates are renewed while a client lives.
    /// Connections there are stay as they are.
    pub fn reload(&self) -> Result<(), Error> {
        *lock(&self.shared.http) = settings::http(&self.shared.settings)?;
        Ok(())
    }

    /// How many calls failed, one for each endpoint that was asked, and how often a watch broke; of all
    /// clones. It goes on counting.
    pub fn failures(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shared.failures)
    }

    pub(super) fn count_failure(&self) {
        self.shared.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// The endpoints as they are tried: the last good one first.
    pub(super) fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let count = self.shared.endpoints.len();
        let good = self.shared.good.load(Ordering::Relaxed);
        (0..count).map(move |step| (good + step) % count)
    }

    /// The endpoint with this number, counted round.
    pub(super) fn endpoint(&self, index: usize) -> &Url {
        &self.shared.endpoints[index % self.shared.endpoints.len()]
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Remembers the endpoint as good.
    pub(super) fn prefer(&self, index: usize) {
        let count = self.shared.endpoints.len();
        self.shared.good.store(index % count, Ordering::Relaxed);
    }

    /// Asks one endpoint after the other until one answers.
    pub(super) async fn call<R: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<R, Error> {
        self.call_bounded(path, body, MAX_ANSWER).await
    }

    /// The same, with an answer of at most so many bytes.
    pub(super) async fn call_bounded<R: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        max: usize,
    ) -> Result<R, Error> {
        let mut failures = Vec::new();
        for index in self.order() {
            match self.call_at(self.endpoint(index), path, body, max).await {
                Ok(reply) => {
                    self.prefer(index);
                    self.outages().answered();
                    return Ok(reply);
                }
                Err(error) => {
                    self.count_failure();
                    match error.is_of_endpoint() {
                        true => failures.push(error),
                        false => return Err(error),
                    }
                }
            }
        }
        let error = Error::of_all(failures);
        self.outages().failed(&error);
        Err(error)
    }

    /// Whether etcd answers, as far as calls and watches of this client and its clones tell; none as
    /// long as it does.
    pub fn outage(&self) -> tokio::sync::watch::Receiver<Option<Outage>> {
        self.outages().watch()
    }

    pub(super) fn outages(&self) -> &Outages {
        &self.shared.outages
    }

    /// Asks this endpoint, in the time one call may take, for an answer of at most `max` bytes.
    pub(super) async fn call_at<R: DeserializeOwned>(
        &self,
        endpoint: &Url,
        path: &str,
        body: &Value,
        max: usize,
    ) -> Result<R, Error> {
        let call = async {
            let response = self.post_with_login(endpoint, path, body).await?;
            let bytes = bounded(endpoint, response, max).await?;
            read(endpoint, &bytes)
        };
        self.in_time(endpoint, call).await
    }

    /// Begins a call whose answer has no end; only its beginning is in a time limit.
    pub(super) async fn open_at(
        &self,
        endpoint: &Url,
        path: &str,
        body: &Value,
    ) -> Result<Response, Error> {
        let call = self.post_with_login(endpoint, path, body);
        self.in_time(endpoint, call).await
    }

    /// Has the next call log in anew.
    pub(super) fn forget_login(&self) {
        *lock(&self.shared.token) = None;
    }

    /// A page that needs no login and is no part of the v3 interface; any status that is JSON.
    pub(super) async fn page<R: DeserializeOwned>(
        &self,
        endpoint: &Url,
        path: &str,
    ) -> Result<R, Error> {
        let call = async {
            let asked = self.get_page(endpoint, path).await;
            let response = asked.map_err(|error| self.failure(endpoint, error))?;
            let status = response.status().as_u16();
            let bytes = bounded(endpoint, response, MAX_SMALL).await?;
            serde_json::from_slice(&bytes).map_err(|_| answer(endpoint, status, &bytes, None))
        };
        self.in_time(endpoint, call).await
    }

    /// The answer's head to a call without a body, whatever its status.
    pub(super) async fn get_page(
        &self,
        endpoint: &Url,
        path: &str,
    ) -> Result<Response, reqwest::Error> {
        self.http().get(at(endpoint, path)).send().await
    }

    pub(super) async fn in_time<T>(
        &self,
        endpoint: &Url,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let limit = self.shared.settings.request_timeout;
        tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
            Err(Error::TimedOut {
                endpoint: name(endpoint),
            })
        })
    }

    /// Posts with the token of the login, and once more with a new one if it ran out.
    async fn post_with_login(
        &self,
        endpoint: &Url,
        path: &str,
        body: &Value,
    ) -> Result<Response, Error> {
        let known = lock(&self.shared.token).clone();
        let token = match known {
            None => self.log_in(endpoint).await?,
            token => token,
        };
        match self.post(endpoint, path, body, token.as_deref()).await {
            Err(error) if token.is_some() && is_stale_login(&error) => {
                let token = self.log_in(endpoint).await?;
                self.post(endpoint, path, body, token.as_deref()).await
            }
            other => other,
        }
    }

    /// The token for our user; none without a user, or where etcd knows no users.
    async fn log_in(&self, endpoint: &Url) -> Result<Option<String>, Error> {
        #[derive(Deserialize)]
        struct Reply {
            token: String,
        }
        let Some(user) = &self.shared.settings.user else {
            return Ok(None);
        };
        let body = json!({"name": user.user, "password": user.password});
        let asked = self.post(endpoint, "/v3/auth/authenticate", &body, None);
        let response = match asked.await {
            // As etcd's own client takes it: then everybody may do everything.
            Err(Error::Answer { message, .. }) if message.contains("not enabled") => {
                return Ok(None);
            }
            other => other?,
        };
        let bytes = bounded(endpoint, response, MAX_SMALL).await?;
        let reply: Reply = read(endpoint, &bytes)?;
        *lock(&self.shared.token) = Some(reply.token.clone());
        Ok(Some(reply.token))
    }

    /// The answer's head; an error where it is one.
    async fn post(
        &self,
        endpoint: &Url,
        path: &str,
        body: &Value,
        token: Option<&str>,
    ) -> Result<Response, Error> {
        let mut request = self
            .http()
            .post(at(endpoint, path))
            .header(header::CONTENT_TYPE, "application/json")
            // A member cut off from its leader must say so rather than stay silent.
            .header("Grpc-Metadata-hasleader", "true")
            .body(body.to_string());
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, token);
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.failure(endpoint, error))?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let bytes = bounded(endpoint, response, MAX_SMALL).await?;
        Err(self.said(endpoint, status, &bytes))
    }

    /// The error in an answer, with the user it was given to.
    pub(super) fn said(&self, endpoint: &Url, status: u16, bytes: &[u8]) -> Error {
        let user = self.shared.settings.user.as_ref();
        answer(endpoint, status, bytes, user.map(|user| user.user.as_str()))
    }

    /// Why there was no answer. A refusal does not say what is wrong with our certificate: the time is
    /// looked at here.
    fn failure(&self, endpoint: &Url, source: reqwest::Error) -> Error {
        let error = failure(endpoint, source);
        let refused = matches!(
            &error,
            Error::Tls {
                problem: TlsProblem::ClientRefused(_),
                ..
            }
        );
        let over = match refused {
            true => settings::over(&self.shared.settings, SystemTime::now()),
            false => None,
        };
        match over {
            Some(validity) => Error::Tls {
                endpoint: name(endpoint),
                problem: TlsProblem::OwnExpired(validity),
            },
            None => error,
        }
    }

    fn http(&self) -> reqwest::Client {
        lock(&self.shared.http).clone()
    }
}

/// A panic of another holder leaves these values whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn at(endpoint: &Url, path: &str) -> Url {
    let mut url = endpoint.clone();
    url.set_path(path);
    url
}

fn read<R: DeserializeOwned>(endpoint: &Url, bytes: &[u8]) -> Result<R, Error> {
    serde_json::from_slice(bytes).map_err(|source| Error::Malformed {
        endpoint: name(endpoint),
        source,
    })
}

async fn bounded(endpoint: &Url, mut response: Response, max: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| failure(endpoint, error))?
    {
        if bytes.len() + chunk.len() > max {
            return Err(Error::TooLarge {
                endpoint: name(endpoint),
                max,
            });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
