//! What a certificate says.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{KeyPair, PublicKeyData};
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;
use x509_parser::time::ASN1Time;

use super::{Error, Validity};

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The common name of whom it is for.
    pub common_name: Option<String>,
    /// The names it is good for.
    pub names: Vec<String>,
    /// The addresses it is good for.
    pub addresses: Vec<IpAddr>,
    /// Not valid before.
    pub not_before: SystemTime,
    /// Not valid after.
    pub not_after: SystemTime,
    /// Whether it may sign others.
    pub authority: bool,
    /// SHA-256 of its bytes (DER), in hexadecimal.
    pub fingerprint: String,
    /// The public key with its algorithm (DER).
    pub(super) public_key: Vec<u8>,
}

impl Facts {
    /// Reads the first certificate of a PEM text.
    pub fn of_pem(pem: &str) -> Result<Self, Error> {
        Self::of_der(&der(pem)?)
    }

    /// Reads a certificate.
    pub fn of_der(der: &[u8]) -> Result<Self, Error> {
        let (_, found) = x509_parser::parse_x509_certificate(der).map_err(unreadable)?;
        let (names, addresses) = alternatives(&found);
        let common_name = found.subject().iter_common_name().next();
        Ok(Self {
            common_name: common_name
                .and_then(|name| name.as_str().ok())
                .map(str::to_owned),
            names,
            addresses,
            not_before: time(found.validity().not_before),
            not_after: time(found.validity().not_after),
            authority: found.is_ca(),
            fingerprint: fingerprint(der),
            public_key: found.public_key().raw.to_vec(),
        })
    }

    /// From when to when it is valid.
    pub fn validity(&self) -> Validity {
        Validity {
            from: self.not_before,
            to: self.not_after,
        }
    }

    /// Whether it is good for all of these.
    pub fn covers(&self, names: &[String], addresses: &[IpAddr]) -> bool {
        names.iter().all(|name| self.names.contains(name))
            && addresses
                .iter()
                .all(|address| self.addresses.contains(address))
    }

    /// Whether it is the certificate of this key (PEM).
    pub fn is_for(&self, key: &str) -> Result<bool, Error> {
        let key = KeyPair::from_pem(key).map_err(Error::unreadable_key)?;
        Ok(key.subject_public_key_info() == self.public_key)
    }

    /// How long it is still valid; none if it is not.
    pub fn remaining(&self, now: SystemTime) -> Option<Duration> {
        match now >= self.not_before {
            true => self.not_after.duration_since(now).ok(),
            false => None,
        }
    }

    /// Whether it is time for a new one: a third of its life is left, or less.
    pub fn is_due(&self, now: SystemTime) -> bool {
        let life = self.not_after.duration_since(self.not_before);
        let third = life.unwrap_or_default() / 3;
        self.remaining(now).is_none_or(|left| left <= third)
    }
}

/// The bytes (DER) of the first certificate of a PEM text.
pub fn der(pem: &str) -> Result<Vec<u8>, Error> {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).map_err(unreadable)?;
    Ok(pem.contents)
}

/// SHA-256 of a certificate's bytes (DER), in hexadecimal.
pub fn fingerprint(der: &[u8]) -> String {
    hex::encode(Sha256::digest(der))
}

fn alternatives(certificate: &X509Certificate<'_>) -> (Vec<String>, Vec<IpAddr>) {
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    let extension = certificate.subject_alternative_name().ok().flatten();
    let general = extension.map(|found| &found.value.general_names);
    for name in general.into_iter().flatten() {
        match name {
            GeneralName::DNSName(name) => names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
            _ => {}
        }
    }
    (names, addresses)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

fn time(time: ASN1Time) -> SystemTime {
    let seconds = Duration::from_secs(time.timestamp().unsigned_abs());
    let found = match time.timestamp() >= 0 {
        true => UNIX_EPOCH.checked_add(seconds),
        false => UNIX_EPOCH.checked_sub(seconds),
    };
    // All years of certificates fit.
    found.unwrap_or(UNIX_EPOCH)
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::Unreadable {
        what: "certificate",
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_texts_are_no_certificates() {
        for text in [
            "",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n?\n",
        ] {
            assert!(
                matches!(Facts::of_pem(text), Err(Error::Unreadable { .. })),
                "{text}"
            );
        }
        Facts::of_der(&[0x30; 4096]).expect_err("noise");
    }
}
