//! The configurations that delegates were given, for their DEL: a file for each container.
//!
//! Its name has no interface in it, as other implementations expect: of two interfaces of one
//! container that are joined through `flannel`, the second one's configuration stays.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use ignite_cni::config::MAX_BYTES;
use ignite_host::fs::{self, Error};

/// The directory of these files.
pub(super) struct Kept<'a> {
    directory: &'a Path,
}

impl<'a> Kept<'a> {
    pub(super) fn new(directory: &'a Path) -> Self {
        Self { directory }
    }

    /// Keeps a configuration, durably.
    pub(super) fn write(&self, container_id: &str, config: &[u8]) -> Result<(), Error> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(self.directory)
            .map_err(|source| Error::Io {
                action: "make the directory",
                path: self.directory.to_owned(),
                source,
            })?;
        fs::write_atomic(&self.path(container_id), config, 0o600)
    }

    /// The configuration, if one is kept.
    pub(super) fn read(&self, container_id: &str) -> Result<Option<Vec<u8>>, Error> {
        match fs::read_bounded(&self.path(container_id), MAX_BYTES as u64) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Forgets it. That it is gone already is as good.
    pub(super) fn remove(&self, container_id: &str) -> Result<(), Error> {
        let path = self.path(container_id);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::Io {
                action: "remove",
                path,
                source,
            }),
            _ => Ok(()),
        }
    }

    /// A container's ID is a plain name: the skeleton refuses others.
    fn path(&self, container_id: &str) -> PathBuf {
        self.directory.join(container_id)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_kept_is_for_root_alone_until_it_is_forgotten() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let directory = root.path().join("cni/flannel");
        let kept = Kept::new(&directory);
        assert_eq!(kept.read("c1").expect("asked"), None);
        kept.remove("c1").expect("nothing to do");
        kept.write("c1", b"{}").expect("kept");
        kept.write("c1", b"[]").expect("replaced");
        assert_eq!(kept.read("c1").expect("asked"), Some(b"[]".to_vec()));
        let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o7777;
        assert_eq!(
            (mode(&directory), mode(&directory.join("c1"))),
            (0o700, 0o600)
        );
        kept.remove("c1").expect("removed");
        assert_eq!(kept.read("c1").expect("asked"), None);
    }

    #[test]
    fn a_directory_that_cannot_be_is_named() {
        let error = Kept::new(Path::new("/dev/null/x"))
            .write("c1", b"")
            .expect_err("no directory");
        assert!(error.to_string().contains("/dev/null/x"), "{error}");
    }
}
