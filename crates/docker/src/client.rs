//! The client: which engine, which version, and requests whose answers are checked.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ignite_host::http::{Answer, Method, Request};

use crate::answer::{self, Malformed};
use crate::{ApiVersion, Error, Reason, VersionError, address};

/// For the greeting: an engine that runs answers at once.
const PING: Duration = Duration::from_secs(10);

/// A client of one engine. Cheap to make; every request has a connection of its own.
#[derive(Debug, Clone)]
pub struct Docker {
    socket: PathBuf,
    version: ApiVersion,
    patience: Duration,
    stop: Option<Arc<OwnedFd>>,
}

impl Docker {
    /// The engine `DOCKER_HOST` names, or else the one at the usual socket. The contexts of Docker's own
    /// client are not looked at: the engine has to be the host's.
    ///
    /// # Errors
    /// If `DOCKER_HOST` is not `unix:///path`, nobody answers, or only in versions that are too old.
    pub fn connect() -> Result<Self, Error> {
        Self::first(address::sockets(
            std::env::var_os("DOCKER_HOST").as_deref(),
        )?)
    }

    fn first(sockets: Vec<PathBuf>) -> Result<Self, Error> {
        let mut sockets = sockets.iter();
        let usual = sockets.next().expect("there is always one to try");
        sockets.fold(Self::at(usual), |found, next| match found {
            // Where there is none at all, the usual place is the one to name.
            Err(error) if error.is_absent() => Self::at(next).or(Err(error)),
            found => found,
        })
    }

    /// The engine that listens at `socket`.
    ///
    /// # Errors
    /// If nobody answers, or only in versions that are too old.
    pub fn at(socket: &Path) -> Result<Self, Error> {
        let action = || "speak with Docker".to_owned();
        let answer = send(
            socket,
            Request::new(Method::GET, "/_ping").deadline(PING),
            action,
        )?;
        let answer = accept(answer, action)?;
        let text = answer.headers.get("api-version");
        let text = String::from_utf8_lossy(text.map_or(b"", |value| value.as_bytes()));
        let theirs: ApiVersion = text
            .parse()
            .map_err(|source: VersionError| Error::Version {
                socket: socket.to_owned(),
                source,
            })?;
        let version = ApiVersion::negotiate(theirs).ok_or(Error::TooOld { theirs })?;
        Ok(Self {
            socket: socket.to_owned(),
            version,
            patience: Duration::MAX,
            stop: None,
        })
    }

    /// The same engine, for somebody who waits no longer than this for any one answer.
    #[must_use]
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The same engine, for somebody who waits for no answer any more as soon as this is readable.
    #[must_use]
    pub fn until(mut self, stop: Arc<OwnedFd>) -> Self {
        self.stop = Some(stop);
        self
    }

    /// The version of the API that is spoken with it.
    pub fn version(&self) -> ApiVersion {
        self.version
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A request below the version's path; `path` begins with a slash.
    pub(crate) fn request(&self, method: Method, path: &str) -> Request {
        Request::new(method, format!("/v{}{path}", self.version)).until(self.stop.clone())
    }

    /// Sends it; any status but one of success becomes the engine's refusal.
    pub(crate) fn send(
        &self,
        request: Request,
        action: impl Fn() -> String,
    ) -> Result<Answer, Error> {
        let request = request.at_most(self.patience);
        accept(send(&self.socket, request, &action)?, action)
    }

    /// Sends it and reads what comes back.
    pub(crate) fn ask<T>(
        &self,
        request: Request,
        read: impl FnOnce(&[u8]) -> Result<T, Malformed>,
        action: impl Fn() -> String,
    ) -> Result<T, Error> {
        let answer = self.send(request, &action)?;
        read(&answer.body).map_err(|source| Error::Malformed {
            action: action(),
            source,
        })
    }
}

/// What there is, or nothing where the engine says that there is none.
pub(crate) fn unless_absent<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(Error::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A name or an id as a part of a path: nothing in it may lead elsewhere.
pub(crate) fn part(text: &str) -> Result<&str, Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-:".contains(&byte);
    let begins = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    match begins && text.len() <= 255 && text.bytes().all(plain) {
        true => Ok(text),
        false => Err(Error::Name {
            text: text.chars().take(255).collect(),
        }),
    }
}

/// Percent-encodes a value of a query.
pub(crate) fn encode(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte);
    value.bytes().fold(String::new(), |mut text, byte| {
        match plain(byte) {
            true => text.push(byte.into()),
            false => text += &format!("%{byte:02X}"),
        }
        text
    })
}

fn send(socket: &Path, request: Request, action: impl Fn() -> String) -> Result<Answer, Error> {
    request.send(socket).map_err(|source| Error::Http {
        action: action(),
        source,
    })
}

fn accept(answer: Answer, action: impl Fn() -> String) -> Result<Answer, Error> {
    // 304: it is so already.
    if (200..300).contains(&answer.status) || answer.status == 304 {
        return Ok(answer);
    }
    let message = answer::refusal(&answer.body);
    Err(Error::Refused {
        action: action(),
        status: answer.status,
        reason: Reason::of(answer.status, &message),
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_any_engine_the_usual_socket_is_named() {
        let sockets = ["/nowhere/usual.sock", "/nowhere/other.sock"].map(PathBuf::from);
        let error = Docker::first(sockets.to_vec()).expect_err("there is none");
        let chain = ignite_host::error::chain(&error);
        assert!(chain.contains("/nowhere/usual.sock"), "{chain}");
    }

    #[test]
    fn a_part_of_a_path_leads_nowhere_else() {
        for text in ["ignite-0123", "f0f0", "ignite-holder:0123", "a_b.c"] {
            assert_eq!(part(text).expect("a name"), text);
        }
        let long = "a".repeat(256);
        for text in ["", ".", "..", "a/b", "a?b", "a b", "a%2f", "-a", "é", &long] {
            assert!(part(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_of_a_query_are_encoded() {
        assert_eq!(
            encode(r#"{"a":["b=c"]}"#),
            "%7B%22a%22%3A%5B%22b%3Dc%22%5D%7D"
        );
    }
}
