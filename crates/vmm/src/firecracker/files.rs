//! What lies in Firecracker's work directory: pipes and a socket of ours, sockets of its own, and the
//! initramfs for a moment.
//!
//! The directory is reached by its descriptor and may be the VMM's to write to: once it runs, nothing
//! here follows a name but to remove it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Uid, chownat, inotify, mknodat, openat, sendfile,
    unlinkat,
};

use super::command::{API, INITRAMFS, LOG, METRICS, VSOCK, agent_socket};
use super::error::Error;
use crate::console::widen;

/// What came of connecting to the API.
#[derive(Debug)]
pub(super) enum Connected {
    /// There is no socket.
    Absent,
    /// There is one, on which nobody listens.
    NotYet,
    /// This.
    Yes(UnixStream),
}

/// The files of one run; removed when dropped.
#[derive(Debug)]
pub(super) struct Files {
    directory: OwnedFd,
    /// Whose the VMM's files are, if not ours.
    user: Option<u32>,
}

impl Files {
    /// In this directory, in which another run may have left some.
    pub(super) fn new(directory: OwnedFd, user: Option<u32>) -> Self {
        let files = Self { directory, user };
        files.clear();
        files
    }

    /// A pipe the VMM writes to; our end, which does not block.
    pub(super) fn pipe(&self, name: &str) -> Result<File, Error> {
        self.work("make the pipe", name, || {
            let owner = Mode::RUSR | Mode::WUSR;
            mknodat(&self.directory, name, FileType::Fifo, owner, 0)?;
            self.give(name)?;
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let pipe = openat(&self.directory, name, flags, Mode::empty())?;
            widen(&pipe);
            Ok(pipe.into())
        })
    }

    /// The socket the guest's agent arrives at; does not block.
    pub(super) fn listen(&self) -> Result<UnixListener, Error> {
        let name = agent_socket();
        self.work("listen on", &name, || {
            let listener = UnixListener::bind(self.path(&name))?;
            listener.set_nonblocking(true)?;
            self.give(&name)?;
            Ok(listener)
        })
    }

    /// Writes the initramfs out of memory, for the VMM's eyes only.
    pub(super) fn initramfs(&self, memory: impl AsFd) -> Result<(), Error> {
        const PIECE: usize = 1 << 30;
        self.work("write", INITRAMFS, || {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let file = openat(&self.directory, INITRAMFS, flags, Mode::RUSR)?;
            let mut offset = 0;
            while sendfile(&file, &memory, Some(&mut offset), PIECE)? > 0 {}
            self.give(INITRAMFS)
        })
    }

    /// The guest has it.
    pub(super) fn remove_initramfs(&self) -> Result<(), Error> {
        self.work("remove", INITRAMFS, || {
            Ok(unlinkat(&self.directory, INITRAMFS, AtFlags::empty())?)
        })
    }

    /// A descriptor that is readable when something appeared in the directory.
    pub(super) fn watch(&self) -> Result<OwnedFd, Error> {
        self.work("wait for", API, || {
            let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
            let watch = inotify::init(flags)?;
            inotify::add_watch(&watch, self.path(""), inotify::WatchFlags::CREATE)?;
            Ok(watch)
        })
    }

    /// Connects to the API.
    pub(super) fn connect(&self) -> Result<Connected, Error> {
        self.work("connect to", API, || {
            match UnixStream::connect(self.path(API)) {
                Ok(stream) => Ok(Connected::Yes(stream)),
                Err(error) => match error.kind() {
                    io::ErrorKind::NotFound => Ok(Connected::Absent),
                    io::ErrorKind::ConnectionRefused => Ok(Connected::NotYet),
                    _ => Err(error),
                },
            }
        })
    }

    /// What is left over goes with the directory, or hinders the next start, which says so.
    fn clear(&self) {
        let agent = agent_socket();
        for name in [API, VSOCK, agent.as_str(), LOG, METRICS, INITRAMFS] {
            let _ = unlinkat(&self.directory, name, AtFlags::empty());
        }
    }

    fn give(&self, name: &str) -> io::Result<()> {
        if let Some(user) = self.user {
            let (user, group) = (Uid::from_raw(user), Gid::from_raw(user));
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            chownat(&self.directory, name, Some(user), Some(group), flags)?;
        }
        Ok(())
    }

    /// For calls that take no directory; short, however deep the directory is.
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!(
            "/proc/self/fd/{}/{name}",
            self.directory.as_raw_fd()
        ))
    }

    fn work<T>(
        &self,
        action: &'static str,
        name: &str,
        work: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, Error> {
        work().map_err(|source| Error::Work {
            action,
            name: name.to_owned(),
            source,
        })
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    fn files(directory: &tempfile::TempDir, user: Option<u32>) -> Files {
        let opened = File::open(directory.path()).expect("it was just made");
        Files::new(opened.into(), user)
    }

    #[test]
    fn files_are_the_vmms_and_go_with_their_run() {
        let directory = tempfile::tempdir().expect("tempdir");
        let left = directory.path().join(API);
        drop(UnixListener::bind(&left).expect("a socket"));
        let memory = ignite_host::fs::memfd("initramfs", b"070701").expect("memory");
        let files = files(&directory, Some(4242));
        assert!(!left.exists(), "another run's socket is gone");
        let _listener = files.listen().expect("free");
        let pipe = files.pipe(LOG).expect("free");
        let size = rustix::pipe::fcntl_getpipe_size(&pipe).expect("a pipe");
        assert_eq!(size, 1 << 20, "a flood fits");
        files.initramfs(&memory).expect("free");
        let metadata = |name: &str| {
            let path = directory.path().join(name);
            std::fs::symlink_metadata(path).expect("there")
        };
        assert!(metadata(LOG).file_type().is_fifo());
        assert!(metadata(&agent_socket()).file_type().is_socket());
        assert_eq!(metadata(INITRAMFS).mode() & 0o7777, 0o400);
        assert_eq!(metadata(INITRAMFS).len(), 6);
        for name in [LOG, INITRAMFS, &agent_socket()] {
            assert_eq!((metadata(name).uid(), metadata(name).gid()), (4242, 4242));
        }
        assert!(files.pipe(LOG).is_err(), "once");
        drop(files);
        let left = std::fs::read_dir(directory.path()).expect("readable");
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn nobody_listens_until_somebody_does() {
        let directory = tempfile::tempdir().expect("tempdir");
        let files = files(&directory, None);
        let watch = files.watch().expect("inotify");
        assert!(matches!(files.connect(), Ok(Connected::Absent)));
        let api = UnixListener::bind(directory.path().join(API)).expect("a socket");
        let mut fds = [rustix::event::PollFd::new(
            &watch,
            rustix::event::PollFlags::IN,
        )];
        assert_eq!(rustix::event::poll(&mut fds, None).expect("poll"), 1);
        assert!(matches!(files.connect(), Ok(Connected::Yes(_))));
        drop(api);
        assert!(matches!(files.connect(), Ok(Connected::NotYet)));
    }
}
