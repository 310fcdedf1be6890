//! Loads the kernel modules of the initramfs, in the order of their names.
//!
//! Whoever built the initramfs put them in order of dependency (`00-virtio_ring.ko`, ...) and
//! decompressed them; nothing is resolved here.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::system::finit_module;
use thiserror::Error;

/// Why the modules are not all loaded.
#[derive(Debug, Error)]
pub enum Error {
    /// The directory cannot be read.
    #[error("cannot list the kernel modules in {}", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A module cannot be loaded.
    #[error("cannot load the kernel module {}", path.display())]
    Load {
        /// Its file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A module needs another one.
    #[error("the kernel module {} needs another that was not loaded before it", path.display())]
    Unresolved {
        /// Its file.
        path: PathBuf,
    },
    /// A module is for another kernel, or is no module.
    #[error("{} is no module of this kernel: kernel and initramfs do not belong together", path.display())]
    Foreign {
        /// Its file.
        path: PathBuf,
    },
}

/// Loads every `*.ko` of `directory`; a directory that is missing means a kernel that needs none.
pub fn load(directory: &Path) -> Result<(), Error> {
    for path in in_order(directory)? {
        load_one(path)?;
    }
    Ok(())
}

fn in_order(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::List {
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let names: io::Result<Vec<OsString>> = entries
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect();
    let mut paths: Vec<PathBuf> = names
        .map_err(failed)?
        .into_iter()
        .map(|name| directory.join(name))
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "ko"));
    paths.sort();
    Ok(paths)
}

fn load_one(path: PathBuf) -> Result<(), Error> {
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(source) => return Err(Error::Load { path, source }),
    };
    match finit_module(&file, c"", 0) {
        // Built in, or loaded as another's dependency.
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(Errno::NOEXEC) => Err(Error::Foreign { path }),
        Err(Errno::NOENT) => Err(Error::Unresolved { path }),
        Err(errno) => Err(Error::Load {
            path,
            source: errno.into(),
        }),
    }
}
