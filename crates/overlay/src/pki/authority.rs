//! The authority that signs the cluster's certificates.

use std::fmt;
use std::path::Path;

use rcgen::{BasicConstraints, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData};

use super::profile::{limit, named};
use super::{Error, Facts, Profile, Request, Validity, read_text, write_private};

/// An authority: its certificate and its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    facts: Facts,
}

/// A key with its certificate.
pub struct Issued {
    /// The certificate (PEM).
    pub certificate: String,
    /// The key (PEM). Not to be shown to anybody.
    pub key: String,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is for nobody's log.
        f.debug_tuple("Authority").field(&self.facts).finish()
    }
}

impl Authority {
    /// A new authority, not kept anywhere yet.
    pub fn create(name: &str, validity: Validity) -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(Error::make("key"))?;
        Self::self_signed(name, validity, key)
    }

    /// The authority of a key (PEM) whose certificate was not kept. To those who trust the one there was
    /// by this name, it is the same.
    pub fn of_key(name: &str, validity: Validity, key: &str) -> Result<Self, Error> {
        let key = KeyPair::from_pem(key).map_err(Error::unreadable_key)?;
        Self::self_signed(name, validity, key)
    }

    fn self_signed(name: &str, validity: Validity, key: KeyPair) -> Result<Self, Error> {
        let mut parameters = named(name)?;
        limit(&mut parameters, validity);
        // It signs certificates of hosts, no further authorities.
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = parameters
            .self_signed(&key)
            .map_err(Error::make("authority's certificate"))?;
        Ok(Self {
            facts: Facts::of_der(certificate.der())?,
            certificate: certificate.pem(),
            issuer: Issuer::new(parameters, key),
        })
    }

    /// An authority of its certificate and key (PEM), which must belong together.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, Error> {
        let facts = Facts::of_pem(certificate)?;
        if !facts.authority {
            return Err(Error::NotAnAuthority);
        }
        let key = KeyPair::from_pem(key).map_err(Error::unreadable_key)?;
        if key.subject_public_key_info() != facts.public_key {
            return Err(Error::WrongKey);
        }
        let issuer = Issuer::from_ca_cert_pem(certificate, key)
            .map_err(Error::make("authority of its certificate"))?;
        Ok(Self {
            issuer,
            certificate: certificate.to_owned(),
            facts,
        })
    }

    /// Reads an authority that was saved.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, Error> {
        Self::from_pem(&read_text(certificate)?, &read_text(key)?)
    }

    /// Writes it to two files, which only their owner may read. The key first: a certificate without
    /// one would be trusted, and of no use.
    pub fn save(&self, certificate: &Path, key: &Path) -> Result<(), Error> {
        write_private(key, &self.issuer.key().serialize_pem())?;
        Ok(write_private(certificate, &self.certificate)?)
    }

    /// Its certificate (PEM): what those who trust it are given.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// What its certificate says.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Makes a key and its certificate.
    pub fn issue(&self, profile: &Profile) -> Result<Issued, Error> {
        let key = KeyPair::generate().map_err(Error::make("key"))?;
        Ok(Issued {
            certificate: self.certify(profile, &key)?,
            key: key.serialize_pem(),
        })
    }

    /// The certificate (PEM) for the key of a request. It says what `profile` says; of what the request
    /// asks for, nothing is taken but the key.
    pub fn sign(&self, request: &Request, profile: &Profile) -> Result<String, Error> {
        self.certify(profile, &request.parameters.public_key)
    }

    /// The certificate (PEM) for this key.
    pub(super) fn certify(
        &self,
        profile: &Profile,
        key: &impl PublicKeyData,
    ) -> Result<String, Error> {
        let until = self.facts.not_after;
        if profile.validity.from >= until || profile.validity.to <= self.facts.not_before {
            return Err(Error::AuthorityExpired);
        }
        let certificate = profile
            .parameters(until)?
            .signed_by(key, &self.issuer)
            .map_err(Error::make("certificate"))?;
        Ok(certificate.pem())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{NewRequest, Usage};
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, SystemTime};

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn authority() -> Authority {
        Authority::create("ignite etcd", Validity::days(now(), 3650)).expect("authority")
    }

    fn profile() -> Profile {
        Profile {
            common_name: "node-1".into(),
            names: vec!["etcd.example".into()],
            addresses: vec![
                "10.0.0.1".parse().expect("ip"),
                "fd00::1".parse().expect("ip"),
            ],
            usage: Usage::Server,
            validity: Validity::days(now(), 365),
        }
    }

    #[test]
    fn a_certificate_says_what_the_profile_says() {
        let issued = authority().issue(&profile()).expect("issue");
        let facts = Facts::of_pem(&issued.certificate).expect("facts");
        assert_eq!(facts.common_name.as_deref(), Some("node-1"));
        assert_eq!(facts.names, ["etcd.example"]);
        assert_eq!(facts.addresses, profile().addresses);
        assert!(!facts.authority);
        assert_eq!(
            facts.remaining(now()),
            Some(Duration::from_secs(365 * 86_400))
        );
        assert!(!facts.is_due(now()));
        assert!(facts.is_due(now() + Duration::from_secs(300 * 86_400)));
        assert_eq!(facts.remaining(now() - Duration::from_secs(2 * 3600)), None);
        assert!(facts.is_due(now() + Duration::from_secs(400 * 86_400)));
    }

    #[test]
    fn servers_may_be_clients_too() {
        let certificate = authority().issue(&profile()).expect("issue").certificate;
        let (_, pem) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()).expect("pem");
        let found = pem.parse_x509().expect("x509");
        let usage = found
            .extended_key_usage()
            .expect("usage")
            .expect("some")
            .value;
        assert!(usage.server_auth && usage.client_auth);
    }

    #[test]
    fn a_server_without_name_is_refused_and_a_client_is_not() {
        let mut nobody = Profile {
            names: Vec::new(),
            addresses: Vec::new(),
            ..profile()
        };
        assert!(matches!(authority().issue(&nobody), Err(Error::ForNobody)));
        nobody.usage = Usage::Client;
        authority().issue(&nobody).expect("client");
    }

    #[test]
    fn no_certificate_outlives_its_authority() {
        let short = Authority::create("short", Validity::days(now(), 10)).expect("authority");
        let issued = short.issue(&profile()).expect("issue");
        let facts = Facts::of_pem(&issued.certificate).expect("facts");
        assert_eq!(facts.not_after, short.facts().not_after);
        let late = Profile {
            validity: Validity::days(now() + Duration::from_secs(11 * 86_400), 1),
            ..profile()
        };
        assert!(matches!(short.issue(&late), Err(Error::AuthorityExpired)));
    }

    #[test]
    fn what_is_saved_is_loaded_and_is_private() {
        let directory = tempfile::tempdir().expect("tempdir");
        let [certificate, key] = ["ca.crt", "ca.key"].map(|name| directory.path().join(name));
        let made = authority();
        made.save(&certificate, &key).expect("save");
        for path in [&certificate, &key] {
            let mode = std::fs::metadata(path).expect("stat").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let loaded = Authority::load(&certificate, &key).expect("load");
        assert_eq!(loaded.facts(), made.facts());
        assert_eq!(loaded.facts().fingerprint.len(), 64);
        loaded.issue(&profile()).expect("issue");
    }

    #[test]
    fn keys_and_certificates_of_others_are_refused() {
        let (one, other) = (authority(), authority());
        let key = other.issuer.key().serialize_pem();
        assert!(matches!(
            Authority::from_pem(one.certificate(), &key),
            Err(Error::WrongKey)
        ));
        let leaf = one.issue(&profile()).expect("issue");
        assert!(matches!(
            Authority::from_pem(&leaf.certificate, &leaf.key),
            Err(Error::NotAnAuthority)
        ));
        assert!(matches!(
            Authority::from_pem(one.certificate(), "no key"),
            Err(Error::Unreadable { what: "key", .. })
        ));
    }

    #[test]
    fn a_request_is_signed_as_the_signer_wants_it() {
        let asked = Profile {
            common_name: "root".into(),
            names: vec!["everything.example".into()],
            ..profile()
        };
        let new = NewRequest::new(&asked).expect("request");
        let request = Request::parse(&new.request).expect("parse");
        assert_eq!(request.common_name().as_deref(), Some("root"));
        assert_eq!(request.names(), ["everything.example"]);
        assert_eq!(request.addresses(), profile().addresses);
        let granted = Profile {
            usage: Usage::Client,
            ..profile()
        };
        let signed = authority().sign(&request, &granted).expect("sign");
        let facts = Facts::of_pem(&signed).expect("facts");
        assert_eq!(facts.common_name.as_deref(), Some("node-1"));
        assert_eq!(facts.names, ["etcd.example"]);
        let key = KeyPair::from_pem(&new.key).expect("key");
        assert_eq!(facts.public_key, key.subject_public_key_info());
    }

    #[test]
    fn no_change_of_a_certificate_makes_reading_it_panic() {
        let issued = authority().issue(&profile()).expect("issue");
        let (_, pem) =
            x509_parser::pem::parse_x509_pem(issued.certificate.as_bytes()).expect("pem");
        for at in 0..pem.contents.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = pem.contents.clone();
                changed[at] ^= change;
                // Most changes are errors; some only change what is read.
                let _ = Facts::of_der(&changed);
            }
            Facts::of_der(&pem.contents[..at]).expect_err("cut short");
        }
    }

    #[test]
    fn forged_and_foreign_requests_are_refused() {
        let new = NewRequest::new(&profile()).expect("request");
        Request::parse("").expect_err("empty");
        Request::parse(&"x".repeat(70_000)).expect_err("long");
        Request::parse(&new.key).expect_err("a key");
        // Whatever is changed, the signature is no longer one of it.
        let body = new.request.find('\n').expect("body");
        let end = new.request.rfind("=\n").unwrap_or(new.request.len() - 40);
        for at in (body + 1..end - 4).step_by(7) {
            let mut forged = new.request.clone().into_bytes();
            if forged[at].is_ascii_alphanumeric() {
                forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
                let forged = String::from_utf8(forged).expect("ASCII");
                assert!(Request::parse(&forged).is_err(), "{at}: {forged}");
            }
        }
    }
}
