//! What can go wrong with a volume.

use std::io;
use std::path::PathBuf;

use ignite_api::Size;
use ignite_host::fs::DiskError;
use ignite_image::{ext4, superblock::Other};

/// Why a VM cannot have a volume.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// Nothing a volume can be made of is there.
    #[error("cannot make a volume of {}", path.display())]
    Source {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is there has another kind.
    #[error("cannot make a volume of {}: it is {found}, not {wanted}", path.display())]
    Kind {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
        /// What was expected.
        wanted: &'static str,
    },
    /// A device or file that cannot be used.
    #[error("cannot use the volume {name}")]
    Disk {
        /// Its name.
        name: String,
        /// Why.
        source: DiskError,
    },
    /// Another VM writes to it, or reads what this one would write to.
    #[error("{} is in use by VM {vm}", path.display())]
    InUse {
        /// The device or file.
        path: PathBuf,
        /// The other VM.
        vm: String,
    },
    /// It holds no file system.
    #[error("{} holds {}", path.display(), found.map_or("no file system", Other::name))]
    NoFileSystem {
        /// The device or file.
        path: PathBuf,
        /// What is there, if that is known.
        found: Option<Other>,
    },
    /// A directory is too large to be copied.
    #[error("{} holds {} and more, too much for a copy of it", path.display(), bound.human())]
    TooLarge {
        /// The directory.
        path: PathBuf,
        /// How much a copy may hold.
        bound: Size,
    },
    /// A directory cannot be copied.
    #[error("cannot copy {} for the VM", path.display())]
    Copy {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: ext4::Error,
    },
}

impl VolumeError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Source { .. } => Some(
                "name a block device, a file that holds a file system, or a directory of this host"
                    .into(),
            ),
            Self::Kind { .. } => Some("see what is at that path, or make the VM anew".into()),
            Self::Disk { source, .. } => source.hint(),
            Self::InUse { vm, .. } => Some(format!(
                "a volume is written to by one VM alone: stop that one (ignite stop {vm}), or give it \
                 to both read-only (:ro)"
            )),
            Self::NoFileSystem { path, found } => Some(no_file_system(path.display(), *found)),
            Self::TooLarge { .. } => Some(
                "share it from QEMU with virtiofsd, which copies nothing; a copy is at most as large \
                 as the VM's disk (--size)"
                    .into(),
            ),
            Self::Copy { source, .. } => source.hint(),
        }
    }
}

fn no_file_system(path: impl std::fmt::Display, found: Option<Other>) -> String {
    match found {
        Some(Other::Partitions) => {
            format!(
                "name one of its partitions: `lsblk {path}`, or `losetup -P -f {path}` for a file"
            )
        }
        Some(Other::Luks) => "open it first, and name what cryptsetup makes of it".into(),
        Some(Other::Lvm) => "name a logical volume: `lvs`".into(),
        Some(Other::Qcow2) => format!("a volume is raw: qemu-img convert -O raw {path} NEW"),
        Some(Other::Swap) | None => {
            format!("make one, which takes all that is on it: mkfs.ext4 {path}")
        }
    }
}
