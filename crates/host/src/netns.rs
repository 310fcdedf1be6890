//! Network namespaces: made, named, entered, taken away, in the manner of `ip netns`.
//!
//! A namespace is entered by a thread of its own that ends afterwards; no thread that goes on is ever
//! moved.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use crate::error::Context;
pub use crate::error::SystemError as Error;
use crate::fs::Lock;

/// An open network namespace; it lives at least as long as this value.
#[derive(Debug, Clone)]
pub struct Namespace {
    fd: Arc<OwnedFd>,
}

impl Namespace {
    /// The calling thread's.
    pub fn current() -> Result<Self, Error> {
        let file = File::open("/proc/thread-self/ns/net")
            .context(|| "open the current network namespace".to_owned())?;
        Ok(Self::from_fd(file.into()))
    }

    /// The one bound to `path`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path)
            .context(|| format!("open the network namespace {}", path.display()))?;
        Ok(Self::from_fd(file.into()))
    }

    /// One that somebody opened.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd: Arc::new(fd) }
    }

    /// A new one with no name, which ends with the last descriptor and process in it.
    pub fn anonymous() -> Result<Self, Error> {
        on_thread(|| {
            unshare_network()?;
            Self::current()
        })?
    }

    /// Makes a new one and binds it to `path`, which must not exist; its directory is made.
    ///
    /// The directory becomes a shared mount point, so that the name is seen in every mount namespace
    /// made from this one, and can be taken away from there too. As `ip netns add` does it.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let directory = path.parent().unwrap_or(Path::new("/"));
        let lock = prepare_directory(directory)
            .context(|| format!("prepare {} for network namespaces", directory.display()))?;
        create_file(path).context(|| format!("create {}", path.display()))?;
        let made = on_thread(|| {
            unshare_network()?;
            bind_current(path)?;
            Self::current()
        });
        drop(lock);
        made.and_then(|made| made).inspect_err(|_| {
            // The first failure is what the caller must hear of.
            let _ = std::fs::remove_file(path);
        })
    }

    /// Binds this one to `path`, which must not exist; its directory is made as by
    /// [`create`](Self::create).
    pub fn bind(&self, path: &Path) -> Result<(), Error> {
        let directory = path.parent().unwrap_or(Path::new("/"));
        let lock = prepare_directory(directory)
            .context(|| format!("prepare {} for network namespaces", directory.display()))?;
        create_file(path).context(|| format!("create {}", path.display()))?;
        let bound = self.run(|| bind_current(path));
        drop(lock);
        bound.and_then(|bound| bound).inspect_err(|_| {
            // The first failure is what the caller must hear of.
            let _ = std::fs::remove_file(path);
        })
    }

    /// Runs `work` in this namespace, on a thread of its own that ends with it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        on_thread(|| {
            move_into_link_name_space(self.as_fd(), Some(LinkNameSpaceType::Network))
                .context(|| "enter the network namespace".to_owned())?;
            Ok(work())
        })?
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Takes the name away; the namespace itself ends when nobody is in it. Nothing there is fine.
pub fn delete(path: &Path) -> Result<(), Error> {
    loop {
        match rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            // One mount may lie over another.
            Ok(()) => {}
            // Not a mount point (EINVAL), or nothing at all.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => break,
            Err(errno) => {
                return Err(Error::new(format!("unmount {}", path.display()), errno));
            }
        }
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::new(format!("remove {}", path.display()), error))
        }
        _ => Ok(()),
    }
}

/// Runs `work` on a thread of its own. A panic in it goes on in the caller.
fn on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, work)
            .context(|| "start a thread".to_owned())?;
        Ok(thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

fn unshare_network() -> Result<(), Error> {
    // SAFETY: only the network namespace is unshared. No memory, file table or working directory is
    // split from the process's other threads, and this thread ends soon.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }
        .context(|| "make a network namespace".to_owned())
}

fn bind_current(path: &Path) -> Result<(), Error> {
    rustix::mount::mount_bind("/proc/thread-self/ns/net", path)
        .context(|| format!("bind the network namespace to {}", path.display()))
}

fn create_file(path: &Path) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o444)
        .open(path)
        .map(drop)
}

/// Makes `directory` a shared mount point if it is none. The lock returned keeps others out until the
/// new name is in place: a bind over the directory would hide it.
fn prepare_directory(directory: &Path) -> io::Result<Lock> {
    std::fs::create_dir_all(directory)?;
    // The directory itself is locked, not a file in it, which `ip netns` would list. Whoever binds
    // it over itself below leaves the same inode on top.
    let handle: OwnedFd = File::open(directory)?.into();
    rustix::fs::flock(&handle, rustix::fs::FlockOperation::LockExclusive)?;
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    match rustix::mount::mount_change(directory, shared) {
        Ok(()) => {}
        // Not a mount point yet.
        Err(rustix::io::Errno::INVAL) => {
            rustix::mount::mount(
                directory,
                directory,
                "none",
                MountFlags::BIND | MountFlags::REC,
                None,
            )?;
            rustix::mount::mount_change(directory, shared)?;
        }
        Err(errno) => return Err(errno.into()),
    }
    Ok(Lock::from_fd(handle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Limits, Spec, run};
    use rustix::thread::unshare_unsafe;

    /// Runs `test` on a thread with a mount namespace of its own, `/run` empty.
    fn with_private_run(test: impl FnOnce() + Send) {
        on_thread(|| {
            // SAFETY: this thread ends with the test; no other thread's view changes.
            unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.expect("unshare");
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            rustix::mount::mount_change("/", private).expect("private");
            rustix::mount::mount("none", "/run", "tmpfs", MountFlags::empty(), None)
                .expect("tmpfs");
            test();
        })
        .expect("thread");
    }

    fn inode() -> String {
        let link = std::fs::read_link("/proc/thread-self/ns/net").expect("read");
        link.to_string_lossy().into_owned()
    }

    #[test]
    fn has_a_name_that_ip_netns_knows() {
        with_private_run(|| {
            let path = Path::new("/run/netns/ignite-1");
            let made = Namespace::create(path).expect("create");
            assert!(Namespace::create(path).is_err(), "taken");
            let opened = Namespace::open(path).expect("the first is still there");
            assert_ne!(made.run(inode).expect("enter"), inode());
            assert_eq!(
                made.run(inode).expect("enter"),
                opened.run(inode).expect("enter")
            );

            let listed = run(
                Spec::new("ip").args(["netns", "list"]),
                b"",
                Limits::default(),
            )
            .expect("ip");
            assert_eq!(String::from_utf8_lossy(&listed.stdout).trim(), "ignite-1");
            let added = run(
                Spec::new("ip").args(["netns", "add", "theirs"]),
                b"",
                Limits::default(),
            )
            .expect("ip");
            assert!(added.status.success(), "{added:?}");

            delete(path).expect("delete");
            delete(path).expect("gone is fine");
            delete(Path::new("/run/netns/theirs")).expect("another's");
            assert_eq!(std::fs::read_dir("/run/netns").expect("list").count(), 0);
        });
    }

    #[test]
    fn one_that_somebody_made_gets_a_name() {
        with_private_run(|| {
            let theirs = Namespace::anonymous().expect("made");
            let path = Path::new("/run/netns/ignite-theirs");
            theirs.bind(path).expect("bind");
            assert!(theirs.bind(path).is_err(), "taken");
            let inside = theirs.run(inode).expect("enter");
            drop(theirs);
            let opened = Namespace::open(path).expect("its name keeps it");
            assert_eq!(opened.run(inode).expect("enter"), inside);
            delete(path).expect("delete");
            assert!(!path.exists());
        });
    }

    #[test]
    fn many_made_at_once_share_one_mount() {
        with_private_run(|| {
            std::thread::scope(|scope| {
                for number in 0..16 {
                    scope.spawn(move || {
                        let path = format!("/run/netns/ignite-many-{number}");
                        Namespace::create(Path::new(&path)).expect("create");
                    });
                }
            });
            let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").expect("read");
            // Its root within the file system above it tells our mount from one the machine has
            // below our empty /run.
            let directory: Vec<&str> = mounts
                .lines()
                .filter(|line| line.contains(" /netns /run/netns "))
                .collect();
            assert_eq!(directory.len(), 1, "{mounts}");
            assert!(directory[0].contains(" shared:"), "{directory:?}");
            for number in 0..16 {
                delete(Path::new(&format!("/run/netns/ignite-many-{number}"))).expect("delete");
            }
            let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").expect("read");
            assert!(!mounts.contains("/run/netns/ignite-many-"), "{mounts}");
        });
    }

    #[test]
    fn a_name_is_taken_away_in_every_mount_namespace() {
        with_private_run(|| {
            let path = Path::new("/run/netns/ignite-here");
            Namespace::create(path).expect("create");
            let script = "umount /run/netns/ignite-here && rm /run/netns/ignite-here";
            let spec =
                Spec::new("unshare").args(["-m", "--propagation", "unchanged", "sh", "-c", script]);
            let output = run(spec, b"", Limits::default()).expect("run");
            assert!(output.status.success(), "{output:?}");
            let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").expect("read");
            assert!(!mounts.contains("/run/netns/ignite-here"), "{mounts}");
        });
    }

    #[test]
    fn a_plain_file_is_deleted_too() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("left-over");
        std::fs::write(&path, "").expect("write");
        delete(&path).expect("delete");
        assert!(!path.exists());
    }
}
