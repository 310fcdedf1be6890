//! Downloaded blobs, kept until the import they belong to has succeeded.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::digest::Digest;

/// What interrupted imports left is kept this long.
const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);

/// The directory `<data>/blobs/sha256`.
#[derive(Debug, Clone)]
pub(crate) struct Blobs(PathBuf);

impl Blobs {
    /// Makes the directory if it is missing, and removes what nobody came back for.
    pub fn open_directory(path: PathBuf) -> Result<Self, ignite_host::fs::Error> {
        crate::staging::private_directory(&path)?;
        let blobs = Self(path);
        blobs.remove_older_than(KEPT);
        Ok(blobs)
    }

    pub fn directory(&self) -> &Path {
        &self.0
    }

    pub fn has(&self, digest: &Digest) -> bool {
        self.path(digest).exists()
    }

    /// A complete blob. Removing it meanwhile does no harm to who has it open.
    pub fn open(&self, digest: &Digest) -> io::Result<Option<File>> {
        match File::open(self.path(digest)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where the beginning of a blob is kept.
    pub fn partial(&self, digest: &Digest) -> PathBuf {
        self.0.join(format!("{}.partial", digest.hex()))
    }

    /// The beginning has become the whole, and was verified.
    pub fn complete(&self, digest: &Digest) -> io::Result<()> {
        fs::rename(self.partial(digest), self.path(digest))
    }

    /// Removes a blob; fine if it is not there.
    pub fn remove(&self, digest: &Digest) {
        let _ = fs::remove_file(self.path(digest));
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.0.join(digest.hex())
    }

    fn remove_older_than(&self, age: Duration) {
        let entries = fs::read_dir(&self.0)
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        for entry in entries {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let old = |modified| {
                SystemTime::now()
                    .duration_since(modified)
                    .is_ok_and(|d| d > age)
            };
            if modified.is_ok_and(old) {
                tracing::debug!(path = %entry.path().display(), "removed an old download");
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
