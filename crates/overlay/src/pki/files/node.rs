//! What every host of an overlay keeps: whom it trusts, and who it is.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Pair, make_private, write_public};
use crate::etcd::{ClientIdentity, ClientTls};
use crate::pki::{Authority, Error, Facts, Profile, Usage, der, read_text, write_private};

/// The directory of a node.
#[derive(Debug, Clone)]
pub struct NodeFiles {
    directory: PathBuf,
}

impl NodeFiles {
    /// The files in this directory, which need not exist.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// Keeps what a join brought (PEM), instead of what there was. Interrupted, it leaves files that do
    /// not fit, which [`NodeFiles::check`] tells, and the host joins again.
    pub fn save(&self, authority: &str, certificate: &str, key: &str) -> Result<(), Error> {
        make_private(&self.directory)?;
        let pair = self.pair();
        write_private(&pair.key, key)?;
        write_public(&pair.certificate, certificate)?;
        write_public(&self.ca(), authority)
    }

    /// What the certificate says, if the files are all there, belong together, and the time is right.
    pub fn check(&self, now: SystemTime) -> Result<Facts, Error> {
        let authority = der(&read_text(&self.ca())?)?;
        self.pair().check(&authority, Usage::Client, now)
    }

    /// The same files as a client of etcd is told of them.
    pub fn tls(&self) -> ClientTls {
        let Pair { certificate, key } = self.pair();
        ClientTls {
            ca: Some(self.ca()),
            identity: Some(ClientIdentity { certificate, key }),
        }
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes what is missing or of no use.
    pub(super) fn ensure(
        &self,
        authority: &Authority,
        wanted: Profile,
        now: SystemTime,
    ) -> Result<(), Error> {
        make_private(&self.directory)?;
        self.pair().ensure(authority, wanted, now)?;
        let known = read_text(&self.ca()).ok();
        match known.as_deref() == Some(authority.certificate()) {
            true => Ok(()),
            false => write_public(&self.ca(), authority.certificate()),
        }
    }

    fn ca(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    fn pair(&self) -> Pair {
        Pair::new(&self.directory, "node")
    }
}
