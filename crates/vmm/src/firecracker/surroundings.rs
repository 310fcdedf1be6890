//! Where Firecracker runs: in a room of ours, in its own jailer's jail, or as we do.

use std::ffi::OsString;
use std::fs::{File, metadata, set_permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use ignite_host::confine::{Confine, Network};
use ignite_host::process::Spec;
use ignite_wire::supervisor::Machine;
use rustix::fs::{Gid, Uid, chown};

use super::command::{self, INITRAMFS, Paths};
use super::error::Error;
use super::jail::{self, Inmate, Jail};
use super::room;
use super::volumes::Numbers;
use crate::{Confinement, Error as VmmError, Jailer, Work};

/// Mode bit of what all may read.
const READ_BY_OTHERS: u32 = 0o004;

/// One Firecracker's.
pub(super) struct Surroundings {
    /// What it calls its files.
    pub(super) paths: Paths,
    /// Its work directory, as we reach it.
    pub(super) directory: OwnedFd,
    /// Whose its files are, if not ours.
    pub(super) user: Option<u32>,
    /// What is started, with its arguments.
    pub(super) command: (PathBuf, Vec<OsString>),
    /// What keeps it there.
    pub(super) walls: Walls,
}

/// What keeps a Firecracker where it is.
pub(super) enum Walls {
    /// Nothing.
    None,
    /// We do.
    Room(Box<Confine>),
    /// The jailer does, and these control groups, which it does not know.
    Jail(Jail, Vec<OwnedFd>),
}

impl Walls {
    /// Puts the process within them; the jail, where there is one.
    pub(super) fn around(self, spec: Spec) -> (Spec, Option<Jail>) {
        match self {
            Self::None => (spec, None),
            Self::Room(confine) => (spec.confine(*confine), None),
            Self::Jail(jail, cgroups) => (spec.cgroups(cgroups), Some(jail)),
        }
    }
}

impl Surroundings {
    /// For this machine with the devices of its volumes, and with that many network interfaces and bytes of initramfs.
    pub(super) fn new(
        own: (&Machine, &Numbers),
        work: &Work,
        confinement: Option<Confinement>,
        nics: usize,
        initramfs: u64,
    ) -> Result<Self, VmmError> {
        match confinement {
            None => Self::open(own.0, work),
            Some(mut confinement) => match confinement.jailer.take() {
                None => Self::room(own, work, confinement, nics, initramfs),
                Some(jailer) => Self::jail(own, work, confinement, &jailer),
            },
        }
    }

    fn open(machine: &Machine, work: &Work) -> Result<Self, VmmError> {
        let paths = Paths::of_host(machine, &work.directory);
        let arguments = command::command_line(&work.id, &paths)?;
        let directory = File::open(&work.directory).map_err(|source| Error::Work {
            action: "open",
            name: work.directory.display().to_string(),
            source,
        })?;
        Ok(Self {
            paths,
            directory: directory.into(),
            user: None,
            command: (machine.program.clone(), arguments),
            walls: Walls::None,
        })
    }

    fn room(
        (machine, numbers): (&Machine, &Numbers),
        work: &Work,
        confinement: Confinement,
        nics: usize,
        initramfs: u64,
    ) -> Result<Self, VmmError> {
        let paths = Paths::of_room(machine);
        let arguments = command::command_line(&work.id, &paths)?;
        let user = confinement.user;
        let (plan, program) = room::plan((machine, numbers), nics, initramfs)?;
        let confine = confinement.furnish(&plan, &[])?;
        let inside = |source| Error::Work {
            action: "open",
            name: "the place for sockets".to_owned(),
            source,
        };
        let directory = confine.room.work().ok_or(io::ErrorKind::NotFound.into());
        let directory = directory.and_then(|work| work.try_clone_to_owned());
        Ok(Self {
            paths,
            directory: directory.map_err(inside)?,
            user: Some(user),
            command: (program, arguments),
            // It opens its taps by their names, in the network namespace they are in.
            walls: Walls::Room(Box::new(Confine {
                network: Network::Given,
                ..confine
            })),
        })
    }

    fn jail(
        (machine, numbers): (&Machine, &Numbers),
        work: &Work,
        confinement: Confinement,
        jailer: &Jailer,
    ) -> Result<Self, VmmError> {
        if confinement.cgroups.is_empty() {
            return Err(Error::NoGroups.into());
        }
        let inmate = Inmate {
            user: confinement.user,
            file_bytes: confinement.file_bytes,
        };
        let plan = jail::plan((machine, numbers), &work.id, jailer, inmate)?;
        let (jail, directory) = plan.make()?;
        Ok(Self {
            paths: Paths::of_room(machine),
            directory,
            user: Some(confinement.user),
            command: plan.command,
            walls: Walls::Jail(jail, confinement.cgroups),
        })
    }
}

/// Bytes of the initramfs.
pub(super) fn size(file: &OwnedFd) -> Result<u64, Error> {
    let stat = rustix::fs::fstat(file).map_err(|errno| Error::Work {
        action: "measure",
        name: INITRAMFS.to_owned(),
        source: errno.into(),
    })?;
    Ok(stat.st_size.unsigned_abs())
}

/// Firecracker opens disks by their names. What is the VM's alone becomes its user's; what is shared can
/// be read by all.
pub(super) fn give_disks(machine: &Machine, user: Option<u32>) -> Result<(), Error> {
    let Some(user) = user else {
        return Ok(());
    };
    let (owner, group) = (Uid::from_raw(user), Gid::from_raw(user));
    let own = || machine.disks.iter().filter(|disk| disk.volume.is_none());
    for disk in own().filter(|disk| !disk.read_only) {
        chown(&disk.path, Some(owner), Some(group)).map_err(|errno| Error::Disk {
            path: disk.path.clone(),
            source: errno.into(),
        })?;
    }
    for disk in own().filter(|disk| disk.read_only) {
        let readable = metadata(&disk.path).and_then(|metadata| {
            let mode = metadata.mode() | READ_BY_OTHERS;
            set_permissions(&disk.path, PermissionsExt::from_mode(mode))
        });
        readable.map_err(|source| Error::Disk {
            path: disk.path.clone(),
            source,
        })?;
    }
    Ok(())
}
