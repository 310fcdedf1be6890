//! Why there is no trusted connection, told apart.

use rustls::{AlertDescription, CertificateError};

use crate::pki::{Validity, when};

/// Why there is no trusted connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsProblem {
    /// Its certificate is of an authority that is not ours.
    #[error("its certificate is signed by an unknown authority")]
    UnknownAuthority,
    /// Its certificate ran out, or is not valid yet.
    #[error("its certificate is expired or not valid yet")]
    Expired,
    /// Its certificate is for others.
    #[error("its certificate is for another name or address")]
    WrongName,
    /// Another fault of its certificate.
    #[error("its certificate is not good: {0}")]
    BadCertificate(String),
    /// It does not take the certificate it was shown, or wants one.
    #[error("it refuses the client's certificate ({0})")]
    ClientRefused(String),
    /// The same, and ours is over or has not begun.
    #[error("it refuses this host's certificate, which is valid from {} until {}",
        when(.0.from), when(.0.to))]
    OwnExpired(Validity),
    /// It speaks no TLS.
    #[error("it seems not to speak TLS")]
    NotTls,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl TlsProblem {
    /// What an error of the handshake means.
    pub(super) fn of(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(fault) => certificate(fault),
            rustls::Error::AlertReceived(alert) => alert_received(*alert),
            rustls::Error::InvalidMessage(_) => TlsProblem::NotTls,
            other => TlsProblem::Other(other.to_string()),
        }
    }

    /// What the person can do about it.
    pub(super) fn hint(&self, endpoint: &str) -> String {
        match self {
            Self::UnknownAuthority => {
                "give the certificate of the authority that signed etcd's certificate as the CA file".into()
            }
            Self::Expired => {
                "renew etcd's certificate; if it is new, check the clock of this host".into()
            }
            Self::WrongName => format!(
                "use a name or address etcd's certificate was made for, or add the one of {endpoint} to it"
            ),
            Self::BadCertificate(_) | Self::Other(_) => {
                "look at it with `openssl s_client -connect HOST:PORT -showcerts`".into()
            }
            Self::ClientRefused(_) => {
                "give a client certificate and key signed by the authority etcd trusts (--trusted-ca-file), and not expired".into()
            }
            Self::OwnExpired(_) => {
                "let this host join again, with a new token, or give another client certificate; if it should be valid, set this host's clock".into()
            }
            Self::NotTls => "that endpoint begins with http://, or etcd must be given a certificate".into(),
        }
    }
}

fn certificate(fault: &CertificateError) -> TlsProblem {
    match fault {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            TlsProblem::UnknownAuthority
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => TlsProblem::Expired,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsProblem::WrongName
        }
        other => TlsProblem::BadCertificate(other.to_string()),
    }
}

fn alert_received(alert: AlertDescription) -> TlsProblem {
    match alert {
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRequired
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => TlsProblem::ClientRefused(format!("{alert:?}")),
        other => TlsProblem::Other(format!("it ended the handshake with {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_either_side_are_told_apart() {
        let theirs = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(TlsProblem::of(&theirs), TlsProblem::UnknownAuthority);
        let ours = rustls::Error::AlertReceived(AlertDescription::BadCertificate);
        assert_eq!(
            TlsProblem::of(&ours),
            TlsProblem::ClientRefused("BadCertificate".into())
        );
        let other = rustls::Error::AlertReceived(AlertDescription::ProtocolVersion);
        assert!(matches!(TlsProblem::of(&other), TlsProblem::Other(_)));
    }
}
