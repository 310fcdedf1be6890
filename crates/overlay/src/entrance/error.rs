//! Why a host did not join.

use std::io;
use std::time::SystemTime;

use super::message::{MessageError, Reason, Refused};
use super::verify::Distrust;
use crate::dial::DialError;
use crate::pki::{self, when};

/// Why a host did not join. `at` is the first host's name and port.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The name has no address.
    #[error("the name of {at} does not resolve")]
    Unresolved {
        /// Where to.
        at: String,
        /// The resolver's answer.
        source: io::Error,
    },
    /// Nobody listens.
    #[error("nobody lets hosts join at {at}: the connection is refused")]
    ConnectionRefused {
        /// Where to.
        at: String,
    },
    /// There is no way.
    #[error("cannot connect to {at}")]
    Unreachable {
        /// Where to.
        at: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// No answer to the attempt to connect.
    #[error("{at} does not answer to an attempt to connect")]
    ConnectTimedOut {
        /// Where to.
        at: String,
    },
    /// Connected, and no answer in time.
    #[error("{at} does not answer in time")]
    TimedOut {
        /// Where to.
        at: String,
    },
    /// Another kind of server.
    #[error("{at} seems not to speak TLS")]
    NotTls {
        /// Where to.
        at: String,
    },
    /// No connection that is encrypted, for another reason.
    #[error("no encrypted connection to {at}")]
    Tls {
        /// Where to.
        at: String,
        /// What failed.
        source: rustls::Error,
    },
    /// It is not whom the token names.
    #[error("{at} is not of the overlay that the token is for: {reason}")]
    WrongAuthority {
        /// Where to.
        at: String,
        /// What was found.
        reason: String,
    },
    /// The two clocks differ by more than certificates allow for.
    #[error("the clocks differ: here it is {}, at {at} it is {}, and its certificate is valid from {} until {}",
        when(*ours), when(*theirs), when(validity.from), when(validity.to))]
    Clock {
        /// Where to.
        at: String,
        /// What this host's clock says.
        ours: SystemTime,
        /// What the first host's says.
        theirs: SystemTime,
        /// From when to when its certificate is valid.
        validity: pki::Validity,
    },
    /// The overlay's authority is over, by the first host's own clock.
    #[error("the authority of the overlay at {at} is over or not valid yet")]
    AuthorityExpired {
        /// Where to.
        at: String,
    },
    /// The first host's certificate is over, by its own clock.
    #[error("the certificate of {at} is valid from {} until {}, and its clock says {}",
        when(validity.from), when(validity.to), when(*theirs))]
    ServerExpired {
        /// Where to.
        at: String,
        /// From when to when its certificate is valid.
        validity: pki::Validity,
        /// What its clock says.
        theirs: SystemTime,
    },
    /// The token is not taken.
    #[error("{at} does not take the token: {}", of_token(reason))]
    Token {
        /// Where to.
        at: String,
        /// Its name or address.
        host: String,
        /// Why.
        reason: Reason,
    },
    /// It does not sign, for a reason that is not the token's.
    #[error("{at} lets nobody join: {message}")]
    Rejected {
        /// Where to.
        at: String,
        /// What it says.
        message: String,
    },
    /// The conversation broke off.
    #[error("the connection to {at} broke")]
    Broken {
        /// Where to.
        at: String,
        /// What failed.
        source: hyper::Error,
    },
    /// The answer is longer than any that is expected.
    #[error("the answer of {at} is too long")]
    TooLong {
        /// Where to.
        at: String,
    },
    /// The answer is something else.
    #[error("cannot read the answer of {at} (status {status})")]
    Malformed {
        /// Where to.
        at: String,
        /// Of HTTP.
        status: u16,
        /// What is wrong.
        source: MessageError,
    },
    /// The certificate it gave is not what was asked for.
    #[error("the certificate given by {at} is of no use")]
    Useless {
        /// Where to.
        at: String,
        /// What is wrong with it.
        source: pki::Error,
    },
    /// This host's part.
    #[error("cannot make the request for a certificate")]
    Request(#[source] pki::Error),
}

fn of_token(reason: &Reason) -> &'static str {
    match reason {
        Reason::Used => "it was used already",
        Reason::Expired => "its time is over",
        _ => "it was never given out, or was revoked",
    }
}

impl JoinError {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unresolved { .. } => {
                "check the name for typing errors, and /etc/resolv.conf and /etc/hosts; an address can be given instead".into()
            }
            Self::ConnectionRefused { .. } => {
                "join at the first host of the overlay, where `ignite overlay init` ran, and see there whether its agent runs (`ignite overlay status`); an overlay made with --insecure is joined without a token".into()
            }
            Self::Unreachable { .. } => "check the address, and this host's routes to it".into(),
            Self::ConnectTimedOut { at } | Self::TimedOut { at } => format!(
                "a packet filter between here and there may drop the connection: {} must be open on the first host, 2379/tcp too; or the host is down or busy",
                port(at)
            ),
            Self::NotTls { at } => format!(
                "another program may have {} there, or its agent has no certificate to show: see the agent's log on the first host",
                port(at)
            ),
            Self::WrongAuthority { .. } => {
                "the token is of another overlay, or somebody between here and there answers in its place. Check the address, and make a new token on the first host: ignite overlay token new. Nothing secret was sent".into()
            }
            Self::Clock { .. } => {
                "set the clock that is wrong, `timedatectl set-ntp true` for example, and join again: the token is still good".into()
            }
            Self::AuthorityExpired { .. } => {
                "check the clock of the first host; if it is right, the overlay has to be made anew there (`ignite overlay init`)".into()
            }
            Self::ServerExpired { .. } => {
                "check the clock of the first host; if it is right, run `ignite overlay init` there again, which makes the certificate anew".into()
            }
            Self::Token { host, .. } => format!("make a new one on {host}: ignite overlay token new"),
            Self::Rejected { .. } => "see the log of the agent on the first host; the token is still good".into(),
            Self::Broken { .. } => "see the log of the agent on the first host, and join again; if the token was used up, make a new one".into(),
            Self::Malformed { .. } | Self::TooLong { .. } | Self::Tls { .. } => {
                "is the same version of Ignite on both hosts?".into()
            }
            Self::Useless { .. } => {
                "is the same version of Ignite on both hosts? The token is used up: make a new one".into()
            }
            Self::Request(source) => return source.hint(),
        })
    }

    /// A connection that was not made.
    pub(super) fn dial(at: String, error: DialError) -> Self {
        match error {
            DialError::Unresolved(source) => Self::Unresolved { at, source },
            DialError::Refused => Self::ConnectionRefused { at },
            DialError::TimedOut => Self::ConnectTimedOut { at },
            DialError::Unreachable(source) => Self::Unreachable { at, source },
        }
    }

    /// A handshake that failed.
    pub(super) fn handshake(at: String, error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        match inner {
            Some(rustls::Error::InvalidCertificate(fault)) => Self::distrust(at, fault),
            // Who expects something else hangs up, or answers in its own language.
            Some(rustls::Error::InvalidMessage(_)) | None => Self::NotTls { at },
            Some(other) => Self::Tls {
                at,
                source: other.clone(),
            },
        }
    }

    fn distrust(at: String, fault: &rustls::CertificateError) -> Self {
        let found = match fault {
            rustls::CertificateError::Other(other) => other.0.downcast_ref::<Distrust>(),
            _ => None,
        };
        let reason = found.map_or_else(|| fault.to_string(), |found| crate::agent::chain(found));
        Self::WrongAuthority { at, reason }
    }

    /// A refusal.
    pub(super) fn refused(at: String, host: &str, refused: Refused) -> Self {
        match refused.reason {
            reason @ (Reason::Unknown | Reason::Used | Reason::Expired) => Self::Token {
                at,
                host: host.to_owned(),
                reason,
            },
            Reason::AuthorityExpired => Self::AuthorityExpired { at },
            Reason::Request | Reason::Fault | Reason::Other => Self::Rejected {
                at,
                message: refused.message,
            },
        }
    }
}

/// As packet filters write it.
fn port(at: &str) -> String {
    let port = at.rsplit(':').next().unwrap_or_default();
    format!("port {port}/tcp")
}
