//! The rights of a room once more, as landlock rules: a wall that stands when a mount of the room does
//! not hold what it promises.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use ::landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use rustix::fs::{FileType, Mode, OFlags};

use super::{Access, Error, Plan, Room};
use crate::error::{Context, SystemError};

/// The newest rights we know and handle; a kernel that knows fewer enforces those.
const KNOWN: ABI = ABI::V6;

/// The rules for a room made from this plan, for [`super::Confine::landlock`]; none where the kernel
/// has no landlock.
///
/// All of the room may be read; executed, written to and created is only what and where the plan says.
/// No TCP port may be bound or connected to, and (since Linux 6.12) neither abstract sockets nor
/// processes outside be reached. A file of the host's that the process opens again by
/// `/proc/self/fd/<n>` must be among `reopened`; it may then be read.
pub fn landlock(
    plan: &Plan,
    room: &Room,
    reopened: &[BorrowedFd<'_>],
) -> Result<Option<OwnedFd>, Error> {
    let mut rules = ruleset().map_err(refused)?;
    for (fd, rights) in targets(plan, room, reopened)? {
        rules = rules
            .add_rule(PathBeneath::new(fd, rights))
            .map_err(refused)?;
    }
    Ok(rules.into())
}

fn refused(source: RulesetError) -> Error {
    Error::Landlock {
        source: Box::new(source),
    }
}

fn ruleset() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()
}

/// Every file or directory with rights, as the room shows it.
fn targets(
    plan: &Plan,
    room: &Room,
    reopened: &[BorrowedFd<'_>],
) -> Result<Vec<(OwnedFd, BitFlags<AccessFs>)>, Error> {
    let mut targets = vec![(
        room.open(Path::new("/"))?,
        AccessFs::ReadFile | AccessFs::ReadDir,
    )];
    for bind in &plan.binds {
        let rights = match bind.access {
            Access::Read => continue,
            Access::ReadExecute => AccessFs::Execute.into(),
            Access::ReadWrite => writing(),
        };
        targets.push((room.open(&bind.target)?, rights));
    }
    for device in &plan.devices {
        targets.push((room.open(device)?, AccessFs::WriteFile | AccessFs::IoctlDev));
    }
    for block in &plan.blocks {
        let rights = match block.access {
            Access::Read | Access::ReadExecute => AccessFs::IoctlDev.into(),
            Access::ReadWrite => AccessFs::WriteFile | AccessFs::IoctlDev,
        };
        targets.push((room.open(&block.target)?, rights));
    }
    if let Some(work) = &plan.work {
        targets.push((room.open(&work.target)?, writing()));
    }
    for file in reopened {
        let file = file
            .try_clone_to_owned()
            .context(|| "copy a descriptor".to_owned())?;
        targets.push((file, AccessFs::ReadFile.into()));
    }
    for (fd, rights) in &mut targets {
        *rights = fitting(fd, *rights)?;
    }
    Ok(targets)
}

/// What a directory to write to is for: all but to execute, and to make devices and links.
fn writing() -> BitFlags<AccessFs> {
    AccessFs::from_all(KNOWN)
        & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::MakeSym)
}

/// Of these rights those a file can have, if it is one: the kernel refuses others.
fn fitting(fd: &OwnedFd, rights: BitFlags<AccessFs>) -> Result<BitFlags<AccessFs>, Error> {
    let stat = rustix::fs::fstat(fd).context(|| "look at a file of a room".to_owned())?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => rights,
        _ => rights & AccessFs::from_file(KNOWN),
    })
}

impl Room {
    /// A file or directory of the room, for reference only. To be called before anything runs in it.
    fn open(&self, path: &Path) -> Result<OwnedFd, SystemError> {
        let inside = path.strip_prefix("/").unwrap_or(path);
        let inside = Path::new(".").join(inside);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(self.root(), inside, flags, Mode::empty())
            .context(|| format!("open {} of a room", path.display()))
    }
}
