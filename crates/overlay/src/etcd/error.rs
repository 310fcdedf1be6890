//! What can go wrong with etcd.

use std::io;

use super::settings::SettingsError;
use super::tls::TlsProblem;

/// Errors of calls to etcd.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client cannot be made of its settings.
    #[error("cannot use the settings for etcd")]
    Settings(#[from] SettingsError),
    /// Its name is known to no name server.
    #[error("the name of the etcd endpoint {endpoint} does not resolve")]
    Unresolved {
        /// Which one.
        endpoint: String,
        /// The resolver's answer.
        source: io::Error,
    },
    /// Nobody listens there, or there is no way to it.
    #[error("cannot connect to etcd at {endpoint}")]
    Unreachable {
        /// Which one.
        endpoint: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// No answer to the attempt to connect.
    #[error("etcd at {endpoint} does not answer to an attempt to connect")]
    ConnectTimedOut {
        /// Which one.
        endpoint: String,
    },
    /// Connected, but no answer in time.
    #[error("etcd at {endpoint} does not answer in time")]
    TimedOut {
        /// Which one.
        endpoint: String,
    },
    /// No TLS connection that both sides trust.
    #[error("no trusted connection to etcd at {endpoint}: {problem}")]
    Tls {
        /// Which one.
        endpoint: String,
        /// What is wrong.
        problem: TlsProblem,
    },
    /// The connection ended before the answer did.
    #[error("the connection to etcd at {endpoint} broke")]
    Broken {
        /// Which one.
        endpoint: String,
        /// What failed.
        source: reqwest::Error,
    },
    /// Somebody else answers.
    #[error("{endpoint} is not etcd: it answers {status}: {said:?}")]
    NotEtcd {
        /// Which one.
        endpoint: String,
        /// HTTP status.
        status: u16,
        /// The beginning of what it says.
        said: String,
    },
    /// The answer is not what etcd answers.
    #[error("cannot read the answer of etcd at {endpoint}")]
    Malformed {
        /// Which one.
        endpoint: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The answer is larger than any that is expected.
    #[error("the answer of etcd at {endpoint} is larger than {max} bytes")]
    TooLarge {
        /// Which one.
        endpoint: String,
        /// The bound.
        max: usize,
    },
    /// Who asks is unknown, or may not do this.
    #[error("etcd at {endpoint} refuses access{}: {message}", as_whom(user))]
    Denied {
        /// Which one.
        endpoint: String,
        /// As whom it was asked.
        user: Option<String>,
        /// What it says.
        message: String,
    },
    /// It answers with an error of its own.
    #[error("etcd at {endpoint} answers: {message} (code {code})")]
    Answer {
        /// Which one.
        endpoint: String,
        /// gRPC status code.
        code: u32,
        /// What it says.
        message: String,
    },
    /// The revision asked for is no longer kept.
    #[error("etcd has forgotten the revisions before {revision}")]
    Compacted {
        /// The oldest revision kept; 0 where it does not say.
        revision: i64,
    },
    /// The watch was ended by the other side.
    #[error("etcd at {endpoint} ended the watch: {reason}")]
    WatchEnded {
        /// Which one.
        endpoint: String,
        /// Why.
        reason: String,
    },
    /// Each endpoint failed in its way.
    #[error("no etcd endpoint can be used: {}", in_turn(failures))]
    NoEndpoint {
        /// In the order they were tried.
        failures: Vec<Error>,
    },
}

/// gRPC status codes etcd answers with.
pub(super) mod code {
    pub(crate) const DEADLINE_EXCEEDED: u32 = 4;
    pub(crate) const NOT_FOUND: u32 = 5;
    pub(crate) const PERMISSION_DENIED: u32 = 7;
    pub(crate) const RESOURCE_EXHAUSTED: u32 = 8;
    pub(crate) const OUT_OF_RANGE: u32 = 11;
    pub(crate) const UNAVAILABLE: u32 = 14;
    pub(crate) const UNAUTHENTICATED: u32 = 16;
}

fn as_whom(user: &Option<String>) -> String {
    user.as_ref()
        .map(|user| format!(" to {user}"))
        .unwrap_or_default()
}

fn in_turn(failures: &[Error]) -> String {
    let texts: Vec<String> = failures.iter().map(Error::with_causes).collect();
    texts.join("; ")
}

impl Error {
    /// The message with those of its causes: several failures share one line.
    pub(super) fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        text
    }

    /// The failures of all endpoints as one.
    pub(super) fn of_all(mut failures: Vec<Self>) -> Self {
        match failures.pop() {
            Some(only) if failures.is_empty() => only,
            Some(last) => {
                failures.push(last);
                Self::NoEndpoint { failures }
            }
            None => SettingsError::NoEndpoint.into(),
        }
    }

    /// Whether another endpoint may do better.
    pub(super) fn is_of_endpoint(&self) -> bool {
        match self {
            Self::Answer { code, .. } => {
                matches!(*code, code::UNAVAILABLE | code::DEADLINE_EXCEEDED)
            }
            Self::Settings(_)
            | Self::TooLarge { .. }
            | Self::Denied { .. }
            | Self::Compacted { .. } => false,
            _ => true,
        }
    }

    /// Whether etcd says that the lease or key asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Answer { code, .. } if *code == code::NOT_FOUND)
    }

    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Settings(source) => return source.hint(),
            Self::Unresolved { .. } => {
                "check the name for typing errors, and /etc/resolv.conf and /etc/hosts; an address can be given instead".into()
            }
            Self::Unreachable { endpoint, source } => match source.kind() {
                io::ErrorKind::ConnectionRefused => format!(
                    "is etcd running there, and does it listen on that address (--listen-client-urls {endpoint})?"
                ),
                _ => "check the address, and this host's routes to it".into(),
            },
            Self::ConnectTimedOut { .. } => {
                "a packet filter between here and there may drop the connection, or the host is down: port 2379 must be open".into()
            }
            Self::TimedOut { .. } => {
                "etcd is overloaded, or has lost its majority: see `etcdctl endpoint status`".into()
            }
            Self::Tls { endpoint, problem } => problem.hint(endpoint),
            Self::Broken { endpoint, .. } if endpoint.starts_with("http:") => {
                "if etcd speaks TLS there, the endpoint begins with https://".into()
            }
            Self::Broken { .. } => "etcd was stopped, or something between closed the connection".into(),
            Self::NotEtcd { .. } | Self::Malformed { .. } => {
                "the endpoint must be a client URL of etcd 3.4 or later, with its JSON gateway on (--enable-grpc-gateway)".into()
            }
            Self::Denied { user: None, .. } => "etcd wants a user and a password".into(),
            Self::Denied { .. } => {
                "check the user and the password, and that its role may read and write below the prefix".into()
            }
            Self::Answer { code, message, .. } => return answer_hint(*code, message),
            Self::NoEndpoint { failures } => return failures.iter().find_map(Self::hint),
            Self::TooLarge { .. } | Self::Compacted { .. } | Self::WatchEnded { .. } => return None,
        })
    }
}

fn answer_hint(code: u32, message: &str) -> Option<String> {
    let text = match code {
        // The gateway is a client of etcd itself, with the server's certificate.
        code::UNAVAILABLE if message.contains("connection closed") => {
            "etcd's own server certificate must allow client authentication too (extended key usage clientAuth): its JSON gateway uses it as a client"
        }
        code::RESOURCE_EXHAUSTED if message.contains("space") => {
            "etcd's database is full: compact and defragment it, then `etcdctl alarm disarm`"
        }
        code::UNAVAILABLE | code::DEADLINE_EXCEEDED => {
            "the cluster has no leader or no majority: see `etcdctl endpoint status --cluster`"
        }
        _ => return None,
    };
    Some(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(endpoint: &str) -> Error {
        Error::Unreachable {
            endpoint: endpoint.into(),
            source: io::ErrorKind::ConnectionRefused.into(),
        }
    }

    #[test]
    fn one_failure_is_itself_and_several_are_told_in_turn() {
        let one = Error::of_all(vec![refused("http://a:1")]);
        assert!(matches!(one, Error::Unreachable { .. }));
        let two = Error::of_all(vec![refused("http://a:1"), refused("http://b:1")]);
        assert_eq!(
            two.to_string(),
            "no etcd endpoint can be used: cannot connect to etcd at http://a:1: connection refused; \
             cannot connect to etcd at http://b:1: connection refused"
        );
        assert!(
            two.hint()
                .expect("hint")
                .contains("--listen-client-urls http://a:1")
        );
        assert!(matches!(
            Error::of_all(Vec::new()),
            Error::Settings(SettingsError::NoEndpoint)
        ));
    }

    #[test]
    fn what_another_endpoint_can_do_better_is_told_apart() {
        let answer = |code| Error::Answer {
            endpoint: "e".into(),
            code,
            message: "m".into(),
        };
        assert!(refused("e").is_of_endpoint());
        assert!(answer(code::UNAVAILABLE).is_of_endpoint());
        assert!(!answer(code::NOT_FOUND).is_of_endpoint());
        assert!(answer(code::NOT_FOUND).is_not_found());
        assert!(!Error::Compacted { revision: 3 }.is_of_endpoint());
    }

    #[test]
    fn the_gateway_without_client_usage_is_explained() {
        let error = Error::Answer {
            endpoint: "https://e:1".into(),
            code: code::UNAVAILABLE,
            message:
                "all SubConns are in TransientFailure, latest connection error: connection closed"
                    .into(),
        };
        assert!(error.hint().expect("hint").contains("clientAuth"));
    }
}
