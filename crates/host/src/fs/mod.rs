//! Files: atomic writes, bounded reads, clones, locks, memory files, and work below a root directory.

mod atomic;
mod clone;
mod disk;
mod error;
mod lock;
mod memory;
mod mode;
mod new_file;
mod root;

pub use atomic::{read_bounded, sync_directory, write_atomic};
pub use clone::{CopyError, copy_data, reflink};
pub use disk::{DiskError, DiskKind, disk_kind, open_disk};
pub use error::Error;
pub use lock::Lock;
pub use memory::memfd;
pub use new_file::NewFile;
pub use root::{Entry, Kind, RootDir, Time};

use std::path::Path;

/// Bytes an unprivileged process could still write to the file system that holds `path`.
pub fn free_space(path: &Path) -> Result<u64, Error> {
    let stat = rustix::fs::statvfs(path).map_err(Error::at("look at the free space of", path))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
