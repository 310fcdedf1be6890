//! Requests for a certificate (PKCS #10): the key stays with whom it is for.

use std::net::IpAddr;

use rcgen::{CertificateSigningRequestParams, DnType, DnValue, KeyPair, SanType};

use super::{Error, Profile};

/// No request of ours is as long.
const MAX_REQUEST: usize = 64 << 10;

/// A new key, and the request for its certificate.
pub struct NewRequest {
    /// The key (PEM). Not to be shown to anybody.
    pub key: String,
    /// The request (PEM).
    pub request: String,
}

impl NewRequest {
    /// A new key and a request for what `profile` names. (Usage and validity are the signer's choice.)
    pub fn new(profile: &Profile) -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(Error::make("key"))?;
        let request = profile
            .subject()?
            .serialize_request(&key)
            .and_then(|request| request.pem())
            .map_err(Error::make("request"))?;
        Ok(Self {
            key: key.serialize_pem(),
            request,
        })
    }
}

/// A stranger's request, whose sender has the key it names. What it asks for is not granted by that:
/// the certificate says what the signer's [`Profile`] says.
#[derive(Debug)]
pub struct Request {
    pub(super) parameters: CertificateSigningRequestParams,
}

impl Request {
    /// Reads a request and checks its signature.
    pub fn parse(pem: &str) -> Result<Self, Error> {
        let unreadable = |reason: String| Error::Unreadable {
            what: "request for a certificate",
            reason,
        };
        if pem.len() > MAX_REQUEST {
            return Err(unreadable(format!("it is longer than {MAX_REQUEST} bytes")));
        }
        let parameters = CertificateSigningRequestParams::from_pem(pem)
            .map_err(|error| unreadable(error.to_string()))?;
        Ok(Self { parameters })
    }

    /// The common name it asks for.
    pub fn common_name(&self) -> Option<String> {
        let name = &self.parameters.params.distinguished_name;
        match name.get(&DnType::CommonName)? {
            DnValue::Utf8String(text) => Some(text.clone()),
            DnValue::PrintableString(text) => Some(text.as_str().to_owned()),
            DnValue::Ia5String(text) => Some(text.as_str().to_owned()),
            _ => None,
        }
    }

    /// The host names it asks for.
    pub fn names(&self) -> Vec<String> {
        let all = self.parameters.params.subject_alt_names.iter();
        all.filter_map(|name| match name {
            SanType::DnsName(name) => Some(name.as_str().to_owned()),
            _ => None,
        })
        .collect()
    }

    /// The addresses it asks for.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let all = self.parameters.params.subject_alt_names.iter();
        all.filter_map(|name| match name {
            SanType::IpAddress(address) => Some(*address),
            _ => None,
        })
        .collect()
    }
}
