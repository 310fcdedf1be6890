//! Writing a file of the cache: a temporary one, put in the other's place as a whole.
//!
//! `.<pid>-<begun>-<count>-<time>.tmp` in the same directory: a process that is killed leaves it, and
//! whoever sweeps sees from the name that its writer is gone, even if another has its number. Readers
//! of the directory skip it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ignite_host::process::start_time;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// Makes `path` a file of these bytes, whatever was there.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = unused(path.parent().unwrap_or(Path::new(".")));
    write_new(&temporary, bytes)
        .and_then(|()| put(&temporary, path))
        .inspect_err(|_| {
            // It may never have been made.
            let _ = fs::remove_file(&temporary);
        })
}

/// Removes what processes that were killed while writing have left in `directory`.
pub(super) fn sweep(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        if writer(&path).is_some_and(|(pid, start)| begun(pid) != Some(start)) {
            // Another process may sweep at the same time.
            let _ = fs::remove_file(&path);
        }
    }
}

/// A name no other process and no other thread uses.
fn unused(directory: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let pid = std::process::id();
    let begun = begun(pid).unwrap_or_default();
    directory.join(format!(".{pid}-{begun}-{count}-{now:x}.tmp"))
}

/// When a process began; another one may have its number later.
fn begun(pid: u32) -> Option<u64> {
    start_time(i32::try_from(pid).ok()?)
}

/// The process that made a temporary file, and when it began.
fn writer(path: &Path) -> Option<(u32, u64)> {
    let name = path.file_name()?.to_str()?;
    let mut parts = name.strip_prefix('.')?.strip_suffix(".tmp")?.split('-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)
}

/// Puts one file in another's place. Ext4 writes a file to the disk at once if it is renamed over
/// another; an exchange of the two costs a fifth of that. Should the power fail, a file that is cut
/// short is no entry.
fn put(temporary: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, temporary, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => fs::remove_file(temporary),
        // There is none yet, or the file system cannot exchange.
        Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::rename(temporary, path)
        }
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_writers_left_is_swept() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let own = unused(dir.path());
        // No process has a number as large as this; and one of a number used again.
        let again = format!(".{}-0-0-1.tmp", std::process::id());
        let dead = [".4294967295-0-0-1.tmp", &again].map(|name| dir.path().join(name));
        let entry = dir.path().join("n-c-eth0");
        for path in dead.iter().chain([&own, &entry]) {
            fs::write(path, "").expect("written");
        }
        sweep(dir.path());
        assert!(own.exists() && entry.exists());
        assert!(dead.iter().all(|path| !path.exists()));
    }
}
