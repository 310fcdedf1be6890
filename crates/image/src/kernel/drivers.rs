//! What a guest loads of its kernel, and what it can rely on.
//!
//! ```text
//!  kernel/<uid>/drivers.cpio    the modules, see `initramfs`
//!              /features.json   what a guest uses, and how the kernel has it; written last
//! ```
//!
//! A kernel that was imported before Ignite knew of vsock, or of balloons, says nothing of it in
//! `features.json`, and has no modules for it in `drivers.cpio`. Both are then made anew from what the
//! import kept: the kernel and the disk with its modules.

use std::path::Path;

use ignite_host::error::SystemError;
use ignite_host::fs::{Lock, read_bounded, write_atomic};
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::modules::{self, Driver, Tree, load_order};
use super::needs::{self, BALLOON_OPTION, Evidence, NEEDS, Presence, VSOCK_OPTION};
use super::{Error, MODULES, VMLINUX, vmlinux};
use crate::{ext4, initramfs};

/// File in a kernel's directory: a list of [`Feature`]s.
pub const FEATURES: &str = "features.json";

/// Directory for what is needed on the way; not there any more when that ends.
const WORK: &str = "work";

/// The largest list of features read, in bytes.
const MAX_FEATURES: u64 = 64 * 1024;

/// One thing a guest uses of its kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Feature {
    /// The option it is configured by, `CONFIG_VIRTIO_BLK`.
    pub option: String,
    /// How the kernel has it.
    pub presence: Presence,
}

/// Makes sure that a guest of the kernel in `directory` finds vsock: where its machine has no virtio
/// console, nothing else leads to the host. To be asked before the initramfs is. `version` is the
/// kernel's release. Costs a small read, but for a kernel imported long ago.
pub fn ensure_vsock(directory: &Path, version: &str) -> Result<(), Error> {
    match lacks(directory, version, VSOCK_OPTION)? {
        None => Ok(()),
        Some(module_is_missing) => Err(Error::NoVsock {
            version: version.to_owned(),
            module_is_missing,
        }),
    }
}

/// The same for a guest that is to have a balloon.
pub fn ensure_balloon(directory: &Path, version: &str) -> Result<(), Error> {
    match lacks(directory, version, BALLOON_OPTION)? {
        None => Ok(()),
        Some(module_is_missing) => Err(Error::NoBalloon {
            version: version.to_owned(),
            module_is_missing,
        }),
    }
}

/// Whether a kernel that lacks what this option configures would have it as a module; none for one that
/// has it, or may.
fn lacks(directory: &Path, version: &str, option: &str) -> Result<Option<bool>, Error> {
    let presence = match known(directory, option) {
        Some(presence) => presence,
        None => renew(directory, version, option)?,
    };
    Ok(match presence {
        Presence::BuiltIn | Presence::Module | Presence::Unknown => None,
        Presence::ModuleMissing => Some(true),
        Presence::Absent => Some(false),
    })
}

/// How the kernel has this, if its import or a renewal has found that out.
fn known(directory: &Path, option: &str) -> Option<Presence> {
    let text = read_bounded(&directory.join(FEATURES), MAX_FEATURES).ok()?;
    let features: Vec<Feature> = serde_json::from_slice(&text).ok()?;
    presence(&features, option)
}

fn presence(features: &[Feature], option: &str) -> Option<Presence> {
    let mut of_option = features.iter().filter(|feature| feature.option == option);
    of_option.next().map(|feature| feature.presence)
}

/// Looks at the kernel again, with today's [`NEEDS`].
fn renew(directory: &Path, version: &str, option: &str) -> Result<Presence, Error> {
    let _lock = Lock::exclusive(&directory.join(initramfs::LOCK))?;
    if let Some(presence) = known(directory, option) {
        return Ok(presence);
    }
    let work = directory.join(WORK);
    // Of somebody who was killed on the way.
    let _ = std::fs::remove_dir_all(&work);
    std::fs::create_dir(&work)
        .map_err(|source| SystemError::new(format!("create {}", work.display()), source))?;
    let renewed = renew_from(directory, &work, version);
    let removed = std::fs::remove_dir_all(&work);
    let features = renewed?;
    removed.map_err(|source| SystemError::new(format!("remove {}", work.display()), source))?;
    Ok(presence(&features, option).unwrap_or(Presence::Unknown))
}

fn renew_from(directory: &Path, work: &Path, version: &str) -> Result<Vec<Feature>, Error> {
    let kernel = read_bounded(&directory.join(VMLINUX), vmlinux::MAX_SIZE)?;
    let config = Config::embedded(&kernel);
    let tree = match directory.join(MODULES) {
        disk if disk.exists() => Some(tree_of(&disk, work, version)?),
        _ => None,
    };
    let evidence = Evidence {
        tree: tree.as_ref(),
        config: config.as_ref(),
        vmlinux: &kernel,
    };
    let (drivers, features) = choose(&evidence, version)?;
    write(directory, &drivers, &features).map_err(in_initramfs(version))?;
    Ok(features)
}

fn tree_of(disk: &Path, work: &Path, version: &str) -> Result<Tree, Error> {
    ext4::extract(disk, work).map_err(|source| Error::ModulesDisk {
        version: version.to_owned(),
        source,
    })?;
    Tree::open(work).map_err(in_modules(version))
}

/// The modules a guest loads, in order, and what it can rely on.
pub(super) fn choose(
    evidence: &Evidence<'_>,
    version: &str,
) -> Result<(Vec<Driver>, Vec<Feature>), Error> {
    let drivers = match evidence.tree {
        Some(tree) => {
            load_order(tree, &needs::modules(evidence), version).map_err(in_modules(version))?
        }
        None => Vec::new(),
    };
    let features = NEEDS.iter().map(|need| Feature {
        option: need.option.to_owned(),
        presence: need.presence(evidence),
    });
    Ok((drivers, features.collect()))
}

/// Writes both into a kernel's directory.
pub(super) fn write(
    directory: &Path,
    drivers: &[Driver],
    features: &[Feature],
) -> Result<(), initramfs::Error> {
    let segment = initramfs::drivers_segment(drivers)?;
    write_atomic(&directory.join(initramfs::DRIVERS), &segment, 0o644)?;
    let text = serde_json::to_vec(features).expect("features are plain data");
    Ok(write_atomic(&directory.join(FEATURES), &text, 0o644)?)
}

pub(super) fn in_initramfs(version: &str) -> impl FnOnce(initramfs::Error) -> Error {
    let version = version.to_owned();
    |source| Error::Initramfs { version, source }
}

pub(super) fn in_modules(version: &str) -> impl FnOnce(modules::Error) -> Error {
    let version = version.to_owned();
    |source| Error::Modules { version, source }
}
