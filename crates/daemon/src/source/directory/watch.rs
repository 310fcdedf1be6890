//! The kernel's events about directories: inotify(7).

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::changes::Changes;
use super::names;

/// Bytes of events read at once.
const BUFFER: usize = 64 << 10;

/// Directories that are watched.
#[derive(Debug)]
pub struct Watch {
    inotify: OwnedFd,
    paths: HashMap<i32, String>,
}

impl Watch {
    /// None yet.
    pub fn new() -> Result<Self, Errno> {
        Ok(Self {
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            paths: HashMap::new(),
        })
    }

    /// Readable when there are events.
    pub fn events(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Watches an open directory, whatever is at its path by now.
    pub fn add(&mut self, directory: &OwnedFd, path: &str) -> Result<(), Errno> {
        let wanted = WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        let own = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let id = inotify::add_watch(&self.inotify, own, wanted)?;
        self.paths.insert(id, path.to_owned());
        Ok(())
    }

    /// Watches no directory at or below `path` any more: one that was moved away goes on existing.
    pub fn remove(&mut self, path: &str) {
        let inotify = &self.inotify;
        self.paths.retain(|id, watched| {
            let gone = names::is_below(watched, path);
            if gone {
                // One that was deleted is not watched any more anyway.
                let _ = inotify::remove_watch(inotify, *id);
            }
            !gone
        });
    }

    /// All events there are.
    pub fn read(&mut self) -> Changes {
        let mut changes = Changes::default();
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
        let descriptor = match self.inotify.try_clone() {
            Ok(descriptor) => descriptor,
            // Out of descriptors: a look at everything finds what these events would have told.
            Err(_) => return Changes::everything(),
        };
        let mut reader = Reader::new(descriptor, &mut buffer);
        while let Ok(event) = reader.next() {
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                return Changes::everything();
            }
            let Some(directory) = self.paths.get(&event.wd()).cloned() else {
                continue;
            };
            let name = event.file_name().map(|name| name.to_bytes().to_owned());
            self.took_place(&directory, name.as_deref(), flags, &mut changes);
        }
        changes
    }

    fn took_place(
        &mut self,
        directory: &str,
        name: Option<&[u8]>,
        flags: ReadFlags,
        changes: &mut Changes,
    ) {
        use std::os::unix::ffi::OsStrExt as _;
        // Whatever happens, a link may lead to it.
        changes.links = true;
        let Some(name) = name.map(std::ffi::OsStr::from_bytes) else {
            let gone = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF;
            if directory.is_empty() && flags.intersects(gone) {
                *changes = Changes::everything();
            }
            return;
        };
        if names::is_hidden(name) {
            return;
        }
        let Some(text) = name.to_str() else {
            // Only as faults, by a name that is not theirs: rare enough to look at everything.
            *changes = Changes::everything();
            return;
        };
        let path = names::join(directory, text);
        if flags.contains(ReadFlags::ISDIR) {
            if flags.intersects(ReadFlags::MOVED_FROM | ReadFlags::DELETE) {
                self.remove(&path);
            }
            if !flags.contains(ReadFlags::ATTRIB) {
                changes.directories.insert(path);
            }
        } else if names::is_manifest(name) {
            let complete = ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_TO;
            changes.file(path, flags.intersects(complete));
        } else if flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
            // Of interest only if it is a link to a directory.
            changes.file(path, false);
        }
    }
}
