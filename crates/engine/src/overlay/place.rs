//! Where everything of an overlay is.
//!
//! ```text
//!   <data>/overlay/<name>/overlay.json            what was decided
//!                         ca.crt node.crt node.key  how etcd knows this host
//!                         network.json subnet.env   what the agent followed last
//!                         wireguard.key
//!   <data>/authority/                             of the first host: who signs
//!   <data>/etcd/                                  etcd's data
//!   <data>/log/                                   of services, where there is no systemd
//!   <run>/overlay/<name>.json                     the agent's state
//!   <run>/service/                                what is kept running
//!   /run/flannel/subnet.env                       what CNI's plugin reads
//! ```

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ignite_store::Paths;

/// Name of an overlay: lower-case letters, digits and dashes, at most 11, since it is part of a
/// bridge's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OverlayName(String);

/// The longest name: `cni-` and it are at most the 15 bytes of an interface's name.
const MAX_NAME: usize = 11;

impl OverlayName {
    /// The name of the one that people have who have one.
    pub const DEFAULT: &'static str = "flannel";

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the one that needs no name.
    pub fn is_default(&self) -> bool {
        self.0 == Self::DEFAULT
    }

    /// Flag that names it in a command line; empty for the default.
    pub fn flag(&self) -> String {
        match self.is_default() {
            true => String::new(),
            false => format!(" --name {self}"),
        }
    }

    /// Where its records in etcd begin unless told otherwise: for the default, where Flannel has them.
    pub fn prefix(&self) -> String {
        match self.is_default() {
            true => "/coreos.com/network".to_owned(),
            false => format!("/{self}/network"),
        }
    }

    /// The CNI network's name; the default's is that of Flannel.
    pub fn network(&self) -> &str {
        match self.is_default() {
            true => "cbr0",
            false => &self.0,
        }
    }

    /// The bridge on each host.
    pub fn bridge(&self) -> String {
        match self.is_default() {
            true => "cni0".to_owned(),
            false => format!("cni-{self}"),
        }
    }

    /// The file of the CNI network: the default one comes first.
    pub fn conflist(&self) -> String {
        match self.is_default() {
            true => "10-flannel.conflist".to_owned(),
            false => format!("11-flannel-{self}.conflist"),
        }
    }
}

impl Default for OverlayName {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl fmt::Display for OverlayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that names no overlay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot name an overlay: 1 to 11 lower-case letters, digits and dashes, a letter first"
)]
pub struct NoOverlayName(String);

impl FromStr for OverlayName {
    type Err = NoOverlayName;

    fn from_str(text: &str) -> Result<Self, NoOverlayName> {
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = text.len() <= MAX_NAME
            && text.chars().all(letters)
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-');
        match fits {
            true => Ok(Self(text.to_owned())),
            false => Err(NoOverlayName(text.to_owned())),
        }
    }
}

/// The files of one overlay.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub name: OverlayName,
    data: PathBuf,
    run: PathBuf,
    cni_conf: PathBuf,
    flannel: PathBuf,
}

impl Place {
    pub fn new(paths: &Paths, name: OverlayName) -> Self {
        let parent = paths.run.parent().unwrap_or(Path::new("/run"));
        Self {
            name,
            data: paths.data.clone(),
            run: paths.run.clone(),
            cni_conf: paths.cni_conf.clone(),
            flannel: parent.join("flannel"),
        }
    }

    /// Durable directory of all overlays.
    pub fn all(paths: &Paths) -> PathBuf {
        paths.data.join("overlay")
    }

    pub fn dir(&self) -> PathBuf {
        self.data.join("overlay").join(self.name.as_str())
    }

    /// Held by whoever changes something.
    pub fn lock(&self) -> PathBuf {
        self.data.join("overlay/lock")
    }

    pub fn record(&self) -> PathBuf {
        self.dir().join("overlay.json")
    }

    pub fn authority(&self) -> PathBuf {
        self.data.join("authority")
    }

    pub fn etcd_data(&self) -> PathBuf {
        self.data.join("etcd")
    }

    pub fn network_copy(&self) -> PathBuf {
        self.dir().join("network.json")
    }

    pub fn subnet_copy(&self) -> PathBuf {
        self.dir().join("subnet.env")
    }

    pub fn wireguard_key(&self) -> PathBuf {
        self.dir().join("wireguard.key")
    }

    pub fn status(&self) -> PathBuf {
        self.run.join("overlay").join(format!("{}.json", self.name))
    }

    /// What CNI's plugin reads.
    pub fn subnet_env(&self) -> PathBuf {
        match self.name.is_default() {
            true => self.flannel.join("subnet.env"),
            false => self.flannel.join(format!("{}.env", self.name)),
        }
    }

    pub fn conflist(&self) -> PathBuf {
        self.cni_conf.join(self.name.conflist())
    }

    pub fn default_conflist(&self) -> PathBuf {
        self.cni_conf.join(ignite_cni::default::FILE)
    }

    /// The service of its agent.
    pub fn agent_service(&self) -> String {
        match self.name.is_default() {
            true => "ignite-overlay".to_owned(),
            false => format!("ignite-overlay-{}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_make_interfaces_and_files() {
        for bad in ["", "Flannel", "9a", "a/b", "a-", "twelve-bytes", "a b", "ä"] {
            bad.parse::<OverlayName>().expect_err(bad);
        }
        let storage: OverlayName = "storage".parse().expect("a name");
        assert_eq!(storage.bridge(), "cni-storage");
        assert_eq!(storage.prefix(), "/storage/network");
        let place = Place::new(&Paths::system(), storage);
        assert_eq!(place.subnet_env(), Path::new("/run/flannel/storage.env"));
        let place = Place::new(&Paths::system(), OverlayName::default());
        assert_eq!(place.subnet_env(), Path::new("/run/flannel/subnet.env"));
        assert_eq!(
            place.conflist(),
            Path::new("/etc/cni/net.d/10-flannel.conflist")
        );
    }
}
