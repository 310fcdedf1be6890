//! The mode of an entry that must be no link, whoever else works in its directory.
//!
//! The entry is opened without following it, looked at, and its mode set by that descriptor: what has
//! its name by then does not matter.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

/// `fchmodat2(2)`, since Linux 6.6; the same number everywhere.
const FCHMODAT2: libc::c_long = 452;

/// Sets the permission bits of `name` in `parent`; a link is refused (`ELOOP`).
pub(super) fn set(parent: BorrowedFd<'_>, name: &CStr, mode: Mode) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let entry = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    let found = rustix::fs::fstat(&entry)?.st_mode;
    if FileType::from_raw_mode(found) == FileType::Symlink {
        return Err(Errno::LOOP);
    }
    if Mode::from_raw_mode(found) == mode {
        return Ok(());
    }
    let own = format!("/proc/self/fd/{}", entry.as_raw_fd());
    match rustix::fs::chmodat(CWD, own, mode, AtFlags::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR) => without_proc(&entry, mode),
        done => done,
    }
}

/// Where no `/proc` is mounted.
fn without_proc(entry: &OwnedFd, mode: Mode) -> Result<(), Errno> {
    let flags = AtFlags::EMPTY_PATH.bits();
    // SAFETY: the descriptor is open, and the path is an empty string that lives on.
    let done = unsafe {
        libc::syscall(
            FCHMODAT2,
            entry.as_raw_fd(),
            c"".as_ptr(),
            mode.as_raw_mode(),
            flags,
        )
    };
    if done == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    match Errno::from_io_error(&error).unwrap_or(Errno::IO) {
        Errno::NOSYS => of_directory(entry.as_fd(), mode),
        errno => Err(errno),
    }
}

/// On a kernel without the call a directory can still be opened by its own descriptor.
fn of_directory(entry: BorrowedFd<'_>, mode: Mode) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(entry, c".", flags, Mode::empty())?;
    rustix::fs::fchmod(opened, mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    fn mode(path: &Path) -> u32 {
        let metadata = std::fs::symlink_metadata(path).expect("there");
        metadata.permissions().mode() & 0o7777
    }

    fn opened(path: &Path) -> OwnedFd {
        File::open(path).expect("open").into()
    }

    #[test]
    fn a_link_is_refused_and_its_target_left_alone() {
        let directory = tempfile::tempdir().expect("tempdir");
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("target")).expect("mkdir");
        symlink("target", at("link")).expect("a link");
        let (parent, before) = (opened(directory.path()), mode(&at("target")));
        let set = |name: &CStr| set(parent.as_fd(), name, Mode::from_raw_mode(0o4711));
        assert_eq!(set(c"link"), Err(Errno::LOOP));
        assert_eq!(mode(&at("target")), before);
        set(c"target").expect("set");
        assert_eq!(mode(&at("target")), 0o4711);
        assert_eq!(set(c"absent"), Err(Errno::NOENT));
    }

    #[test]
    fn a_directory_needs_no_proc() {
        let directory = tempfile::tempdir().expect("tempdir");
        let entry = opened(directory.path());
        for (bits, set) in [
            (0o1751, without_proc as fn(&OwnedFd, Mode) -> _),
            (0o2710, |entry, mode| of_directory(entry.as_fd(), mode)),
        ] {
            set(&entry, Mode::from_raw_mode(bits)).expect("set");
            assert_eq!(mode(directory.path()), bits);
        }
    }
}
