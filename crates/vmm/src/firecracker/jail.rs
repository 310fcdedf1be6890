//! Firecracker's own jailer: what it is told, and the directory in which it locks Firecracker up.
//!
//! ```text
//!  <base>/<program's name>/<id>/root   becomes Firecracker's /
//!      |- kernel, disk0, disk1, ...    hard links: the same files under other names
//!      |- run/                         its work directory
//!      '- dev/, the program's copy     made by the jailer
//! ```
//! The jailer becomes Firecracker (the pid stays), in the network namespace and the control groups it
//! was started in. It closes every descriptor but the standard streams, and by its change of user the
//! kernel forgets the parent-death signal: a Firecracker whose supervisor was killed lives on, without
//! the liveness lock, until its control group is ended. Everything in `root` is the VMM's to change:
//! nothing here follows a name in it.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, canonicalize, copy, remove_dir_all, set_permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ignite_wire::supervisor::Machine;
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, StatVfsMountFlags, Uid, chmod, chown, linkat,
    mknodat, open, statvfs,
};
use rustix::io::Errno;

use super::command::{self, Paths};
use super::error::{Error, FIND};
use super::volumes::Numbers;
use crate::{Error as VmmError, Jailer};

/// What the name of a program that the jailer starts must contain.
const NAME: &[u8] = b"firecracker";

/// Mode of a kernel that was copied.
const READ_BY_ALL: u32 = 0o444;

/// Who is locked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inmate {
    /// User and group.
    pub(super) user: u32,
    /// Bytes a file it writes to may have.
    pub(super) file_bytes: u64,
}

/// What a jail is made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Its directory, which has nothing else in it.
    base: PathBuf,
    /// What becomes Firecracker's `/`.
    root: PathBuf,
    /// Its work directory.
    work: PathBuf,
    /// User and group.
    user: u32,
    /// The kernel, and what it is called in the jail.
    kernel: (PathBuf, PathBuf),
    /// The disks, likewise.
    disks: Vec<(PathBuf, PathBuf)>,
    /// Volumes, which are block devices.
    volumes: Vec<Volume>,
    /// The jailer and its arguments.
    pub(super) command: (PathBuf, Vec<OsString>),
}

/// A block device in a jail.
#[derive(Debug, PartialEq, Eq)]
struct Volume {
    /// Its device number.
    number: u64,
    /// Whether it is never written to.
    read_only: bool,
    /// What it is called in the jail.
    name: PathBuf,
}

/// A jail that is made; dropped, it is gone.
#[derive(Debug)]
pub(super) struct Jail {
    base: PathBuf,
}

/// The jail for this machine with the devices of its volumes, its programs found.
pub(super) fn plan(
    own: (&Machine, &Numbers),
    id: &str,
    jailer: &Jailer,
    inmate: Inmate,
) -> Result<Plan, VmmError> {
    let found = |path: &Path| canonicalize(path).map_err(failed(FIND, path));
    found(&jailer.program)?;
    // The jailer follows links, and calls the jail by what it finds.
    let program = found(&own.0.program)?;
    layout(own, id, jailer, inmate, &program)
}

fn layout(
    (machine, numbers): (&Machine, &Numbers),
    id: &str,
    jailer: &Jailer,
    inmate: Inmate,
    program: &Path,
) -> Result<Plan, VmmError> {
    let paths = Paths::of_room(machine);
    let arguments = arguments(id, jailer, inmate, program, &paths)?;
    let name = program.file_name().unwrap_or_default();
    if !name.as_bytes().windows(NAME.len()).any(|part| part == NAME) {
        let program = program.to_owned();
        return Err(Error::NoJailName { program }.into());
    }
    let root = jailer.base.join(name).join(id).join("root");
    let (mut disks, mut volumes) = (Vec::new(), Vec::new());
    for (index, (disk, path)) in machine.disks.iter().zip(&paths.disks).enumerate() {
        let name = inside(&root, path);
        match numbers.get(&index) {
            None => disks.push((disk.path.clone(), name)),
            Some(&number) => volumes.push(Volume {
                number,
                read_only: disk.read_only,
                name,
            }),
        }
    }
    Ok(Plan {
        base: jailer.base.clone(),
        work: inside(&root, &paths.work),
        user: inmate.user,
        kernel: (machine.kernel.clone(), inside(&root, &paths.kernel)),
        disks,
        volumes,
        command: (jailer.program.clone(), arguments),
        root,
    })
}

/// A path of the jail as the host calls it.
fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// No control groups, namespaces or terminals: it has them already.
fn arguments(
    id: &str,
    jailer: &Jailer,
    inmate: Inmate,
    program: &Path,
    paths: &Paths,
) -> Result<Vec<OsString>, VmmError> {
    let user = OsString::from(inmate.user.to_string());
    let limit = OsString::from(format!("fsize={}", inmate.file_bytes));
    let own: [&OsStr; 10] = [
        "--exec-file".as_ref(),
        program.as_os_str(),
        "--uid".as_ref(),
        &user,
        "--gid".as_ref(),
        &user,
        "--chroot-base-dir".as_ref(),
        jailer.base.as_os_str(),
        "--resource-limit".as_ref(),
        &limit,
    ];
    let own = own.map(OsStr::to_owned);
    let firecrackers = command::sockets(paths)?;
    let all = [&command::name(id)?[..], &own, &["--".into()], &firecrackers];
    Ok(all.concat())
}

impl Plan {
    /// Makes it, in place of one that was left; with its work directory, open.
    pub(super) fn make(&self) -> Result<(Jail, OwnedFd), Error> {
        remove(&self.base).map_err(failed("remove the last run's", &self.base))?;
        let jail = Jail {
            base: self.base.clone(),
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.work)
            .map_err(failed("make", &self.work))?;
        let mount = statvfs(&self.base).map_err(failed("look at", &self.base))?;
        check_mount(&self.base, mount.f_flag)?;
        self.link_kernel()?;
        for (disk, name) in &self.disks {
            self.link_disk(disk, name)?;
        }
        for volume in &self.volumes {
            self.make_node(volume)?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let work = open(&self.work, flags, Mode::empty()).map_err(failed("open", &self.work))?;
        for directory in [&self.work, &self.root] {
            let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.user));
            chown(directory, Some(user), Some(group)).map_err(failed("give away", directory))?;
        }
        Ok((jail, work))
    }

    fn link_kernel(&self) -> Result<(), Error> {
        let (kernel, name) = &self.kernel;
        match link(kernel, name) {
            Err(Errno::XDEV) => copy(kernel, name)
                .and_then(|_| set_permissions(name, PermissionsExt::from_mode(READ_BY_ALL)))
                .map_err(failed("copy the kernel", kernel)),
            linked => linked.map_err(failed("link the kernel", kernel)),
        }
    }

    /// The inmate's own node of a device, below the `/dev` that the jailer goes on with. One that it may
    /// only read belongs to root: an owner could change its mode.
    fn make_node(&self, volume: &Volume) -> Result<(), Error> {
        let (name, number) = (&volume.name, volume.number);
        let parent = name.parent().unwrap_or(&self.root);
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o755).create(parent);
        made.map_err(failed("make", parent))?;
        let (user, mode) = match volume.read_only {
            true => (Uid::ROOT, Mode::RUSR | Mode::RGRP),
            false => (Uid::from_raw(self.user), Mode::RUSR | Mode::WUSR),
        };
        let kind = FileType::BlockDevice;
        mknodat(CWD, name, kind, Mode::empty(), number).map_err(failed("make", name))?;
        let group = Gid::from_raw(self.user);
        chown(name, Some(user), Some(group)).map_err(failed("give away", name))?;
        // Whatever the umask.
        chmod(name, mode).map_err(failed("set the mode of", name))
    }

    fn link_disk(&self, disk: &Path, name: &Path) -> Result<(), Error> {
        match link(disk, name) {
            Err(Errno::XDEV) => Err(Error::ForeignDisk {
                disk: disk.to_owned(),
                base: self.base.clone(),
            }),
            linked => linked.map_err(failed("link the disk", disk)),
        }
    }
}

/// Another name of a file. A link to it is followed: its own path is not there in the jail.
fn link(file: &Path, name: &Path) -> Result<(), Errno> {
    linkat(CWD, file, CWD, name, AtFlags::SYMLINK_FOLLOW)
}

/// The jailer does not look, and Firecracker would say that it may not open its devices.
fn check_mount(base: &Path, flags: StatVfsMountFlags) -> Result<(), Error> {
    let refused = StatVfsMountFlags::NODEV | StatVfsMountFlags::NOEXEC;
    if flags.intersects(refused) {
        let base = base.to_owned();
        return Err(Error::NoDevices { base });
    }
    Ok(())
}

/// Removes a jail, following no link; none is fine.
fn remove(base: &Path) -> io::Result<()> {
    match remove_dir_all(base) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn failed<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Error {
    move |source| Error::Jail {
        action,
        path: path.to_owned(),
        source: source.into(),
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        // What cannot be removed goes with the next start or the VM's directory; a start says why not.
        let _ = remove(&self.base);
    }
}

#[cfg(test)]
mod tests;
