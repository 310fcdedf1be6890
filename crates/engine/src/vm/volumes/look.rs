//! What is at a volume's path.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ignite_api::{BlockDevice, HostPath, StorageSpec, Volume, VolumeFlag, VolumeSource};
use ignite_host::fs::{DiskKind, disk_kind, open_disk};
use ignite_image::superblock::{self, Content};
use ignite_store::VmRecord;

use super::VolumeError;
use crate::Error;

/// The volumes that flags name: what is at each path now says what kind of volume it is.
pub fn volumes_of(flags: impl IntoIterator<Item = VolumeFlag>) -> Result<StorageSpec, Error> {
    let mut storage = StorageSpec::default();
    for flag in flags {
        let volume = volume_of(&flag)?;
        storage.add(volume, flag.mount_path);
    }
    Ok(storage)
}

fn volume_of(flag: &VolumeFlag) -> Result<Volume, VolumeError> {
    let path = PathBuf::from(&flag.source);
    let failed = |source| VolumeError::Source {
        path: path.clone(),
        source,
    };
    let absolute = std::path::absolute(&path).map_err(failed)?;
    let metadata = std::fs::metadata(&absolute).map_err(failed)?;
    let path = absolute
        .to_str()
        .ok_or_else(|| failed(io::Error::other("its path is no text")))?
        .to_owned();
    let mut volume = Volume {
        read_only: flag.read_only,
        ..Volume::default()
    };
    match disk_kind(&metadata) {
        Some(DiskKind::BlockDevice) => volume.block_device = Some(BlockDevice { path }),
        Some(DiskKind::File) => volume.file = Some(HostPath { path }),
        None if metadata.is_dir() => volume.directory = Some(HostPath { path }),
        None => {
            return Err(failed(io::Error::other(
                "it is neither a block device nor a file nor a directory",
            )));
        }
    }
    Ok(volume)
}

/// Whether every volume is what it is said to be.
pub(crate) fn check(storage: &StorageSpec) -> Result<(), VolumeError> {
    for volume in &storage.volumes {
        let Some(source) = volume.source() else {
            continue;
        };
        let path = Path::new(source.path());
        let metadata = metadata(path)?;
        let wanted = match source {
            VolumeSource::Directory(_) if metadata.is_dir() => continue,
            VolumeSource::Directory(_) => "a directory",
            source if disk_kind(&metadata) == Some(kind(source)) => continue,
            VolumeSource::BlockDevice(_) => "a block device",
            VolumeSource::File(_) => "a regular file",
        };
        return Err(VolumeError::Kind {
            path: path.to_owned(),
            found: found(&metadata),
            wanted,
        });
    }
    Ok(())
}

/// The directory at this path, past all links to it.
pub(super) fn directory(path: &Path) -> Result<PathBuf, VolumeError> {
    let metadata = metadata(path)?;
    if !metadata.is_dir() {
        return Err(VolumeError::Kind {
            path: path.to_owned(),
            found: found(&metadata),
            wanted: "a directory",
        });
    }
    let source = |source| VolumeError::Source {
        path: path.to_owned(),
        source,
    };
    let whole = path.canonicalize().map_err(source)?;
    // Plans and records are text.
    if whole.to_str().is_none() {
        let reason = format!("it leads to {whole:?}, a name that is no text");
        return Err(source(io::Error::other(reason)));
    }
    Ok(whole)
}

/// Takes the disk for a moment, and looks at what is on it: the type of its file system, where the VM
/// mounts one.
pub(super) fn disk(
    record: &VmRecord,
    volume: &Volume,
    source: VolumeSource<'_>,
) -> Result<Option<&'static str>, VolumeError> {
    let path = Path::new(source.path());
    let disk =
        open_disk(path, kind(source), volume.read_only).map_err(|source| VolumeError::Disk {
            name: volume.name.clone(),
            source,
        })?;
    if record.spec.storage.mount_of(&volume.name).is_none() {
        return Ok(None);
    }
    let content = superblock::look(&disk).map_err(|source| VolumeError::Source {
        path: path.to_owned(),
        source,
    })?;
    let found = match content {
        Content::FileSystem(found) => return Ok(Some(found.kind)),
        Content::Other(other) => Some(other),
        Content::Unknown => None,
    };
    Err(VolumeError::NoFileSystem {
        path: path.to_owned(),
        found,
    })
}

/// Whether one of the volumes is the same file or device, whatever it is called.
pub(super) fn has(storage: &StorageSpec, path: &Path) -> bool {
    let identity = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some(match metadata.rdev() {
            0 => (metadata.dev(), metadata.ino()),
            device => (0, device),
        })
    };
    let Some(wanted) = identity(path) else {
        return false;
    };
    let sources = storage.volumes.iter().filter_map(Volume::source);
    let mut paths = sources.map(|source| Path::new(source.path()));
    paths.any(|path| identity(path) == Some(wanted))
}

fn kind(source: VolumeSource<'_>) -> DiskKind {
    match source {
        VolumeSource::BlockDevice(_) => DiskKind::BlockDevice,
        VolumeSource::File(_) | VolumeSource::Directory(_) => DiskKind::File,
    }
}

fn metadata(path: &Path) -> Result<Metadata, VolumeError> {
    std::fs::metadata(path).map_err(|source| VolumeError::Source {
        path: path.to_owned(),
        source,
    })
}

fn found(metadata: &Metadata) -> &'static str {
    match disk_kind(metadata) {
        Some(DiskKind::File) => "a regular file",
        Some(DiskKind::BlockDevice) => "a block device",
        None if metadata.is_dir() => "a directory",
        None => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_the_path_says_what_the_volume_is() {
        let directory = tempfile::tempdir().expect("tempdir");
        let file = directory.path().join("disk");
        std::fs::write(&file, "x").expect("write");
        let flag = |path: &Path, option: &str| -> VolumeFlag {
            let text = format!("{}:/data{option}", path.display());
            text.parse().expect("a volume")
        };
        let storage = volumes_of([flag(directory.path(), ":ro"), flag(&file, "")]);
        let storage = storage.expect("volumes");
        let [shared, disk] = storage.volumes.as_slice() else {
            panic!("two");
        };
        assert!(matches!(shared.source(), Some(VolumeSource::Directory(_))));
        assert!(shared.read_only && !disk.read_only);
        assert_eq!(disk.source().map(VolumeSource::path), file.to_str());
        assert_eq!(disk.name, "volume1");
        check(&storage).expect("as they are");
        assert!(has(&storage, &file));
        std::fs::remove_file(&file).expect("removed");
        std::fs::create_dir(&file).expect("mkdir");
        let error = check(&storage).expect_err("another kind").to_string();
        assert!(
            error.ends_with("it is a directory, not a regular file"),
            "{error}"
        );
        assert!(volumes_of([flag(Path::new("/dev/null"), "")]).is_err());
        assert!(volumes_of([flag(&directory.path().join("absent"), "")]).is_err());
    }
}
