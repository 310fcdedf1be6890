//! `--copy-files`: files of this host that a new VM begins with.
//!
//! ```text
//!   create: packed into the VM's directory, before that has its name
//!   start:  a read-only disk of the VM's; its guest unpacks it before anything else runs
//!   ready:  the supervisor removes the archive, and with it what was to be done
//! ```
//! A start that is broken off before the end does it again.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ignite_api::{CopyFile, Size, VmSpec};
use ignite_archive::{Source, SourceError, Writer, pack_as};

use crate::{Cancel, Cancelled, Error};

/// The archive in a VM's directory, while the VM has not got its files.
const ARCHIVE: &str = ignite_wire::supervisor::COPY_FILES;

/// Bytes a second that the slowest of guests unpacks.
const SLOWEST: u64 = 2 << 20;

/// Why files cannot be given to a VM.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// One is not there.
    #[error("there is nothing to copy to {vm_path} in the VM")]
    Source {
        /// Where it would go.
        vm_path: String,
        /// What is wrong.
        source: SourceError,
    },
    /// It would take the place of the root itself.
    #[error("{vm_path} is no place for a file in the VM")]
    Kind {
        /// Where it would go.
        vm_path: String,
    },
    /// Some could not be read.
    #[error("{faults} of the files below {} cannot be copied as they are", path.display())]
    Faults {
        /// How many.
        faults: u64,
        /// Where.
        path: PathBuf,
    },
    /// They do not fit.
    #[error("the files to copy are larger than the VM's disk of {size}")]
    TooLarge {
        /// The disk.
        size: Size,
    },
    /// The archive.
    #[error("cannot keep the files to copy in {}", path.display())]
    Write {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl FilesError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Source { .. } => {
                Some("give paths that are there: --copy-files /HOST/PATH:/VM/PATH".into())
            }
            Self::Kind { .. } => {
                Some("name the file in the VM as well: /HOST/FILE:/VM/FILE".into())
            }
            Self::TooLarge { .. } => Some("give a larger --size".into()),
            Self::Write { source, .. } => ignite_host::error::hint(source),
            Self::Faults { .. } => None,
        }
    }
}

/// Finds out that everything to copy is there, before anything is made.
pub(super) fn check(files: &[CopyFile]) -> Result<(), FilesError> {
    files.iter().try_for_each(|file| open(file).map(drop))
}

fn open(file: &CopyFile) -> Result<(Source, Vec<u8>), FilesError> {
    let source = Source::open(Path::new(&file.host_path), false);
    let source = source.map_err(|source| FilesError::Source {
        vm_path: file.vm_path.clone(),
        source,
    })?;
    let inside = Path::new(&file.vm_path);
    let name = inside.strip_prefix("/").unwrap_or(inside);
    let whole = name.as_os_str().is_empty();
    let upwards = name.iter().any(|name| name == "..");
    if upwards || (whole && (source.size().is_some() || source.is_link())) {
        return Err(FilesError::Kind {
            vm_path: file.vm_path.clone(),
        });
    }
    let name = if whole { Path::new(".") } else { name };
    Ok((source, name.as_os_str().as_bytes().to_vec()))
}

/// Packs the files of a VM into its directory, all of them root's.
pub(super) fn pack(spec: &VmSpec, directory: &Path, cancel: &Cancel) -> Result<(), Error> {
    if spec.copy_files.is_empty() {
        return Ok(());
    }
    let path = directory.join(ARCHIVE);
    // The directory is root's alone; a confined VMM sees the file and nothing else.
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&path);
    let failed = |source| FilesError::Write {
        path: path.clone(),
        source,
    };
    let mut bounded = Bounded {
        file: file.map_err(failed)?,
        left: spec.disk_size.bytes(),
        cancel,
    };
    let packed = pack_all(&spec.copy_files, &mut bounded);
    match packed {
        Ok(Some(fault)) => Err(fault.into()),
        Ok(None) => Ok(bounded.file.sync_all().map_err(failed)?),
        Err(_) if cancel.is_cancelled() => Err(Cancelled.into()),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(FilesError::TooLarge {
            size: spec.disk_size,
        }
        .into()),
        Err(error) => Err(failed(error).into()),
    }
}

/// Writes the archive; a fault of the files themselves is the result.
fn pack_all(files: &[CopyFile], out: &mut Bounded<'_>) -> io::Result<Option<FilesError>> {
    let mut writer = Writer::new(BufWriter::with_capacity(1 << 16, out));
    for file in files {
        let (source, name) = match open(file) {
            Ok(opened) => opened,
            Err(error) => return Ok(Some(error)),
        };
        let mut tell = |remark: &str| tracing::warn!("{}: {remark}", file.host_path);
        let packed = pack_as(&source, &name, Some((0, 0)), &mut writer, &mut tell)?;
        if packed.faults > 0 {
            return Ok(Some(FilesError::Faults {
                faults: packed.faults,
                path: file.host_path.clone().into(),
            }));
        }
    }
    writer.finish().map(|()| None)
}

/// A file that grows no larger than the disk it is for.
struct Bounded<'a> {
    file: File,
    left: u64,
    cancel: &'a Cancel,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if bytes.len() as u64 > self.left {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let count = self.file.write(bytes)?;
        self.left -= count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The archive that the VM of this directory is still to get, and its size.
pub(super) fn pending(directory: &Path) -> Option<(PathBuf, u64)> {
    let path = directory.join(ARCHIVE);
    let size = std::fs::metadata(&path).ok()?.len();
    Some((path, size))
}

/// The VM has its files.
pub(super) fn done(directory: &Path) {
    let removed = std::fs::remove_file(directory.join(ARCHIVE));
    if let Err(error) = removed
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "the archive of the VM's files stays, and is copied once more");
    }
}

/// How long a guest may take for so many bytes.
pub(super) fn time_for(bytes: u64) -> Duration {
    Duration::from_secs(1 + bytes / SLOWEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(host_path: &Path, vm_path: &str) -> CopyFile {
        CopyFile {
            host_path: host_path.to_str().expect("text").into(),
            vm_path: vm_path.into(),
        }
    }

    fn spec(copy_files: Vec<CopyFile>, disk_size: Size) -> VmSpec {
        VmSpec {
            copy_files,
            disk_size,
            ..VmSpec::default()
        }
    }

    #[test]
    fn what_is_not_there_is_told_first() {
        let directory = tempfile::tempdir().expect("tempdir");
        let file = directory.path().join("file");
        std::fs::write(&file, "x").expect("write");
        assert!(check(&[copy(&file, "/etc/file")]).is_ok());
        assert!(check(&[copy(directory.path(), "/")]).is_ok());
        for wrong in [
            copy(&directory.path().join("nothing"), "/x"),
            copy(&file, "/"),
            copy(&file, "/../x"),
        ] {
            let error = check(std::slice::from_ref(&wrong)).expect_err("wrong");
            assert!(Error::from(error).is_usage(), "{wrong:?}");
        }
    }

    #[test]
    fn an_archive_is_pending_until_it_is_done() {
        let directory = tempfile::tempdir().expect("tempdir");
        let (tree, vm) = (directory.path().join("tree"), directory.path().join("vm"));
        for made in [&tree, &vm] {
            std::fs::create_dir(made).expect("mkdir");
        }
        std::fs::write(tree.join("file"), vec![1; 5000]).expect("write");
        let cancel = Cancel::new().expect("an eventfd");
        let files = vec![copy(&tree, "/srv/tree")];
        let small = spec(files.clone(), Size::from_bytes(4096));
        let error = pack(&small, &vm, &cancel).expect_err("too large");
        assert!(error.to_string().contains("larger than"), "{error}");
        done(&vm);
        assert!(pending(&vm).is_none());
        pack(&spec(files, Size::MIB), &vm, &cancel).expect("an archive");
        let (path, size) = pending(&vm).expect("the archive");
        assert!(size > 5000 && size % 512 == 0);
        let mut entries = ignite_archive::Entries::new(io::BufReader::new(
            File::open(path).expect("it is there"),
        ));
        let mut names = Vec::new();
        while let Some(entry) = entries.next_entry().expect("an archive") {
            assert_eq!((entry.uid, entry.gid), (0, 0));
            names.push(entry.path.to_string_lossy().into_owned());
        }
        assert_eq!(names, ["srv/tree", "srv/tree/file"]);
    }
}
