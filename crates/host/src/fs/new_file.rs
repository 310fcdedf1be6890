//! A file that gets its name when it is whole.
//!
//! Until then it has none (`O_TMPFILE`), so that whatever ends this process leaves nothing of it; where
//! the file system knows no such files it has a temporary name, which is removed unless it is finished.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::Error;

/// What a file system says that has no files without a name.
const NO_TMPFILE: [Errno; 4] = [Errno::OPNOTSUPP, Errno::ISDIR, Errno::INVAL, Errno::NOSYS];

/// How many names are tried for a temporary file.
const ATTEMPTS: u32 = 16;

/// A file being written.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    parent: Rc<OwnedFd>,
    name: CString,
    /// Its name so far, if it has one.
    temporary: Option<CString>,
    path: PathBuf,
}

impl NewFile {
    /// A file that will be `name` in `parent`; `path` is what messages call it.
    pub(super) fn begin(parent: Rc<OwnedFd>, name: CString, path: PathBuf) -> Result<Self, Error> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        let (fd, temporary) =
            match rustix::fs::openat(&parent, c".", flags | OFlags::TMPFILE, mode) {
                Err(errno) if NO_TMPFILE.contains(&errno) => {
                    let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
                    let made =
                        under_new_name(|name| rustix::fs::openat(&parent, name, flags, mode));
                    made.map(|(fd, temporary)| (fd, Some(temporary)))
                }
                opened => opened.map(|fd| (fd, None)),
            }
            .map_err(Error::at("create", &path))?;
        Ok(Self {
            file: fd.into(),
            parent,
            name,
            temporary,
            path,
        })
    }

    /// To write to, and to give owner and mode.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its name, in the place of whatever file or link had it.
    pub fn finish(mut self) -> Result<(), Error> {
        let named = match &self.temporary {
            Some(_) => Err(Errno::EXIST),
            None => self.link(&self.name),
        };
        let named = match named {
            Err(Errno::EXIST) => self.replace(),
            named => named,
        };
        named.map_err(Error::at("create", &self.path))
    }

    fn replace(&mut self) -> Result<(), Errno> {
        let temporary = match &self.temporary {
            Some(temporary) => temporary.clone(),
            None => {
                let ((), temporary) = under_new_name(|name| self.link(name))?;
                self.temporary = Some(temporary.clone());
                temporary
            }
        };
        rustix::fs::renameat(&self.parent, &temporary, &self.parent, &self.name)?;
        self.temporary = None;
        Ok(())
    }

    fn link(&self, name: &CString) -> Result<(), Errno> {
        match rustix::fs::linkat(&self.file, c"", &self.parent, name, AtFlags::EMPTY_PATH) {
            // Only who may read everything may link by descriptor; by /proc everybody may.
            Err(Errno::NOENT) => {
                let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                let flags = AtFlags::SYMLINK_FOLLOW;
                rustix::fs::linkat(CWD, Path::new(&own), &self.parent, name, flags)
            }
            linked => linked,
        }
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // What cannot be removed now is in nobody's way.
            let _ = rustix::fs::unlinkat(&self.parent, temporary, AtFlags::empty());
        }
    }
}

/// Makes something under a name that nothing has: what a killed process left may have some.
fn under_new_name<T>(make: impl Fn(&CString) -> Result<T, Errno>) -> Result<(T, CString), Errno> {
    for _ in 0..ATTEMPTS {
        let name = temporary_name();
        match make(&name) {
            Err(Errno::EXIST) => {}
            made => return made.map(|made| (made, name)),
        }
    }
    Err(Errno::EXIST)
}

fn temporary_name() -> CString {
    // The keys of every state are others.
    let random = RandomState::new().build_hasher().finish();
    let name = format!(".ignite-{}-{random:016x}", std::process::id());
    CString::new(OsStr::new(&name).as_bytes()).expect("digits and letters hold no NUL")
}
