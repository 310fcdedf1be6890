//! What a VM has besides its own disk: volumes of the host's, and where the guest finds them.
//!
//! A manifest says what a volume is (`blockDevice`, `file` or `directory`); on the command line the
//! path is given alone, `SOURCE:MOUNT[:ro]`, and the engine looks what is there.

use std::fmt;
use std::path::{Component, Path};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Most volumes of a VM: together with its other devices they fit any machine.
pub const MAX_VOLUMES: usize = 12;

/// What the guest mounts over at its start, or is not there to be mounted over.
const TAKEN: [&str; 4] = ["/proc", "/sys", "/dev", "/run"];

/// A VM's volumes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StorageSpec {
    /// Volumes by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Where they are mounted. A disk that is not is there all the same, for the guest to use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_mounts: Vec<VolumeMount>,
}

impl StorageSpec {
    /// Where the guest mounts the volume of this name, if it does.
    pub fn mount_of(&self, name: &str) -> Option<&str> {
        let mut mounts = self.volume_mounts.iter();
        let mount = mounts.find(|mount| mount.name == name)?;
        Some(&mount.mount_path)
    }

    /// Adds a volume under the next name.
    pub fn add(&mut self, volume: Volume, mount_path: String) {
        let name = format!("volume{}", self.volumes.len());
        self.volume_mounts.push(VolumeMount {
            name: name.clone(),
            mount_path,
        });
        self.volumes.push(Volume { name, ..volume });
    }
}

/// One volume; exactly one of its sources is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// Its name in the manifest.
    pub name: String,
    /// The device of the host behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_device: Option<BlockDevice>,
    /// The file of the host behind it, which holds a file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<HostPath>,
    /// The directory of the host behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<HostPath>,
    /// Whether the guest may only read it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlockDevice {
    /// Its absolute path.
    pub path: String,
}

/// A file or directory of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostPath {
    /// Its absolute path.
    pub path: String,
}

/// A mount of one volume in the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeMount {
    /// The volume's name.
    pub name: String,
    /// Absolute path in the guest.
    pub mount_path: String,
}

/// What is behind a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeSource<'a> {
    /// A block device.
    BlockDevice(&'a str),
    /// A file that holds a file system.
    File(&'a str),
    /// A directory.
    Directory(&'a str),
}

impl<'a> VolumeSource<'a> {
    /// Its path on the host.
    pub fn path(self) -> &'a str {
        match self {
            Self::BlockDevice(path) | Self::File(path) | Self::Directory(path) => path,
        }
    }

    /// The field of a manifest that names it.
    pub fn field(self) -> &'static str {
        match self {
            Self::BlockDevice(_) => "blockDevice",
            Self::File(_) => "file",
            Self::Directory(_) => "directory",
        }
    }
}

impl Volume {
    /// What is behind it; none where a manifest names nothing, or several things.
    pub fn source(&self) -> Option<VolumeSource<'_>> {
        let device = self.block_device.as_ref().map(|it| it.path.as_str());
        let file = self.file.as_ref().map(|it| it.path.as_str());
        let directory = self.directory.as_ref().map(|it| it.path.as_str());
        match (device, file, directory) {
            (Some(path), None, None) => Some(VolumeSource::BlockDevice(path)),
            (None, Some(path), None) => Some(VolumeSource::File(path)),
            (None, None, Some(path)) => Some(VolumeSource::Directory(path)),
            _ => None,
        }
    }
}

/// How a volume of a VM is joined to its guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeStatus {
    /// Its name in the manifest.
    pub name: String,
    /// The disk's device in the guest, or the tag of a shared directory.
    pub device: String,
    /// `disk`, `virtio-fs`, or `copy` where the guest has a directory's content as a disk of its own.
    pub kind: String,
    /// The type of its file system, where it is a disk that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_system: Option<String>,
    /// What that file system is known by, where it has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
}

/// A volume as a command line names it: `SOURCE:MOUNT[:ro]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeFlag {
    /// Path on the host, of a block device, a file with a file system, or a directory.
    pub source: String,
    /// Absolute path in the guest.
    pub mount_path: String,
    /// Whether the guest may only read it.
    pub read_only: bool,
}

/// Text that is no volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no volume: {problem}")]
pub struct VolumeError {
    text: String,
    problem: String,
    is_name: bool,
}

impl VolumeError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(if self.is_name {
            "there are no named volumes: write a path of the host, such as ./data:/data".into()
        } else {
            "write SOURCE:MOUNT or SOURCE:MOUNT:ro, such as /srv/data:/data".into()
        })
    }
}

impl VolumeFlag {
    /// Parses several, between commas.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, VolumeError> {
        text.split(',').map(str::parse).collect()
    }
}

impl FromStr for VolumeFlag {
    type Err = VolumeError;

    fn from_str(text: &str) -> Result<Self, VolumeError> {
        let error = |problem: String, is_name| VolumeError {
            text: text.to_owned(),
            problem,
            is_name,
        };
        let parts: Vec<&str> = text.split(':').collect();
        let (source, mount, read_only) = match parts[..] {
            [source, mount] | [source, mount, "rw"] => (source, mount, false),
            [source, mount, "ro"] => (source, mount, true),
            [_, _, option] => {
                let problem = format!("{option:?} is neither ro nor rw");
                return Err(error(problem, false));
            }
            _ => return Err(error("it has no two parts".into(), false)),
        };
        if source.is_empty() || text.contains('\0') {
            return Err(error("it names nothing of the host".into(), false));
        }
        if !source.starts_with(['/', '.']) {
            let problem = format!("{source:?} is a name, not a path");
            return Err(error(problem, true));
        }
        if let Err(problem) = check_mount_path(mount) {
            return Err(error(format!("{mount:?} {problem}"), false));
        }
        Ok(Self {
            source: source.into(),
            mount_path: mount.into(),
            read_only,
        })
    }
}

impl fmt::Display for VolumeFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let option = if self.read_only { ":ro" } else { "" };
        write!(f, "{}:{}{option}", self.source, self.mount_path)
    }
}

/// What is wrong with a place to mount a volume, to be read after it.
pub fn check_mount_path(path: &str) -> Result<(), &'static str> {
    /// Longest path a kernel takes, in bytes.
    const LONGEST: usize = 4095;
    if !path.starts_with('/') {
        return Err("is not an absolute path");
    }
    if path.len() > LONGEST || path.contains(|c: char| c.is_control()) {
        return Err("is no path");
    }
    let parts = || Path::new(path).components().skip(1);
    if parts().any(|part| !matches!(part, Component::Normal(_))) {
        return Err("has .. in it");
    }
    if parts().next().is_none() {
        return Err("is the guest's root");
    }
    if plain(path) == "/etc" || TAKEN.iter().any(|taken| Path::new(path).starts_with(taken)) {
        return Err("is made by the guest at its start");
    }
    Ok(())
}

/// A path as it is compared: with no doubled or trailing slash.
pub(crate) fn plain(path: &str) -> String {
    let plain: std::path::PathBuf = Path::new(path).components().collect();
    plain.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<String>, String> {
        VolumeFlag::parse_all(text)
            .map(|all| all.iter().map(ToString::to_string).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn volumes_are_paths_between_colons() {
        let parsed = parse("/dev/sdb1:/data,./src:/src:ro,/a:/b:rw").expect("volumes");
        assert_eq!(parsed, ["/dev/sdb1:/data", "./src:/src:ro", "/a:/b"]);
    }

    #[test]
    fn what_is_no_volume_is_told_why() {
        let problems = [
            ("", "no two parts"),
            ("/a", "no two parts"),
            ("/a:/b:ro:x", "no two parts"),
            ("/a:/b:z", "neither ro nor rw"),
            (":/b", "names nothing"),
            ("/a:b", "not an absolute path"),
            ("/a:/", "guest's root"),
            ("/a:/b/../c", "has .. in it"),
            ("/a:/proc/x", "made by the guest"),
            ("/a:/run", "made by the guest"),
            ("/a:/etc/", "made by the guest"),
            ("/a:/b,", "no two parts"),
        ];
        for (text, problem) in problems {
            let error = parse(text).expect_err(text);
            assert!(error.contains(problem), "{text}: {error}");
        }
        let named: VolumeError = VolumeFlag::from_str("data:/b").expect_err("a name");
        assert!(named.hint().expect("a hint").contains("./data"));
        assert!(parse("/a:/runs,/b:/etc/app,/c:/..data").is_ok());
    }

    #[test]
    fn a_volume_has_one_source() {
        let path = || HostPath { path: "/p".into() };
        let mut volume = Volume::default();
        assert_eq!(volume.source(), None);
        volume.directory = Some(path());
        assert_eq!(volume.source(), Some(VolumeSource::Directory("/p")));
        volume.file = Some(path());
        assert_eq!(volume.source(), None);
    }

    #[test]
    fn added_volumes_are_numbered() {
        let mut storage = StorageSpec::default();
        storage.add(Volume::default(), "/a".into());
        storage.add(Volume::default(), "/b".into());
        assert_eq!(storage.mount_of("volume1"), Some("/b"));
        assert_eq!(storage.mount_of("volume2"), None);
    }
}
