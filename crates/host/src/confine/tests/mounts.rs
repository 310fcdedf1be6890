//! What the host refuses where something is mounted is refused in a room as well.

use super::*;
use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_bind, mount_remount};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// A tmpfs twice: at `writable`, and at `refusing` with these flags.
fn mounted_twice(directory: &Path, flags: MountFlags) {
    let (writable, refusing) = (directory.join("writable"), directory.join("refusing"));
    for path in [&writable, &refusing] {
        fs::create_dir(path).expect("mkdir");
    }
    mount("tmpfs", &writable, "tmpfs", MountFlags::empty(), c"size=1m").expect("a tmpfs");
    fs::write(writable.join("file"), "x").expect("write");
    mount_bind(&writable, &refusing).expect("bound");
    mount_remount(&refusing, MountFlags::BIND | flags, "").expect("restricted");
}

/// Runs in a mount namespace that ends with it.
fn elsewhere(work: impl FnOnce() + Send) {
    let inside = || {
        // SAFETY: a thread of its own, which ends soon; it opens nothing of another one's.
        unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.expect("a mount namespace");
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).expect("private");
        work();
    };
    std::thread::scope(|scope| scope.spawn(inside).join()).expect("it went well");
}

/// The room with what is at this place to be read and written.
fn showing(source: &Path) -> Room {
    let mut plan = Plan::default();
    plan.binds.push(Bind {
        source: source.to_owned(),
        target: "/shared".into(),
        access: Access::ReadWrite,
    });
    Room::make(&plan, 0).expect("a room")
}

fn write_in(room: &Room, name: &str) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    rustix::fs::openat(room.root().as_fd(), name, flags, mode).map(drop)
}

#[test]
fn a_read_only_mount_stays_read_only() {
    let directory = tempfile::tempdir().expect("tempdir");
    let directory = directory.path();
    elsewhere(|| {
        mounted_twice(directory, MountFlags::RDONLY);
        let writable = showing(&directory.join("writable"));
        write_in(&writable, "shared/new").expect("it may be written to");
        let refusing = showing(&directory.join("refusing"));
        for name in ["shared/new", "shared/file"] {
            assert_eq!(write_in(&refusing, name), Err(Errno::ROFS), "{name}");
        }
        let file = showing(&directory.join("refusing/file"));
        assert_eq!(write_in(&file, "shared"), Err(Errno::ROFS));
    });
}
