//! What the first host keeps: the authority, etcd's keys and certificates, the tokens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ignite_host::fs::Lock;

use super::{NodeFiles, Pair, make_private};
use crate::pki::profile::SKEW;
use crate::pki::{Authority, Error, Profile, TokenStore, Usage, Validity, read_text};

/// A network must not stop because nobody thought of it for a year.
const LIFE_DAYS: u32 = 3650;
/// June 2025. A clock before that was never set, and what it dates is over once it is.
const EARLIEST: Duration = Duration::from_secs(1_750_000_000);
const AUTHORITY_NAME: &str = "Ignite overlay";
const ETCD_NAME: &str = "ignite etcd";
/// Common name of the certificate members of etcd show each other. No host that joins can have one
/// with a space, so etcd can be told to take no other (`--peer-cert-allowed-cn`).
pub const PEER_NAME: &str = "ignite etcd peer";

/// The directory of an authority.
#[derive(Debug, Clone)]
pub struct AuthorityFiles {
    directory: PathBuf,
}

/// What [`AuthorityFiles::create`] had to make, or to make again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// The authority's certificate.
    pub authority: bool,
    /// The certificate of etcd for its clients.
    pub etcd: bool,
    /// The certificate of etcd for its other members.
    pub peer: bool,
}

impl AuthorityFiles {
    /// The files in this directory, which need not exist.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// Makes what is missing or of no use: what is good stays, the authority above all. The certificates
    /// of etcd are good for these names and addresses, for those they were good for, and for this host
    /// itself. A running etcd takes them up with its next connection.
    pub fn create(
        &self,
        names: &[String],
        addresses: &[IpAddr],
        now: SystemTime,
    ) -> Result<Made, Error> {
        check_clock(now)?;
        make_private(&self.directory)?;
        let _lock = self.lock()?;
        let (authority, made) = self.authority_or_new(now)?;
        let profile = |common_name| server(common_name, names, addresses, &authority, now);
        Ok(Made {
            authority: made,
            etcd: self.etcd().ensure(&authority, profile(ETCD_NAME), now)?,
            peer: self.peer().ensure(&authority, profile(PEER_NAME), now)?,
        })
    }

    /// Makes the files of this host's own node, a client of etcd by this name. What is good stays.
    pub fn node(
        &self,
        directory: impl Into<PathBuf>,
        name: &str,
        now: SystemTime,
    ) -> Result<NodeFiles, Error> {
        let node = NodeFiles::new(directory);
        let _lock = self.lock()?;
        let authority = self.authority()?;
        node.ensure(&authority, client(name, &authority, now), now)?;
        Ok(node)
    }

    /// The authority, to sign with.
    pub fn authority(&self) -> Result<Authority, Error> {
        Authority::load(&self.ca(), &self.ca_key()).map_err(|source| self.unusable(source))
    }

    /// The tokens that were given out.
    pub fn tokens(&self) -> TokenStore {
        TokenStore::new(self.directory.join("tokens.json"))
    }

    /// The authority's certificate: the one file of trusted authorities for etcd, both sides.
    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// Key and certificate for etcd's clients' side.
    pub fn etcd(&self) -> Pair {
        Pair::new(&self.directory, "etcd")
    }

    /// Key and certificate for etcd's members' side.
    pub fn peer(&self) -> Pair {
        Pair::new(&self.directory, "peer")
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn ca_key(&self) -> PathBuf {
        self.directory.join("ca.key")
    }

    /// One at a time: the lock of the tokens is that of the whole directory.
    fn lock(&self) -> Result<Lock, Error> {
        Ok(Lock::exclusive(&self.tokens().lock_path())?)
    }

    /// The authority, a new one where there was none; whether its certificate was made.
    fn authority_or_new(&self, now: SystemTime) -> Result<(Authority, bool), Error> {
        let validity = Validity::days(now, LIFE_DAYS);
        let authority = match (self.ca().exists(), self.ca_key().exists()) {
            (true, true) => return Ok((self.authority()?, false)),
            (true, false) => return Err(self.unusable(Error::KeyLost)),
            // Interrupted after the key. Were there hosts already, the same key under the same name is
            // the same authority to them.
            (false, true) => read_text(&self.ca_key())
                .map_err(Error::from)
                .and_then(|key| Authority::of_key(AUTHORITY_NAME, validity, &key))
                .map_err(|source| self.unusable(source))?,
            // Nothing is made before the authority: it was there.
            (false, false) if self.etcd().certificate.exists() => {
                return Err(self.unusable(Error::KeyLost));
            }
            (false, false) => Authority::create(AUTHORITY_NAME, validity)?,
        };
        authority.save(&self.ca(), &self.ca_key())?;
        Ok((authority, true))
    }

    fn unusable(&self, source: Error) -> Error {
        Error::Authority {
            path: self.directory.clone(),
            source: Box::new(source),
        }
    }
}

fn server(
    common_name: &str,
    names: &[String],
    addresses: &[IpAddr],
    authority: &Authority,
    now: SystemTime,
) -> Profile {
    let mut profile = Profile {
        usage: Usage::Server,
        names: names.to_vec(),
        addresses: addresses.to_vec(),
        ..client(common_name, authority, now)
    };
    profile.names.push("localhost".to_owned());
    profile
        .addresses
        .extend::<[IpAddr; 2]>([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    profile.names.sort();
    profile.names.dedup();
    profile.addresses.sort();
    profile.addresses.dedup();
    profile
}

/// A client of etcd by this name, for as long as the authority lives.
pub(crate) fn client(common_name: &str, authority: &Authority, now: SystemTime) -> Profile {
    Profile {
        common_name: common_name.to_owned(),
        names: Vec::new(),
        addresses: Vec::new(),
        usage: Usage::Client,
        validity: Validity {
            from: now.checked_sub(SKEW).unwrap_or(now),
            to: authority.facts().not_after,
        },
    }
}

fn check_clock(now: SystemTime) -> Result<(), Error> {
    match now >= UNIX_EPOCH + EARLIEST {
        true => Ok(()),
        false => Err(Error::Clock { now }),
    }
}
