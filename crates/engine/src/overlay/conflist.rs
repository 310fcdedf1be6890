//! The CNI network of an overlay: a file that is ours as long as nobody changed it.

use std::path::{Path, PathBuf};

use ignite_cni::default;
use ignite_host::fs;
use serde_json::json;

use super::error::OverlayError;
use super::place::{OverlayName, Place};

/// No such file is larger, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Removed {
    /// It is gone.
    Yes(PathBuf),
    /// Somebody changed it: it is theirs, and stays.
    Changed(PathBuf),
    /// There is none.
    Absent,
}

/// The content: Flannel's, with `ips` and `mac` for VMs that ask. Version 0.4.0, so that older plugins
/// take it.
fn content(name: &OverlayName, subnet_env: &Path) -> String {
    let mut flannel = json!({
        "type": "flannel",
        "delegate": {
            "hairpinMode": true,
            "isDefaultGateway": true,
        },
        "capabilities": { "ips": true, "mac": true },
    });
    if !name.is_default() {
        flannel["subnetFile"] = json!(subnet_env);
        // One VM on two overlays is one container ID in both.
        flannel["dataDir"] = json!(format!("/var/lib/cni/flannel-{name}"));
        flannel["delegate"]["bridge"] = json!(name.bridge());
    }
    let list = json!({
        "cniVersion": "0.4.0",
        "name": name.network(),
        "plugins": [
            flannel,
            { "type": "portmap", "capabilities": { "portMappings": true } },
            { "type": "firewall" },
        ],
    });
    let text = serde_json::to_string_pretty(&list).expect("plain data is always JSON");
    text + "\n"
}

/// What became of the network's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Installed {
    /// It is new.
    New(PathBuf),
    /// It was there.
    Already,
    /// Somebody changed it: theirs stays.
    Changed(PathBuf),
}

/// Fails if there is a file of our name that is not ours: before anything is done.
pub(super) fn is_ours_to_write(place: &Place) -> Result<(), OverlayError> {
    let path = place.conflist();
    let wanted = content(&place.name, &place.subnet_env());
    match read(&path)? {
        Some(there) if there != wanted.as_bytes() => Err(OverlayError::ForeignNetwork { path }),
        _ => Ok(()),
    }
}

/// Writes the network's file; one that was changed stays.
pub(super) fn install(place: &Place) -> Result<Installed, OverlayError> {
    let path = place.conflist();
    let wanted = content(&place.name, &place.subnet_env());
    match read(&path)? {
        Some(there) if there != wanted.as_bytes() => Ok(Installed::Changed(path)),
        Some(_) => Ok(Installed::Already),
        None => {
            let directory = path.parent().unwrap_or(Path::new("/"));
            std::fs::create_dir_all(directory).map_err(|source| OverlayError::Directory {
                path: directory.to_owned(),
                source,
            })?;
            fs::write_atomic(&path, wanted.as_bytes(), 0o644)?;
            Ok(Installed::New(path))
        }
    }
}

/// Takes the network's file away.
pub(super) fn remove(place: &Place) -> Result<Removed, OverlayError> {
    let wanted = content(&place.name, &place.subnet_env());
    remove_unchanged(place.conflist(), wanted.as_bytes())
}

/// Takes the default network's file away: both would be first.
pub(super) fn remove_default(place: &Place) -> Result<Removed, OverlayError> {
    remove_unchanged(place.default_conflist(), default::CONFLIST.as_bytes())
}

fn remove_unchanged(path: PathBuf, wanted: &[u8]) -> Result<Removed, OverlayError> {
    match read(&path)? {
        None => Ok(Removed::Absent),
        Some(there) if there == wanted => {
            std::fs::remove_file(&path).map_err(|source| OverlayError::Remove {
                path: path.clone(),
                source,
            })?;
            Ok(Removed::Yes(path))
        }
        Some(_) => Ok(Removed::Changed(path)),
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, OverlayError> {
    match fs::read_bounded(path, MAX_FILE) {
        Err(error) if error.is_not_found() => Ok(None),
        other => Ok(Some(other?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_cni::NetworkConfig;
    use ignite_store::Paths;

    #[test]
    fn the_content_is_a_network() {
        let place = |name: &str| Place::new(&Paths::system(), name.parse().expect("name"));
        let text = |place: &Place| content(&place.name, &place.subnet_env());
        let list = NetworkConfig::parse_list(text(&place("flannel")).as_bytes());
        let list = list.expect("well formed");
        assert_eq!((list.name.as_str(), list.plugins.len()), ("cbr0", 3));
        let capabilities: Vec<&str> = list.capabilities().into_iter().collect();
        assert_eq!(capabilities, ["ips", "mac", "portMappings"]);
        let other = NetworkConfig::parse_list(text(&place("blue")).as_bytes());
        let other = other.expect("well formed");
        assert_eq!(other.name, "blue");
        assert_eq!(
            other.plugins[0].object["subnetFile"],
            "/run/flannel/blue.env"
        );
        assert_eq!(other.plugins[0].object["delegate"]["bridge"], "cni-blue");
    }

    #[test]
    fn only_files_that_are_ours_are_touched() {
        let directory = tempfile::tempdir().expect("tempdir");
        let paths = Paths::under(directory.path());
        let place = Place::new(&paths, OverlayName::default());
        default::ensure_default(&paths.cni_conf).expect("default");
        assert!(matches!(remove_default(&place), Ok(Removed::Yes(_))));
        assert!(matches!(remove_default(&place), Ok(Removed::Absent)));
        is_ours_to_write(&place).expect("nothing is there");
        assert!(matches!(install(&place), Ok(Installed::New(_))));
        is_ours_to_write(&place).expect("ours is there");
        assert!(matches!(install(&place), Ok(Installed::Already)));
        std::fs::write(place.conflist(), "{}").expect("somebody");
        assert!(matches!(
            is_ours_to_write(&place),
            Err(OverlayError::ForeignNetwork { .. })
        ));
        assert!(matches!(install(&place), Ok(Installed::Changed(_))));
        assert!(matches!(remove(&place), Ok(Removed::Changed(_))));
        std::fs::write(place.default_conflist(), "{}").expect("somebody");
        assert!(matches!(remove_default(&place), Ok(Removed::Changed(_))));
    }
}
