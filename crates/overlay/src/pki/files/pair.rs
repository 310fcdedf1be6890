//! A key and its certificate beside each other.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::{KeyPair, PublicKeyData};

use super::write_public;
use crate::pki::{
    Authority, Error, Facts, Profile, Usage, check_signed, der, read_text, write_private,
};

/// Where a key and its certificate are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate (PEM).
    pub certificate: PathBuf,
    /// The key (PEM).
    pub key: PathBuf,
}

impl Pair {
    pub(super) fn new(directory: &Path, name: &str) -> Self {
        let file = |kind: &str| directory.join(format!("{name}.{kind}"));
        Self {
            certificate: file("crt"),
            key: file("key"),
        }
    }

    /// What its certificate says, if key and certificate belong together, are the authority's (DER) for
    /// this usage, and the time is right.
    pub(super) fn check(
        &self,
        authority: &[u8],
        usage: Usage,
        now: SystemTime,
    ) -> Result<Facts, Error> {
        let certificate = der(&read_text(&self.certificate)?)?;
        let facts = Facts::of_der(&certificate)?;
        if !facts.is_for(&read_text(&self.key)?)? {
            return Err(Error::WrongKey);
        }
        check_signed(authority, &certificate, usage)?;
        match facts.remaining(now) {
            Some(_) => Ok(facts),
            None => Err(Error::NotNow {
                path: self.certificate.clone(),
                validity: facts.validity(),
                now,
            }),
        }
    }

    /// Has it say what is wanted, and more if it said more already; whether that took a new one. A key
    /// that is good stays: so there is no moment in which it does not fit.
    pub(super) fn ensure(
        &self,
        authority: &Authority,
        wanted: Profile,
        now: SystemTime,
    ) -> Result<bool, Error> {
        let issuer = der(authority.certificate())?;
        let mut wanted = wanted;
        // What cannot be used is made again, whatever is wrong with it.
        if let Ok(found) = self.check(&issuer, wanted.usage, now) {
            if found.covers(&wanted.names, &wanted.addresses) {
                return Ok(false);
            }
            add(&mut wanted.names, found.names);
            add(&mut wanted.addresses, found.addresses);
        }
        let key = self.key_or_new()?;
        write_public(&self.certificate, &authority.certify(&wanted, &key)?)?;
        Ok(true)
    }

    fn key_or_new(&self) -> Result<impl PublicKeyData + use<>, Error> {
        let kept = read_text(&self.key).ok();
        if let Some(key) = kept.and_then(|text| KeyPair::from_pem(&text).ok()) {
            return Ok(key);
        }
        let key = KeyPair::generate().map_err(Error::make("key"))?;
        write_private(&self.key, &key.serialize_pem())?;
        Ok(key)
    }
}

fn add<T: PartialEq>(to: &mut Vec<T>, more: Vec<T>) {
    for value in more {
        if !to.contains(&value) {
            to.push(value);
        }
    }
}
