//! What was decided for an overlay: written before anything is done, removed when all is undone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ignite_host::fs;
use ignite_overlay::etcd::{ClientIdentity, ClientTls, Settings};
use ignite_overlay::pki::NodeFiles;
use serde::{Deserialize, Serialize};

use super::error::OverlayError;
use super::place::{OverlayName, Place};
use ignite_store::Paths;

/// The largest record that is read, in bytes.
const MAX_RECORD: u64 = 1 << 20;
/// What the names of directories begin with that are being removed; no overlay's does.
const TRASH: &str = ".gone-";

/// One overlay of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// Where etcd is.
    pub etcd: Etcd,
    /// Where the records in etcd begin.
    pub prefix: String,
    /// What the agent is told of this host.
    pub host: HostChoice,
    /// The host left without taking all away: `leave --all` goes on from here.
    #[serde(default)]
    pub left: bool,
}

/// Where etcd is, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub(super) enum Etcd {
    /// Ours, on this host.
    #[serde(rename_all = "camelCase")]
    Own {
        /// Where others find it.
        advertise: String,
        /// Its clients' port; that of its peers is the next.
        port: u16,
        /// The port at which joiners ask for a certificate.
        join_port: u16,
        /// Whether nothing is encrypted.
        insecure: bool,
    },
    /// Of the host that was joined.
    #[serde(rename_all = "camelCase")]
    Joined {
        /// As it was named.
        host: String,
        /// Client URLs.
        endpoints: Vec<String>,
        /// Whether this host has a certificate for it.
        tls: bool,
        /// The port at which it gave that.
        join_port: u16,
    },
    /// A cluster that was there.
    #[serde(rename_all = "camelCase")]
    Cluster {
        /// Client URLs.
        endpoints: Vec<String>,
        /// The authority it is trusted by.
        cafile: Option<PathBuf>,
        /// What it is shown, and the key.
        certfile: Option<PathBuf>,
        /// The key of that.
        keyfile: Option<PathBuf>,
    },
}

/// What the agent is told of this host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostChoice {
    /// The interface by which the others are reached, by name or address; else the way to
    /// `can_reach`, else that of the default route.
    pub iface: Option<String>,
    /// An address it leads to.
    pub can_reach: Option<std::net::IpAddr>,
    /// The address the others reach this host by, if it is not the interface's.
    pub public_ip: Option<std::net::Ipv4Addr>,
}

impl HostChoice {
    /// What is said now, and of the rest what was said before.
    pub(super) fn updated(&self, now: &Self) -> Self {
        if now.iface.is_none() && now.public_ip.is_none() {
            return self.clone();
        }
        Self {
            iface: now.iface.clone().or_else(|| self.iface.clone()),
            can_reach: self.can_reach,
            public_ip: now.public_ip.or(self.public_ip),
        }
    }
}

impl Record {
    pub fn read(place: &Place) -> Result<Option<Self>, OverlayError> {
        let path = place.record();
        let bytes = match fs::read_bounded(&path, MAX_RECORD) {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| OverlayError::Record { path, source })
    }

    pub fn write(&self, place: &Place) -> Result<(), OverlayError> {
        make_private(&place.dir())?;
        let text = serde_json::to_vec_pretty(self).expect("plain data is always JSON");
        Ok(fs::write_atomic(&place.record(), &text, 0o600)?)
    }

    /// How etcd is reached from this host.
    pub fn settings(&self, place: &Place) -> Settings {
        let certificates = || NodeFiles::new(place.dir()).tls();
        let mut settings = Settings::new(self.endpoints());
        settings.tls = match &self.etcd {
            Etcd::Own { insecure, .. } => (!insecure).then(certificates),
            Etcd::Joined { tls, .. } => tls.then(certificates),
            Etcd::Cluster {
                cafile,
                certfile,
                keyfile,
                ..
            } => {
                let identity = certfile.clone().zip(keyfile.clone());
                let identity =
                    identity.map(|(certificate, key)| ClientIdentity { certificate, key });
                (cafile.is_some() || identity.is_some()).then(|| ClientTls {
                    ca: cafile.clone(),
                    identity,
                })
            }
        };
        settings
    }

    /// Client URLs of etcd, from this host.
    pub fn endpoints(&self) -> Vec<String> {
        match &self.etcd {
            Etcd::Own { port, insecure, .. } => {
                let scheme = if *insecure { "http" } else { "https" };
                vec![format!("{scheme}://127.0.0.1:{port}")]
            }
            Etcd::Joined { endpoints, .. } | Etcd::Cluster { endpoints, .. } => endpoints.clone(),
        }
    }

    /// Whether the control plane is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.endpoints()
            .iter()
            .all(|endpoint| endpoint.starts_with("https://"))
    }
}

/// Takes away all that is kept of an overlay: at once, whatever happens here.
pub(super) fn forget(place: &Place) -> Result<(), OverlayError> {
    let path = place.dir();
    let trash = path.with_file_name(format!("{TRASH}{}", place.name));
    let _ = std::fs::remove_dir_all(&trash);
    match std::fs::rename(&path, &trash) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(OverlayError::Remove { path, source })
        }
        _ => {
            let _ = std::fs::remove_dir_all(&trash);
            Ok(())
        }
    }
}

/// Takes away what a verb that died was about to.
pub(super) fn sweep(paths: &Paths) {
    let directory = std::fs::read_dir(Place::all(paths));
    for entry in directory.into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(TRASH) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The overlays of this host, by name.
pub(super) fn all(paths: &Paths) -> Vec<OverlayName> {
    let directory = std::fs::read_dir(Place::all(paths));
    let entries = directory.into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let there = |name: &OverlayName| Place::new(paths, name.clone()).record().exists();
    names
        .filter(there)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// A directory that only root may enter, and those above it.
pub(super) fn make_private(path: &Path) -> Result<(), OverlayError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| OverlayError::Directory {
            path: path.to_owned(),
            source,
        })
}

/// A URL of a host and a port; IPv6 addresses get their brackets.
pub(super) fn url(scheme: &str, host: &str, port: u16) -> String {
    format!("{scheme}://{}", host_and_port(host, port))
}

/// The same without a scheme.
pub(super) fn host_and_port(host: &str, port: u16) -> String {
    let host = bare(host);
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// A host without the brackets that some write around an IPv6 address.
pub(super) fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_says_how_etcd_is_reached() {
        let directory = tempfile::tempdir().expect("tempdir");
        let paths = Paths::under(directory.path());
        let place = Place::new(&paths, "blue".parse().expect("name"));
        assert_eq!(Record::read(&place).expect("none"), None);
        let record = Record {
            etcd: Etcd::Joined {
                host: "node1".into(),
                endpoints: vec![url("https", "fd00::1", 2379)],
                tls: true,
                join_port: 2378,
            },
            prefix: "/blue/network".into(),
            host: HostChoice::default(),
            left: false,
        };
        record.write(&place).expect("write");
        assert_eq!(Record::read(&place).expect("read"), Some(record.clone()));
        assert_eq!(all(&paths), std::slice::from_ref(&place.name));
        let settings = record.settings(&place);
        assert_eq!(settings.endpoints, ["https://[fd00::1]:2379"]);
        let identity = settings.tls.and_then(|tls| tls.identity);
        assert_eq!(
            identity.expect("certificates").key,
            place.dir().join("node.key")
        );
        std::fs::write(place.record(), "{").expect("damage");
        assert!(matches!(
            Record::read(&place),
            Err(OverlayError::Record { .. })
        ));
    }
}
