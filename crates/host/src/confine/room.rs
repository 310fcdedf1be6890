//! Making a room.
//!
//! A thread of its own unshares its mount namespace, puts a tmpfs in a place where nothing of the plan
//! is looked for any more, furnishes it, makes it the root and lets go of the old one; then it ends.
//! What stays is the namespace, by its descriptor.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, StatVfsMountFlags, Uid};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::{Access, Bind, Block, Error, Link, Plan, Work};
use crate::error::{Context, SystemError};

/// Where the new root stands until it is the root. Every host has it, and all that the plan names was
/// opened before the tmpfs hides it.
const STAGE: &str = "/dev";

/// No set-user-ID bit counts in a room.
const EVERYWHERE: MountFlags = MountFlags::NOSUID;

/// `ST_NOSYMFOLLOW` (linux/statfs.h).
const NOSYMFOLLOW: StatVfsMountFlags = StatVfsMountFlags::from_bits_retain(0x2000);

/// A room, held open. It ends with the last copy of this value and the last process in it.
#[derive(Debug, Clone)]
pub struct Room {
    namespace: Arc<OwnedFd>,
    root: Arc<OwnedFd>,
    work: Option<Arc<OwnedFd>>,
    user: u32,
    proc: Option<CString>,
}

impl Room {
    /// Makes the room a plan describes, for processes of this user and the group of the same number.
    /// Only root can. The host's own mount table is as before, whatever happens.
    pub fn make(plan: &Plan, user: u32) -> Result<Self, Error> {
        plan.check()?;
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name("room".to_owned())
                .spawn_scoped(scope, || build(plan, user))
                .context(|| "start a thread".to_owned())?;
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Its mount namespace.
    pub fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// Its [`Work`] directory, if the plan has one: by this descriptor the host reaches what is in it
    /// without following a path. What is there is the room's to choose; open it without following
    /// links, or by `/proc/self/fd/<n>/<name>` where a path must be given.
    pub fn work(&self) -> Option<BorrowedFd<'_>> {
        self.work.as_ref().map(|work| work.as_fd())
    }

    /// Whose room it is.
    pub fn user(&self) -> u32 {
        self.user
    }

    /// Its root directory.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Where whoever starts in it is to mount its `/proc`.
    pub(crate) fn proc(&self) -> Option<&CStr> {
        self.proc.as_deref()
    }
}

/// A thread's whole work. Every descriptor is close-on-exec, as all of this process are.
fn build(plan: &Plan, user: u32) -> Result<Room, Error> {
    // SAFETY: the mount namespace, and with it root, working directory and umask, are unshared; no
    // other thread notices, and this one ends soon.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }
        .context(|| "make a mount namespace".to_owned())?;
    rustix::process::umask(Mode::empty());
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private)
        .context(|| "keep mounts from spreading".to_owned())?;
    let proc = plan
        .proc
        .as_ref()
        .map(|path| CString::new(path.as_os_str().as_bytes()));
    let proc = proc
        .transpose()
        .context(|| "name a place in a room".to_owned())?;
    let namespace: OwnedFd = File::open("/proc/thread-self/ns/mnt")
        .context(|| "open the mount namespace".to_owned())?
        .into();
    let binds = plan.binds.iter().map(Source::open);
    let binds: Vec<Source<'_>> = binds.collect::<Result<_, _>>()?;
    let devices = plan.devices.iter().map(Node::find);
    let mut devices: Vec<Node<'_>> = devices.collect::<Result<_, _>>()?;
    devices.extend(plan.blocks.iter().map(Node::of_block));

    mount_tmpfs(
        Path::new(STAGE),
        EVERYWHERE,
        "size=1m,nr_inodes=4096,mode=755",
    )?;
    furnish(plan, &binds)?;
    for bind in &binds {
        bind.mount()?;
    }
    if !devices.is_empty() {
        make_devices(&devices, user)?;
    }
    let work = plan.work.as_ref().map(|work| make_work(work, user));
    let work = work.transpose()?;
    let root = open_directory(Path::new(STAGE))?;
    move_in()?;
    Ok(Room {
        namespace: Arc::new(namespace),
        root: Arc::new(root),
        work: work.map(Arc::new),
        user,
        proc,
    })
}

/// Makes every directory, file and link, before anything of the host's is there.
fn furnish(plan: &Plan, binds: &[Source<'_>]) -> Result<(), SystemError> {
    for bind in binds {
        let target = staged(&bind.bind.target);
        if bind.directory {
            make_directory(&target)?;
        } else {
            make_parent(&target)?;
            File::create_new(&target).context(|| format!("create {}", target.display()))?;
        }
    }
    for Link { target, points_to } in &plan.links {
        let target = staged(target);
        make_parent(&target)?;
        std::os::unix::fs::symlink(points_to, &target)
            .context(|| format!("create the link {}", target.display()))?;
    }
    if let Some(work) = &plan.work {
        make_directory(&staged(&work.target))?;
    }
    if let Some(proc) = &plan.proc {
        make_directory(&staged(proc))?;
    }
    Ok(())
}

/// A file or directory of the host's, opened.
struct Source<'a> {
    bind: &'a Bind,
    fd: OwnedFd,
    directory: bool,
}

impl<'a> Source<'a> {
    fn open(bind: &'a Bind) -> Result<Self, SystemError> {
        let action = || format!("open {}", bind.source.display());
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, &bind.source, flags, Mode::empty()).context(action)?;
        let stat = rustix::fs::fstat(&fd).context(action)?;
        Ok(Self {
            bind,
            fd,
            directory: FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
        })
    }

    fn mount(&self) -> Result<(), SystemError> {
        let target = staged(&self.bind.target);
        let source = format!("/proc/thread-self/fd/{}", self.fd.as_raw_fd());
        let action = || format!("show {} in a room", self.bind.source.display());
        rustix::mount::mount_bind(source, &target).context(action)?;
        let flags = match self.bind.access {
            Access::ReadExecute => MountFlags::RDONLY,
            Access::Read => MountFlags::RDONLY | MountFlags::NOEXEC,
            Access::ReadWrite => MountFlags::NOEXEC,
        };
        // A bind takes the flags of its source; only a second call changes them, and it sets them
        // all: what the host refuses there stays refused.
        let inherited = refusals(&target).context(action)?;
        restrict(&target, inherited | flags | MountFlags::NODEV | EVERYWHERE).context(action)
    }
}

/// A device of the host's, known by its number.
struct Node<'a> {
    path: &'a Path,
    number: u64,
    kind: FileType,
    mode: u32,
}

impl<'a> Node<'a> {
    fn find(path: &'a PathBuf) -> Result<Self, Error> {
        let metadata = std::fs::metadata(path).context(|| format!("look at {}", path.display()))?;
        if !metadata.file_type().is_char_device() {
            return Err(Error::NotADevice { path: path.clone() });
        }
        Ok(Self {
            path,
            number: metadata.rdev(),
            kind: FileType::CharacterDevice,
            mode: 0o600,
        })
    }

    fn of_block(block: &'a Block) -> Self {
        Self {
            path: &block.target,
            number: block.number,
            kind: FileType::BlockDevice,
            mode: match block.access {
                Access::ReadWrite => 0o600,
                Access::Read | Access::ReadExecute => 0o400,
            },
        }
    }
}

/// `/dev` of the room: nodes of its own, so that its user need not be in a group of the host's.
fn make_devices(devices: &[Node<'_>], user: u32) -> Result<(), SystemError> {
    let dev = staged(Path::new("/dev"));
    make_directory(&dev)?;
    let flags = EVERYWHERE | MountFlags::NOEXEC;
    mount_tmpfs(&dev, flags, "size=64k,nr_inodes=256,mode=755")?;
    for device in devices {
        let path = staged(device.path);
        make_parent(&path)?;
        let action = || format!("make the device {}", device.path.display());
        let mode = Mode::from_raw_mode(device.mode);
        rustix::fs::mknodat(CWD, &path, device.kind, mode, device.number).context(action)?;
        let owner = (Uid::from_raw(user), Gid::from_raw(user));
        rustix::fs::chown(&path, Some(owner.0), Some(owner.1)).context(action)?;
    }
    restrict(&dev, flags | MountFlags::RDONLY).context(|| "make /dev read-only".to_owned())
}

/// The directory to write to, opened.
fn make_work(work: &Work, user: u32) -> Result<OwnedFd, SystemError> {
    let target = staged(&work.target);
    let flags = EVERYWHERE | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOSYMFOLLOW;
    let Work { bytes, files, .. } = work;
    let options = format!("size={bytes},nr_inodes={files},mode=700,uid={user},gid={user}");
    mount_tmpfs(&target, flags, &options)?;
    open_directory(&target)
}

fn open_directory(path: &Path) -> Result<OwnedFd, SystemError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
        .context(|| format!("open {}", path.display()))
}

/// Makes the stage the root and lets go of the old one, with all that was mounted in it.
fn move_in() -> Result<(), SystemError> {
    rustix::process::chdir(STAGE).context(|| "enter a room".to_owned())?;
    // The old root comes to lie over the new one, where it is taken off.
    rustix::process::pivot_root(".", ".").context(|| {
        "make a room the root (a host that runs from its initramfs cannot)".to_owned()
    })?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)
        .context(|| "detach the host's root from a room".to_owned())?;
    let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOEXEC | EVERYWHERE;
    restrict("/", flags).context(|| "make a room read-only".to_owned())
}

fn mount_tmpfs(target: &Path, flags: MountFlags, options: &str) -> Result<(), SystemError> {
    let options = CString::new(options).context(|| "describe a tmpfs".to_owned())?;
    rustix::mount::mount("tmpfs", target, "tmpfs", flags, options.as_c_str())
        .context(|| format!("mount a tmpfs on {}", target.display()))
}

/// What a mount refuses so far. A file system that is read-only itself counts as well.
fn refusals(target: &Path) -> rustix::io::Result<MountFlags> {
    let found = rustix::fs::statvfs(target)?.f_flag;
    let known = [
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (NOSYMFOLLOW, MountFlags::NOSYMFOLLOW),
    ];
    let set = known.into_iter().filter(|(flag, _)| found.contains(*flag));
    Ok(set.fold(MountFlags::empty(), |all, (_, flag)| all | flag))
}

/// Sets the flags of this mount alone.
fn restrict(target: impl AsRef<Path>, flags: MountFlags) -> rustix::io::Result<()> {
    rustix::mount::mount_remount(target.as_ref(), MountFlags::BIND | flags, "")
}

fn make_parent(path: &Path) -> Result<(), SystemError> {
    path.parent().map_or(Ok(()), make_directory)
}

fn make_directory(path: &Path) -> Result<(), SystemError> {
    let mut builder = std::fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o755)
        .create(path)
        .context(|| format!("create {}", path.display()))
}

/// Where a path of the room is while it is made.
fn staged(target: &Path) -> PathBuf {
    Path::new(STAGE).join(target.strip_prefix("/").unwrap_or(target))
}
