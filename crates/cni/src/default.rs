//! The network of a machine that has none: a bridge with addresses of
//! 10.61.0.0/16, masquerading, published ports, and a firewall's permission.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::load::configuration_files;

/// Name of the file in the configuration directory.
pub const FILE: &str = "10-ignite.conflist";

/// Name of the network.
pub const NAME: &str = "ignite-cni-bridge";

/// Name of the bridge.
pub const BRIDGE: &str = "ignite0";

/// Content of the file. Version 0.4.0, so that older plugins take it; `ips` and
/// `mac` are declared by the bridge, which hands its whole configuration to
/// host-local. `hairpinMode` is not here, since the plugin refuses it together
/// with `promiscMode`; the runtime sets hairpin on its own ports.
pub const CONFLIST: &str = r#"{
  "cniVersion": "0.4.0",
  "name": "ignite-cni-bridge",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "ignite0",
      "isGateway": true,
      "isDefaultGateway": true,
      "promiscMode": true,
      "ipMasq": true,
      "capabilities": {
        "ips": true,
        "mac": true
      },
      "ipam": {
        "type": "host-local",
        "subnet": "10.61.0.0/16"
      }
    },
    {
      "type": "portmap",
      "capabilities": {
        "portMappings": true
      }
    },
    {
      "type": "firewall"
    }
  ]
}
"#;

/// What was done for a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ensured {
    /// The default network was written to this file.
    Written(PathBuf),
    /// There are configurations already; nothing was written.
    Present,
}

/// Why the default network could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct EnsureError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl EnsureError {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        let denied = self.source.kind() == io::ErrorKind::PermissionDenied;
        denied.then(|| "run this as root, or with sudo".to_owned())
    }
}

/// Writes the default network if `directory` (made if missing) holds no network
/// configuration. The file appears as a whole or not at all, and never in the
/// place of another, however many do this at once.
pub fn ensure_default(directory: &Path) -> Result<Ensured, EnsureError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| EnsureError {
            action,
            path,
            source,
        }
    };
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory);
    made.map_err(failed("create the directory", directory))?;
    let files = configuration_files(directory).map_err(failed("list", directory))?;
    if !files.is_empty() {
        return Ok(Ensured::Present);
    }
    let path = directory.join(FILE);
    // No reader takes this extension for a configuration.
    let temporary = directory.join(format!(".{FILE}.{}.tmp", unique()));
    // Left by a process of the same number that was killed, if at all.
    let _ = fs::remove_file(&temporary);
    write(&temporary).map_err(failed("write", &temporary))?;
    let placed = fs::hard_link(&temporary, &path);
    // Its content has its second name by now, or is of no use.
    let _ = fs::remove_file(&temporary);
    match placed {
        Ok(()) => Ok(Ensured::Written(path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Ensured::Present),
        Err(error) => Err(failed("write the default network to", &path)(error)),
    }
}

fn write(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)?;
    // Whatever the umask: containers' runtimes of other users read it too.
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.write_all(CONFLIST.as_bytes())?;
    file.sync_all()
}

/// A part of a name no other process or thread uses.
fn unique() -> String {
    format!("{}-{:?}", std::process::id(), std::thread::current().id())
        .replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Networks;

    #[test]
    fn the_content_is_what_it_says() {
        let config = crate::NetworkConfig::parse_list(CONFLIST.as_bytes()).expect("well formed");
        assert_eq!(
            (config.name.as_str(), config.cni_version.as_str()),
            (NAME, "0.4.0")
        );
        let kinds: Vec<&str> = config
            .plugins
            .iter()
            .map(|plugin| plugin.kind.as_str())
            .collect();
        assert_eq!(kinds, ["bridge", "portmap", "firewall"]);
        assert_eq!(config.plugins[0].object["bridge"], BRIDGE);
        let capabilities: Vec<&str> = config.capabilities().into_iter().collect();
        assert_eq!(capabilities, ["ips", "mac", "portMappings"]);
    }

    #[test]
    fn an_empty_directory_gets_it_once() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let directory = dir.path().join("cni/net.d");
        let path = directory.join(FILE);
        assert_eq!(
            ensure_default(&directory).expect("written"),
            Ensured::Written(path.clone())
        );
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o644);
        assert_eq!(ensure_default(&directory).expect("fine"), Ensured::Present);
        assert_eq!(fs::read_dir(&directory).expect("listed").count(), 1);
        assert_eq!(
            Networks::load(&directory).0.first().expect("there").name,
            NAME
        );
    }

    #[test]
    fn any_configuration_prevents_it() {
        for name in ["x.conf", "x.json", "99-x.conflist"] {
            let dir = tempfile::tempdir().expect("a temporary directory");
            fs::write(dir.path().join(name), "{").expect("written");
            assert_eq!(
                ensure_default(dir.path()).expect("fine"),
                Ensured::Present,
                "{name}"
            );
        }
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join("sub.conf")).expect("created");
        fs::write(dir.path().join("README"), "").expect("written");
        assert!(matches!(
            ensure_default(dir.path()),
            Ok(Ensured::Written(_))
        ));
    }

    #[test]
    fn one_of_many_writes_it() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let written = std::thread::scope(|scope| {
            let ensure = || ensure_default(dir.path()).expect("fine");
            let all: Vec<_> = (0..16).map(|_| scope.spawn(ensure)).collect();
            let outcomes = all
                .into_iter()
                .map(|thread| thread.join().expect("no panic"));
            outcomes
                .filter(|outcome| *outcome != Ensured::Present)
                .count()
        });
        assert_eq!(written, 1);
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
    }
}
