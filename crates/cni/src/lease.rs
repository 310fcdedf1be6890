//! Leases of the plugin host-local: who has which address, as its files say.
//!
//! ```text
//!  <data dir>/<network>/lock                 flock, held while anything changes
//!                      /10.61.0.7            container ID CR LF interface
//!                      /last_reserved_ip.0   no lease
//! ```
//! The plugin releases a lease at DEL. One that was killed between taking an
//! address and telling of it leaves a lease nobody knows.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ignite_host::fs::{Lock, read_bounded};

use crate::config::NetworkConfig;
use crate::json::member;

/// Where host-local keeps its leases unless told otherwise.
pub const DEFAULT_DIRECTORY: &str = "/var/lib/cni/networks";

/// A lease is two names; what is larger is none.
const MAX_BYTES: u64 = 4096;

/// One lease.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lease {
    /// Its file.
    pub path: PathBuf,
    /// The address.
    pub address: IpAddr,
    /// Container ID of its holder.
    pub container_id: String,
    /// Name of the interface; empty where an old version wrote the lease.
    pub ifname: String,
}

/// Errors of leases.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The directory cannot be locked.
    #[error("cannot lock the leases in {}", directory.display())]
    Lock {
        /// The directory.
        directory: PathBuf,
        /// Why.
        #[source]
        source: ignite_host::fs::Error,
    },
    /// The directory or a lease in it cannot be read or removed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The directory of a network's leases: that of its host-local, or the usual one.
pub fn directory(network: &NetworkConfig) -> PathBuf {
    configured(network)
        .unwrap_or_else(|| PathBuf::from(DEFAULT_DIRECTORY))
        .join(&network.name)
}

fn configured(network: &NetworkConfig) -> Option<PathBuf> {
    let ipams = network.plugins.iter().filter_map(|plugin| {
        let ipam = member(&plugin.object, "ipam")?.as_object()?;
        let is_host_local = member(ipam, "type")?.as_str()? == "host-local";
        is_host_local.then_some(ipam)
    });
    ipams
        .filter_map(|ipam| member(ipam, "dataDir")?.as_str().map(PathBuf::from))
        .find(|path| path.is_absolute())
}

/// The leases in a directory, in the order of their addresses. A missing directory
/// has none; files that are no leases are skipped.
pub fn list(directory: &Path) -> Result<Vec<Lease>, LeaseError> {
    let failed = |source| LeaseError::Io {
        action: "list",
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut leases: Vec<Lease> = entries
        .filter_map(|entry| read(&entry.ok()?.path()))
        .collect();
    leases.sort_by_key(|lease| lease.address);
    Ok(leases)
}

/// Whether host-local has leased one of these addresses to another container: what carries nothing but
/// the address is the other's by now.
pub fn is_anothers(network: &NetworkConfig, container_id: &str, addresses: &[IpAddr]) -> bool {
    let directory = directory(network);
    addresses.iter().any(|address| {
        let lease = read(&directory.join(address.to_string()));
        lease.is_some_and(|lease| lease.container_id != container_id)
    })
}

/// Addresses that are taken and nobody's: the plugin was killed between taking one
/// and writing down whose it is, and no DEL finds it any more.
pub fn torn(directory: &Path) -> Result<Vec<IpAddr>, LeaseError> {
    with_torn(directory, |_| Ok(()))
}

/// The same, and makes them free again.
pub fn remove_torn(directory: &Path) -> Result<Vec<IpAddr>, LeaseError> {
    with_torn(directory, |path| {
        fs::remove_file(path).map_err(|source| LeaseError::Io {
            action: "remove the lease",
            path: path.to_owned(),
            source,
        })
    })
}

/// Under the plugin's lock, where no lease is half written by one that lives.
fn with_torn(
    directory: &Path,
    mut act: impl FnMut(&Path) -> Result<(), LeaseError>,
) -> Result<Vec<IpAddr>, LeaseError> {
    if torn_files(directory).is_empty() {
        return Ok(Vec::new());
    }
    let _lock = Lock::exclusive(&directory.join("lock")).map_err(|source| LeaseError::Lock {
        directory: directory.to_owned(),
        source,
    })?;
    let mut addresses = Vec::new();
    for (address, path) in torn_files(directory) {
        act(&path)?;
        addresses.push(address);
    }
    Ok(addresses)
}

/// Files named for an address that hold nothing. What cannot be listed has none.
fn torn_files(directory: &Path) -> Vec<(IpAddr, PathBuf)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let torn = entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        let address = entry.file_name().to_str()?.parse().ok()?;
        (metadata.is_file() && metadata.len() == 0).then(|| (address, entry.path()))
    });
    torn.collect()
}

/// Removes those of `leases` that still are what they were, under the plugin's own
/// lock; returns how many. Goes on after an error and returns all.
pub fn remove(directory: &Path, leases: &[Lease]) -> (usize, Vec<LeaseError>) {
    if leases.is_empty() {
        return (0, Vec::new());
    }
    let _lock = match Lock::exclusive(&directory.join("lock")) {
        Ok(lock) => lock,
        Err(source) => {
            let directory = directory.to_owned();
            return (0, vec![LeaseError::Lock { directory, source }]);
        }
    };
    let mut errors = Vec::new();
    let mut removed = 0;
    for lease in leases
        .iter()
        .filter(|lease| read(&lease.path).as_ref() == Some(*lease))
    {
        match fs::remove_file(&lease.path) {
            Ok(()) => removed += 1,
            Err(source) => errors.push(LeaseError::Io {
                action: "remove the lease",
                path: lease.path.clone(),
                source,
            }),
        }
    }
    (removed, errors)
}

fn read(path: &Path) -> Option<Lease> {
    let address = path.file_name()?.to_str()?.parse().ok()?;
    let bytes = read_bounded(path, MAX_BYTES).ok()?;
    let (container_id, ifname) = parse(&bytes)?;
    Some(Lease {
        path: path.to_owned(),
        address,
        container_id,
        ifname,
    })
}

/// Container ID and interface of a lease file's content.
pub fn parse(bytes: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.lines().map(str::trim);
    let container_id = lines.next().filter(|line| !line.is_empty())?;
    Some((
        container_id.to_owned(),
        lines.next().unwrap_or_default().to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_anothers_only_by_a_lease_that_says_so() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let ipam = serde_json::json!({"type": "host-local", "dataDir": dir.path()});
        let list = serde_json::json!({"name": "n", "plugins": [{"type": "bridge", "ipam": ipam}]});
        let network = NetworkConfig::parse_list(list.to_string().as_bytes()).expect("well formed");
        fs::create_dir(dir.path().join("n")).expect("made");
        fs::write(dir.path().join("n/10.61.0.9"), "ignite-a\r\neth0").expect("written");
        let taken = [IpAddr::from([10, 61, 0, 8]), IpAddr::from([10, 61, 0, 9])];
        assert!(is_anothers(&network, "ignite-b", &taken));
        assert!(!is_anothers(&network, "ignite-a", &taken));
        assert!(!is_anothers(&network, "ignite-b", &taken[..1]));
    }

    #[test]
    fn leases_are_found_and_removed_if_unchanged() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text);
        for (name, text) in [
            ("lock", ""),
            ("last_reserved_ip.0", "10.61.0.9"),
            ("10.61.0.10", "ignite-b\r\neth0"),
            ("10.61.0.9", "ignite-a\r\neth0"),
            ("fd00::2", "old-style"),
            ("10.61.0.11", ""),
        ] {
            write(name, text).expect("written");
        }
        let leases = list(dir.path()).expect("listed");
        let holders: Vec<(&str, &str)> = leases
            .iter()
            .map(|lease| (lease.container_id.as_str(), lease.ifname.as_str()))
            .collect();
        assert_eq!(
            holders,
            [
                ("ignite-a", "eth0"),
                ("ignite-b", "eth0"),
                ("old-style", "")
            ]
        );
        write("10.61.0.10", "another\r\neth0").expect("given to another since");
        let (removed, errors) = remove(dir.path(), &leases[..2]);
        assert_eq!((removed, errors.len()), (1, 0));
        assert!(dir.path().join("10.61.0.10").exists());
        assert!(!dir.path().join("10.61.0.9").exists());
        assert!(list(&dir.path().join("none")).expect("fine").is_empty());

        let nobodys = vec![IpAddr::from([10, 61, 0, 11])];
        assert_eq!(torn(dir.path()).expect("listed"), nobodys);
        assert_eq!(remove_torn(dir.path()).expect("removed"), nobodys);
        assert!(remove_torn(dir.path()).expect("none left").is_empty());
        assert!(dir.path().join("lock").exists());
    }

    #[test]
    fn the_directory_is_the_networks_own() {
        let config = |ipam: &str| {
            let text = format!(r#"{{"name":"n","plugins":[{{"type":"bridge","ipam":{ipam}}}]}}"#);
            directory(&NetworkConfig::parse_list(text.as_bytes()).expect("well formed"))
        };
        assert_eq!(
            config(r#"{"type":"host-local"}"#),
            Path::new("/var/lib/cni/networks/n")
        );
        assert_eq!(
            config(r#"{"type":"host-local","dataDir":"/run/leases"}"#),
            Path::new("/run/leases/n")
        );
        assert_eq!(
            config(r#"{"type":"other","dataDir":"/run/leases"}"#),
            Path::new("/var/lib/cni/networks/n")
        );
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_surprise(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&bytes);
        }
    }
}
