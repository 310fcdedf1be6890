//! What a failed call means: the causes below the HTTP client's error, told apart.

use std::error::Error as StdError;
use std::io;

use reqwest::Url;
use serde::Deserialize;

use super::error::{Error, code};
use super::settings::ResolveError;
use super::tls::TlsProblem;

/// How much of a foreign answer is quoted, in characters.
const QUOTE: usize = 200;

/// An endpoint as messages name it.
pub(super) fn name(endpoint: &Url) -> String {
    endpoint.as_str().trim_end_matches('/').to_owned()
}

/// Why there was no answer.
pub(super) fn failure(endpoint: &Url, source: reqwest::Error) -> Error {
    let (secure, endpoint) = (endpoint.scheme() == "https", name(endpoint));
    if let Some(ResolveError(found)) = cause(&source) {
        return Error::Unresolved {
            source: io::Error::new(found.kind(), found.to_string()),
            endpoint,
        };
    }
    if let Some(found) = cause::<rustls::Error>(&source) {
        let problem = TlsProblem::of(found);
        return Error::Tls { endpoint, problem };
    }
    if source.is_timeout() {
        return match source.is_connect() {
            true => Error::ConnectTimedOut { endpoint },
            false => Error::TimedOut { endpoint },
        };
    }
    let hung_up = |found: &io::Error| is_hang_up(found.kind());
    if source.is_connect() && secure && causes(&source).any(hung_up) {
        let problem = TlsProblem::NotTls;
        return Error::Tls { endpoint, problem };
    }
    // What cannot be connected to has a number of the kernel; what comes later is the connection's.
    let number = causes(&source).find_map(io::Error::raw_os_error);
    match number.filter(|_| source.is_connect()) {
        Some(number) => Error::Unreachable {
            endpoint,
            source: io::Error::from_raw_os_error(number),
        },
        None => Error::Broken {
            endpoint,
            source: source.without_url(),
        },
    }
}

/// Who expects an HTTP request and gets a TLS greeting closes the connection.
fn is_hang_up(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(kind, UnexpectedEof | ConnectionReset | BrokenPipe)
}

/// The first cause of this type.
fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    causes(error).next()
}

/// All causes of this type. An `io::Error` hides what it wraps from `source()`.
fn causes<'a, T: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a T> {
    std::iter::successors(Some(error), |error| below(*error))
        .filter_map(|error| error.downcast_ref())
}

fn below<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
        .map(|inner| inner as &(dyn StdError + 'static));
    wrapped.or_else(|| error.source())
}

/// etcd's error object, of all versions: 3.4 has `error` and `message`, later ones `message` only.
#[derive(Deserialize)]
struct Object {
    #[serde(default, alias = "grpc_code")]
    code: Option<u32>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

/// The error etcd sent with an HTTP status, or in the middle of a stream (status 200).
pub(super) fn answer(endpoint: &Url, status: u16, body: &[u8], user: Option<&str>) -> Error {
    let not_etcd = || Error::NotEtcd {
        endpoint: name(endpoint),
        status,
        said: excerpt(body),
    };
    let Ok(object) = serde_json::from_slice::<Object>(body) else {
        return not_etcd();
    };
    let text = object.error.as_ref().and_then(|value| value.as_str());
    let (Some(code), Some(message)) = (object.code, object.message.as_deref().or(text)) else {
        return not_etcd();
    };
    let endpoint = name(endpoint);
    let message = excerpt(message.as_bytes());
    if code == code::OUT_OF_RANGE && message.contains("compacted") {
        return Error::Compacted { revision: 0 };
    }
    match is_denial(code, &message) {
        true => Error::Denied {
            user: user.map(str::to_owned),
            endpoint,
            message,
        },
        false => Error::Answer {
            endpoint,
            code,
            message,
        },
    }
}

fn is_denial(code: u32, message: &str) -> bool {
    matches!(code, code::PERMISSION_DENIED | code::UNAUTHENTICATED)
        || [
            "user name is empty",
            "authentication failed",
            "auth store is old",
        ]
        .iter()
        .any(|text| message.contains(text))
}

/// Whether a new login may help: tokens end after minutes, and with every change of users.
pub(super) fn is_stale_login(error: &Error) -> bool {
    matches!(error, Error::Denied { message, .. }
        if message.contains("invalid auth token") || message.contains("auth store is old"))
}

/// The beginning of a foreign text, printable.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * QUOTE)]);
    let printable = text.trim().chars().take(QUOTE);
    printable
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, body: &str) -> Error {
        let url = Url::parse("http://127.0.0.1:2379").expect("url");
        answer(&url, status, body.as_bytes(), None)
    }

    #[test]
    fn errors_of_every_version_are_read() {
        let old = said(
            404,
            r#"{"error":"etcdserver: requested lease not found","message":"etcdserver: requested lease not found","code":5}"#,
        );
        assert!(old.is_not_found(), "{old}");
        let new = said(
            404,
            r#"{"code":5,"message":"etcdserver: requested lease not found","details":[]}"#,
        );
        assert!(new.is_not_found(), "{new}");
        let stream = said(
            200,
            r#"{"grpc_code":14,"http_code":503,"message":"x","http_status":"S"}"#,
        );
        assert!(matches!(stream, Error::Answer { code: 14, .. }), "{stream}");
        let compacted = said(
            400,
            r#"{"error":"etcdserver: mvcc: required revision has been compacted","code":11}"#,
        );
        assert!(matches!(compacted, Error::Compacted { .. }), "{compacted}");
    }

    #[test]
    fn others_than_etcd_are_quoted_within_bounds_and_without_control_characters() {
        let error = said(200, &format!("<html>\u{1b}[31m{}", "x".repeat(5000)));
        let Error::NotEtcd {
            status: 200, said, ..
        } = error
        else {
            panic!("{error}");
        };
        assert!(said.len() <= QUOTE && !said.contains('\u{1b}'), "{said}");
        assert!(matches!(said_object(), Error::NotEtcd { status: 404, .. }));
    }

    fn said_object() -> Error {
        said(404, r#"{"message":"no route"}"#)
    }

    #[test]
    fn denials_are_told_apart_from_stale_logins() {
        let empty = said(
            400,
            r#"{"error":"etcdserver: user name is empty","code":3}"#,
        );
        assert!(matches!(&empty, Error::Denied { user: None, .. }) && !is_stale_login(&empty));
        let stale = said(
            401,
            r#"{"error":"etcdserver: invalid auth token","code":16}"#,
        );
        assert!(is_stale_login(&stale));
    }

    #[test]
    fn causes_inside_an_io_error_are_found() {
        let inner = rustls::Error::HandshakeNotComplete;
        let outer = io::Error::new(io::ErrorKind::InvalidData, io::Error::other(inner.clone()));
        assert_eq!(cause::<rustls::Error>(&outer), Some(&inner));
        assert!(cause::<ResolveError>(&outer).is_none());
    }
}
