//! The jail: a directory with devices, and the way into it.

use std::fs::{copy, create_dir_all, set_permissions, write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::{MountPropagationFlags, UnmountFlags};

use super::Failure;
use super::options::Options;

/// Directories that become the user's.
const DIRECTORIES: [&str; 4] = ["", "dev", "dev/net", "run"];

/// Devices, with their numbers.
const DEVICES: [(&str, u32, u32); 3] = [
    ("dev/kvm", 10, 232),
    ("dev/net/tun", 10, 200),
    ("dev/urandom", 1, 9),
];

/// Furnishes it; what the program is called in it.
pub fn make(options: &Options) -> Result<PathBuf, Failure> {
    let (root, name) = (options.root()?, options.name()?);
    create_dir_all(&root)?;
    copy(&options.program, root.join(&name))?;
    let own = |path: &Path| chown(path, Some(options.uid), Some(options.gid));
    for directory in DIRECTORIES.map(|name| root.join(name)) {
        create_dir_all(&directory)?;
        set_permissions(&directory, PermissionsExt::from_mode(0o700))?;
        own(&directory)?;
    }
    for (device, major, minor) in DEVICES {
        let path = root.join(device);
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(
            CWD,
            &path,
            FileType::CharacterDevice,
            mode,
            makedev(major, minor),
        )
        .map_err(|errno| format!("cannot make {device}: {errno}"))?;
        own(&path)?;
    }
    let number = root.join(&name).with_extension("pid");
    write(number, std::process::id().to_string())?;
    Ok(Path::new("/").join(name))
}

/// Makes it this process's `/`, in a mount namespace of its own.
pub fn enter(options: &Options) -> Result<(), Failure> {
    const OLD: &str = "old_root";
    let root = options.root()?;
    own_mounts()?;
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags)?;
    rustix::mount::mount_bind_recursive(&root, &root)?;
    std::env::set_current_dir(&root)?;
    std::fs::create_dir(OLD)?;
    rustix::process::pivot_root(".", OLD)?;
    std::env::set_current_dir("/")?;
    rustix::mount::unmount(OLD, UnmountFlags::DETACH)?;
    std::fs::remove_dir(OLD)?;
    Ok(())
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for the sake of tables of descriptors, which stay shared here"
)]
fn own_mounts() -> rustix::io::Result<()> {
    rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNS)
}
