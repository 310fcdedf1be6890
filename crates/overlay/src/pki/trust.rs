//! Whether a certificate is one of an authority: the verification of paths that TLS itself uses.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};

use super::{Error, Facts, Usage};

/// Checks that `authority` signed `certificate` (both DER) itself, and for this usage. Names are not
/// looked at, and times neither: what [`Facts`] tells of them is judged by those who know whose clock
/// to believe.
pub fn check_signed(authority: &[u8], certificate: &[u8], usage: Usage) -> Result<(), Error> {
    // The verification wants a moment: one at which the certificate is valid.
    let moment = Facts::of_der(certificate)?.not_before;
    let moment = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let moment = UnixTime::since_unix_epoch(moment);
    let certificate = CertificateDer::from(certificate);
    let refused = |source| Error::NotSigned { usage, source };

    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(authority))
        .map_err(refused)?;
    if usage == Usage::Server {
        let parsed = ParsedCertificate::try_from(&certificate).map_err(refused)?;
        let algorithms = ring::default_provider().signature_verification_algorithms;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], moment, algorithms.all)
            .map_err(refused)?;
    }
    // A server of ours is a client too.
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| refused(rustls::Error::General(error.to_string())))?;
    verifier
        .verify_client_cert(&certificate, &[], moment)
        .map(drop)
        .map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{Authority, Profile, Validity, der};
    use std::net::Ipv4Addr;
    use std::time::{Duration, SystemTime};

    fn authority() -> Authority {
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        Authority::create("a", Validity::days(then, 10)).expect("authority")
    }

    fn issue(authority: &Authority, usage: Usage) -> Vec<u8> {
        let profile = Profile {
            common_name: "n".into(),
            names: Vec::new(),
            addresses: vec![Ipv4Addr::LOCALHOST.into()],
            usage,
            validity: Validity {
                from: authority.facts().not_before,
                to: authority.facts().not_after,
            },
        };
        let issued = authority.issue(&profile).expect("issue");
        der(&issued.certificate).expect("der")
    }

    #[test]
    fn only_its_own_certificates_for_the_usage_they_have_are_an_authoritys() {
        // All of them are over for years.
        let (one, other) = (authority(), authority());
        let [root, stranger] = [&one, &other].map(|a| der(a.certificate()).expect("der"));
        let (server, client) = (issue(&one, Usage::Server), issue(&one, Usage::Client));
        check_signed(&root, &server, Usage::Server).expect("server");
        check_signed(&root, &server, Usage::Client).expect("a client too");
        check_signed(&root, &client, Usage::Client).expect("client");
        for (root, certificate, usage) in [
            (&root, &client, Usage::Server),
            (&stranger, &server, Usage::Server),
            (&stranger, &client, Usage::Client),
            (&root, &root, Usage::Client),
        ] {
            let refused = check_signed(root, certificate, usage);
            assert!(
                matches!(refused, Err(Error::NotSigned { .. })),
                "{refused:?}"
            );
        }
        check_signed(b"junk", &client, Usage::Client).expect_err("no authority");
        check_signed(&root, b"junk", Usage::Client).expect_err("no certificate");
    }
}
