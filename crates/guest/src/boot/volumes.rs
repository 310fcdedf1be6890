//! Volumes: disks and directories of the host's, mounted in the root before anything runs in it.
//!
//! The driver of a file system may be a module of the kernel's tree, which is a disk of its own; it is
//! loaded from there, with what it depends on, as modprobe(8) would. A volume that cannot be mounted
//! ends the start: a program must not write beside it.

use std::fs;
use std::io;

use ignite_wire::guest::{Config, Modules, Volume};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::system::finit_module;
use thiserror::Error;

use super::{devices, disk};
use crate::console;
use crate::root::{self, Mount, Root};

/// File system type of a shared directory.
const VIRTIOFS: &str = "virtiofs";

/// The longest list of modules read, in bytes: a distribution's has some hundred thousand.
const MAX_LIST: u64 = 8 << 20;

/// `MODULE_INIT_COMPRESSED_FILE` (linux/module.h).
const COMPRESSED: i32 = 4;

/// Character sets a driver asks for by itself, in vain where nobody loads modules.
const CHARACTER_SETS: [&str; 4] = ["nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8"];

/// Why a VM has not its volumes.
#[derive(Debug, Error)]
pub enum Error {
    /// The disk is not there.
    #[error("cannot mount the volume {name}")]
    Device {
        /// Its name.
        name: String,
        /// Why.
        source: devices::Error,
    },
    /// The disk of modules cannot be mounted.
    #[error(transparent)]
    Modules(#[from] disk::Error),
    /// The kernel does not know the file system.
    #[error("cannot mount the volume {name}: this kernel has no file system {filesystem}")]
    NoDriver {
        /// The volume's name.
        name: String,
        /// The type.
        filesystem: String,
    },
    /// The kernel refused.
    #[error("cannot mount the volume {name} ({filesystem})")]
    Mount {
        /// Its name.
        name: String,
        /// Its type.
        filesystem: String,
        /// Why.
        source: root::Error,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoDriver { filesystem, .. } if filesystem == VIRTIOFS => Some(
                "use a kernel with its module tree and CONFIG_VIRTIO_FS, or a disk in the \
                 directory's place"
                    .to_owned(),
            ),
            Self::NoDriver { .. } => Some(
                "use a kernel with its module tree, or a volume with ext4: mkfs.ext4".to_owned(),
            ),
            Self::Mount { filesystem, .. } if filesystem != VIRTIOFS => Some(format!(
                "the file system may be damaged: check it on the host with fsck.{filesystem}"
            )),
            Self::Device { source, .. } => Some(source.hint().to_owned()),
            Self::Mount { .. } | Self::Modules(_) => None,
        }
    }
}

/// Mounts them all, and before them the disk of modules; nothing where there are none.
pub fn mount(config: &Config, root: &Root) -> Result<(), Error> {
    if config.volumes.is_empty() {
        return Ok(());
    }
    if let Some(modules) = &config.modules {
        disk::mount_modules(modules, root)?;
    }
    for volume in &config.volumes {
        mount_one(volume, config.modules.as_ref(), root)?;
    }
    Ok(())
}

fn mount_one(volume: &Volume, modules: Option<&Modules>, root: &Root) -> Result<(), Error> {
    if volume.filesystem != VIRTIOFS {
        devices::block_device(&volume.source).map_err(|source| Error::Device {
            name: volume.name.clone(),
            source,
        })?;
    }
    if !is_known(&volume.filesystem) {
        if let Some(modules) = modules {
            load(&volume.filesystem, modules, root);
        }
        if !is_known(&volume.filesystem) {
            return Err(Error::NoDriver {
                name: volume.name.clone(),
                filesystem: volume.filesystem.clone(),
            });
        }
    }
    let mut flags = MountFlags::NODEV | MountFlags::RELATIME;
    flags.set(MountFlags::RDONLY, volume.read_only);
    let mount = Mount {
        source: &volume.source,
        filesystem: &volume.filesystem,
        target: &volume.target,
        flags,
        options: c"",
    };
    root.mount(&mount).map_err(|source| Error::Mount {
        name: volume.name.clone(),
        filesystem: volume.filesystem.clone(),
        source,
    })
}

/// Whether the kernel has the driver, as it says itself.
fn is_known(filesystem: &str) -> bool {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let mut names = known
        .lines()
        .filter_map(|line| line.split('\t').next_back());
    names.any(|name| name == filesystem)
}

/// Loads a driver, and what it would have loaded for itself. What fails is told, and missed soon.
fn load(filesystem: &str, modules: &Modules, root: &Root) {
    let tree = format!("/lib/modules/{}", modules.release);
    let list = root.read_head(&format!("{tree}/modules.dep"), MAX_LIST);
    let list = String::from_utf8_lossy(&list.unwrap_or_default()).into_owned();
    let (sets, driver): (&[&str], _) = match filesystem {
        "vfat" => (&CHARACTER_SETS, filesystem),
        "iso9660" => (&[], "isofs"),
        _ => (&[], filesystem),
    };
    for name in sets.iter().copied().chain([driver]) {
        for path in order(&list, name) {
            if let Err(errno) = load_one(&format!("{tree}/{path}"), root) {
                console::say(&format!(
                    "warning: cannot load the kernel module {path}: {errno}"
                ));
            }
        }
    }
}

/// The files to load for a module, in order, from a `modules.dep` (depmod(8)).
fn order<'a>(list: &'a str, name: &str) -> Vec<&'a str> {
    let mut lines = list.lines().filter_map(|line| line.split_once(':'));
    let Some((own, needed)) = lines.find(|(path, _)| module_name(path) == name) else {
        return Vec::new();
    };
    // The last is needed by those before it.
    let needed = needed.split_ascii_whitespace().rev();
    needed.chain([own.trim()]).collect()
}

/// `kernel/fs/nls/nls_iso8859-1.ko.xz` is `nls_iso8859_1`.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or_default();
    let name = file.split(".ko").next().unwrap_or_default();
    name.replace('-', "_")
}

fn load_one(path: &str, root: &Root) -> io::Result<()> {
    let file = root.open_file(path)?;
    let flags = if path.ends_with(".ko") { 0 } else { COMPRESSED };
    match finit_module(&file, c"", flags) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_needs_comes_before_it() {
        let list = "kernel/fs/fuse/fuse.ko:\n\
                    kernel/fs/fuse/virtiofs.ko: kernel/fs/fuse/fuse.ko kernel/virtio.ko.xz\n\
                    kernel/fs/nls/nls_iso8859-1.ko:\n\
                    garbage\n";
        assert_eq!(
            order(list, "virtiofs"),
            [
                "kernel/virtio.ko.xz",
                "kernel/fs/fuse/fuse.ko",
                "kernel/fs/fuse/virtiofs.ko"
            ]
        );
        assert_eq!(
            order(list, "nls_iso8859_1"),
            ["kernel/fs/nls/nls_iso8859-1.ko"]
        );
        assert!(order(list, "xfs").is_empty());
    }
}
