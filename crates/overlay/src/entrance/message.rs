//! What a joining host and the entrance say to each other, in JSON. Unknown fields are let pass: the
//! other side may be newer.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::pki::{AdmitError, Error, Refusal};

/// The longest request (bytes): a request for a certificate is less than one KiB.
pub const MAX_REQUEST: usize = 16 << 10;
/// The longest answer (bytes): two certificates and some URLs.
pub const MAX_ANSWER: usize = 64 << 10;
/// More endpoints than clusters have members.
const MAX_ENDPOINTS: usize = 64;
/// The longest common name of a certificate.
const MAX_NAME: usize = 64;
/// Etcd's user that may do everything, should somebody turn its users on: no host is called that.
const SUPERUSER: &str = "root";

/// A text is not the message expected.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Not its JSON.
    #[error("it is not the JSON expected")]
    Json(#[from] serde_json::Error),
    /// An endpoint no client of a TLS etcd can use.
    #[error("{0:?} is not the URL of an etcd with TLS")]
    Endpoint(String),
    /// None, or too many.
    #[error("it has {0} endpoints of etcd")]
    Endpoints(usize),
}

/// Asks to be let in: the body of `POST /v1/join`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The token, secret and all.
    pub token: String,
    /// The request for a certificate (PEM).
    pub request: String,
    /// What the host calls itself.
    pub host: String,
    /// The version of its program.
    pub version: String,
}

/// Lets a host in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinReply {
    /// Its certificate (PEM).
    pub certificate: String,
    /// That of the authority (PEM), which signed etcd's too.
    pub authority: String,
    /// Client URLs of etcd.
    pub endpoints: Vec<String>,
}

/// Does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Why, for programs.
    pub reason: Reason,
    /// Why, for people.
    pub message: String,
}

/// Why a host is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The token was never given out, was revoked, or has another secret.
    Unknown,
    /// The token's time is over.
    Expired,
    /// The token was used already.
    Used,
    /// What was sent is not what is expected.
    Request,
    /// The authority's time is over.
    AuthorityExpired,
    /// The entrance has a trouble of its own.
    Fault,
    /// One that this program does not know.
    #[serde(other)]
    Other,
}

/// What `GET /v1/` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// What this is, for people.
    pub service: String,
    /// The version of the program.
    pub version: String,
    /// The clock of the host, in seconds since 1970.
    pub now: u64,
}

impl std::fmt::Debug for JoinRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token is for nobody's log.
        write!(f, "JoinRequest({:?}, {:?})", self.host, self.version)
    }
}

impl JoinRequest {
    /// Reads one.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        parse(bytes)
    }
}

impl JoinReply {
    /// Reads one, with endpoints that a client can use.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let reply: Self = parse(bytes)?;
        match reply.endpoints.len() {
            1..=MAX_ENDPOINTS => {}
            count => return Err(MessageError::Endpoints(count)),
        }
        let bad = reply.endpoints.iter().find(|url| !is_endpoint(url));
        match bad {
            Some(url) => Err(MessageError::Endpoint(printable(url, 100))),
            None => Ok(reply),
        }
    }
}

impl Refused {
    /// Reads one. The message is for a terminal: one line, without control characters.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let refused: Self = parse(bytes)?;
        Ok(Self {
            message: printable(&refused.message, 300),
            ..refused
        })
    }

    /// The answer to this failure. What fails within the host is for its log alone.
    pub(super) fn of(error: &AdmitError) -> Self {
        let (reason, message) = match error {
            AdmitError::Refused(refusal) => (Reason::of(*refusal), refusal.to_string()),
            AdmitError::Make(source @ Error::AuthorityExpired) => {
                (Reason::AuthorityExpired, source.to_string())
            }
            AdmitError::Make(source @ (Error::Unreadable { .. } | Error::Name(_))) => {
                (Reason::Request, source.to_string())
            }
            AdmitError::Store(_) | AdmitError::Make(_) => {
                let text = "the first host cannot sign certificates: see the log of its agent";
                (Reason::Fault, text.to_owned())
            }
        };
        Self { reason, message }
    }
}

impl Reason {
    fn of(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown => Self::Unknown,
            Refusal::Expired => Self::Expired,
            Refusal::Used => Self::Used,
        }
    }
}

impl About {
    /// Reads one.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        parse(bytes)
    }
}

/// The name for a host's certificate: what can be one, of what it calls itself. Letters, digits, dots,
/// hyphens and underscores, 64 at the most, at least one.
pub fn host_name(name: &str) -> String {
    let plain = |c: char| match c {
        c if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') => c,
        _ => '-',
    };
    let name: String = name.trim().chars().take(MAX_NAME).map(plain).collect();
    match name.as_str() {
        "" => "unnamed".to_owned(),
        SUPERUSER => format!("host-{name}"),
        _ => name,
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, MessageError> {
    Ok(serde_json::from_slice(bytes)?)
}

/// Whether this is a client URL of an etcd with TLS: `https://`, a host, a port.
pub fn is_endpoint(url: &str) -> bool {
    let rest = url.strip_prefix("https://").unwrap_or_default();
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    !rest.is_empty() && rest.len() <= 300 && rest.chars().all(plain)
}

/// The beginning of a foreign text, printable.
fn printable(text: &str, max: usize) -> String {
    let characters = text.trim().chars().take(max);
    characters
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_ones_that_certificates_and_logs_can_have() {
        for (given, made) in [
            ("node-1.example", "node-1.example"),
            (" a b\n", "a-b"),
            ("ignite etcd peer", "ignite-etcd-peer"),
            ("root", "host-root"),
            ("\u{1b}[31mä", "--31m-"),
            ("", "unnamed"),
        ] {
            assert_eq!(host_name(given), made);
        }
        assert_eq!(host_name(&"ä".repeat(100)).len(), 64);
        assert_ne!(host_name(crate::pki::PEER_NAME), crate::pki::PEER_NAME);
    }

    #[test]
    fn newer_programs_are_understood_and_endpoints_are_checked() {
        let refused = Refused::parse(br#"{"reason":"tomorrow","message":"a\nb","more":1}"#);
        let refused = refused.expect("reads");
        assert_eq!(refused.reason, Reason::Other);
        assert_eq!(refused.message, "a b");
        let reply = |endpoints: &str| {
            let text = format!(r#"{{"certificate":"","authority":"","endpoints":[{endpoints}]}}"#);
            JoinReply::parse(text.as_bytes())
        };
        reply(r#""https://a-1.example:2379","https://[::1]:2379/""#).expect("good");
        for bad in [
            "",
            r#""http://a:2379""#,
            r#""https://""#,
            r#""https://a:2379/\n""#,
        ] {
            reply(bad).expect_err(bad);
        }
        reply(&vec![r#""https://a:1""#; 65].join(",")).expect_err("too many");
    }
}
