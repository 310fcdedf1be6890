//! Whom a joining host trusts: a server of the authority its token names, and nobody else.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme,
};

use crate::pki::{self, Token, Usage, check_signed};

/// Why a server is not trusted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Distrust {
    /// The authority of the token is not in its chain.
    #[error("its chain does not have the authority of the token")]
    OtherAuthority,
    /// That authority is there, but did not sign this certificate for a server.
    #[error("its certificate is not one of a server of the token's authority")]
    Impostor(#[source] pki::Error),
}

/// Trusts the servers of the token's authority. Their names are not looked at: nobody but its etcd has a
/// server's certificate. Neither are times, which are judged when the server's clock is known.
#[derive(Debug)]
struct Verifier {
    token: Token,
    provider: CryptoProvider,
}

/// How a host with this token speaks TLS.
pub(super) fn client_config(token: &Token) -> Arc<ClientConfig> {
    let verifier = Verifier {
        token: token.clone(),
        provider: ring::default_provider(),
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the suites of both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Arc::new(config)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authority = intermediates.iter().find(|der| self.token.trusts(der));
        authority
            .ok_or(Distrust::OtherAuthority)
            .and_then(|der| {
                check_signed(der, end_entity, Usage::Server).map_err(Distrust::Impostor)
            })
            .map(|()| ServerCertVerified::assertion())
            .map_err(|distrust| CertificateError::Other(OtherError(Arc::new(distrust))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
