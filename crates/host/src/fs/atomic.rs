//! Whole files: written so that a reader (or a crash) sees the old or the new, read within a bound.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::Mode;

use super::Error;

/// Tells apart the temporary files of threads that write at the same time.
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// Replaces the content of `path` and sets its permission bits to `mode`, durably and all at once.
///
/// The bytes go to a temporary file beside `path`, which is synced and renamed over it; then the
/// directory is synced. On failure the temporary file is removed and `path` is as it was.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let temporary = temporary_name(path)?;
    let written = write_new(&temporary, bytes, mode)
        .and_then(|()| std::fs::rename(&temporary, path).map_err(Error::at("replace", path)));
    if let Err(error) = written {
        // The first failure is what the caller must hear of; a left-over is swept by its name.
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    sync_directory(directory_of(path))
}

/// Makes the names in `directory` durable.
pub fn sync_directory(directory: &Path) -> Result<(), Error> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(Error::at("sync", directory))
}

/// The content of `path`, at most `max` bytes; more is an error, so a stranger's file fills no memory.
pub fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, Error> {
    let file = File::open(path).map_err(Error::at("open", path))?;
    // Records and leases fit: two reads, the second one finds the end.
    let mut bytes = Vec::with_capacity(4096);
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(Error::at("read", path))?;
    if bytes.len() as u64 > max {
        return Err(Error::TooLarge {
            path: path.to_owned(),
            max,
        });
    }
    Ok(bytes)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(Error::at("create", path))?;
    // The mode at creation is cut by the umask; this one is not.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))
        .map_err(Error::at("set the mode of", path))?;
    file.write_all(bytes).map_err(Error::at("write", path))?;
    file.sync_all().map_err(Error::at("sync", path))
}

fn temporary_name(path: &Path) -> Result<PathBuf, Error> {
    let name = path.file_name().ok_or_else(|| Error::NoName {
        path: path.to_owned(),
    })?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    temporary.push(format!(".{}-{count}.tmp", std::process::id()));
    Ok(path.with_file_name(temporary))
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(directory)
            .expect("list")
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn replaces_content_and_mode_and_leaves_nothing_beside() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("vm.json");
        write_atomic(&path, b"one", 0o644).expect("first");
        write_atomic(&path, b"two", 0o600).expect("second");
        assert_eq!(std::fs::read(&path).expect("read"), b"two");
        let mode = std::fs::metadata(&path).expect("stat").permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert_eq!(names(directory.path()), ["vm.json"]);
    }

    #[test]
    fn a_failure_leaves_the_target_and_no_temporary_file() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("taken");
        std::fs::create_dir(&path).expect("mkdir");
        let error = write_atomic(&path, b"x", 0o600).expect_err("a directory is in the way");
        assert!(error.to_string().starts_with("cannot replace "), "{error}");
        assert_eq!(names(directory.path()), ["taken"]);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let directory = tempfile::tempdir().expect("tempdir");
        let error =
            write_atomic(&directory.path().join("no/file"), b"", 0o600).expect_err("absent");
        assert!(error.is_not_found());
    }

    #[test]
    fn reads_up_to_the_bound_and_no_further() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("file");
        std::fs::write(&path, b"12345").expect("write");
        assert_eq!(read_bounded(&path, 5).expect("fits"), b"12345");
        assert!(matches!(
            read_bounded(&path, 4),
            Err(Error::TooLarge { max: 4, .. })
        ));
    }
}
