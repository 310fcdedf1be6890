//! What is done on the first host for one that asks: with files and locks, so on a thread that may wait.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use hyper::StatusCode;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;

use super::message::{JoinReply, JoinRequest, Reason, Refused, host_name};
use crate::agent::chain;
use crate::pki::{self, AdmitError, AuthorityFiles, Token};

/// No certificate or key of ours is as large.
const MAX_PEM: u64 = 256 << 10;

/// Why the server's certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigError {
    #[error("cannot read etcd's certificate and key")]
    File(#[from] ignite_host::fs::Error),
    #[error("{path} is no certificate or key (PEM): {reason}")]
    Pem { path: String, reason: String },
    #[error("etcd's certificate and key cannot be used")]
    Tls(#[from] rustls::Error),
}

/// How the server speaks TLS now: with etcd's certificate, and the authority's behind it.
pub(super) fn server_config(files: &AuthorityFiles) -> Result<Arc<ServerConfig>, ConfigError> {
    let pair = files.etcd();
    let mut chain = certificates(&pair.certificate)?;
    chain.extend(certificates(&files.ca())?);
    let bytes = ignite_host::fs::read_bounded(&pair.key, MAX_PEM)?;
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(not_pem(&pair.key))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // Nobody comes twice.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let bytes = ignite_host::fs::read_bounded(path, MAX_PEM)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    found.map_err(not_pem(path))
}

fn not_pem(path: &Path) -> impl FnOnce(rustls::pki_types::pem::Error) -> ConfigError {
    move |error| ConfigError::Pem {
        path: path.display().to_string(),
        reason: error.to_string(),
    }
}

/// Lets a host in or not, and writes either into the log. `body` is what it sent.
pub(super) fn admit(
    files: &AuthorityFiles,
    endpoints: &[String],
    peer: SocketAddr,
    body: &[u8],
) -> Result<JoinReply, (StatusCode, Refused)> {
    let malformed = |message: String| {
        tracing::debug!("{peer} sent no request to join: {message}");
        let reason = Reason::Request;
        (StatusCode::BAD_REQUEST, Refused { reason, message })
    };
    let asked = JoinRequest::parse(body).map_err(|error| malformed(chain(&error)))?;
    let token: Token = asked
        .token
        .parse()
        .map_err(|error| malformed(chain(&error)))?;
    let (name, id) = (host_name(&asked.host), token.id());
    match sign(files, &token, &asked.request, &name) {
        Ok((certificate, authority)) => {
            tracing::info!("{peer} joined as {name} with the token {id}");
            let endpoints = endpoints.to_vec();
            Ok(JoinReply {
                certificate,
                authority,
                endpoints,
            })
        }
        Err(error) => {
            tracing::warn!(
                "{peer} may not join as {name} with the token {id}: {}",
                chain(&error)
            );
            let refused = Refused::of(&error);
            Err((status(refused.reason), refused))
        }
    }
}

/// The host's certificate and the authority's (PEM).
fn sign(
    files: &AuthorityFiles,
    token: &Token,
    request: &str,
    name: &str,
) -> Result<(String, String), AdmitError> {
    let (authority, now) = (
        files.authority().map_err(AdmitError::Make)?,
        SystemTime::now(),
    );
    // Of what it asks for it gets nothing but a certificate for its key.
    let profile = |_: &pki::Request| Ok(pki::client(name, &authority, now));
    let tokens = files.tokens();
    let certificate = tokens.admit(&authority, token, request, now, profile)?;
    Ok((certificate, authority.certificate().to_owned()))
}

fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::Unknown | Reason::Expired | Reason::Used => StatusCode::FORBIDDEN,
        Reason::Request => StatusCode::BAD_REQUEST,
        Reason::AuthorityExpired | Reason::Fault | Reason::Other => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}
