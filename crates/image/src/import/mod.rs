//! The whole way from a source to a bootable file system.
//!
//! ```text
//!  resolve   which image is it?          manifests only: cheap, nothing is kept
//!  lock      who builds it?              another import of the same image waits here
//!  (caller)  is it there already?
//!  build     layers -> tree -> ext4      in a staging directory that no crash leaves for long
//!  (caller)  record it, drop the lock
//! ```

mod build;
mod files;
mod resolve;

use std::path::{Path, PathBuf};
use std::time::Duration;

use ignite_host::fs::Lock;
use serde::{Deserialize, Serialize};

use crate::container::Container;
use crate::digest::Digest;
use crate::init::Init;
use crate::layer::Limits;
use crate::layout::Saved;
use crate::manifest::{ImageConfig, Manifest};
use crate::progress::Progress;
use crate::registry::{self, Remote};
use crate::source::Source;
use crate::staging::{Staging, private_directory};
use crate::{Error, blobs::Blobs};

/// How often a waiting import looks whether it may go on.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Bytes left free in each file system; the guest grows it to its disk's size anyway.
const SPARE: u64 = 64 << 20;

/// Imports images.
pub struct Importer<'a> {
    /// How registries are spoken to.
    pub registry: registry::Options,
    /// Bounds on what layers may hold.
    pub limits: Limits,
    /// Bytes left free in the file system made.
    pub spare: u64,
    blobs: PathBuf,
    staging: PathBuf,
    progress: &'a dyn Progress,
}

/// An image that was found, and can be built.
#[derive(Debug)]
pub struct Resolved {
    /// What the image is known by: the digest of its manifest for this machine; of the configuration
    /// for `docker-archive:`, of the file for `tar:`, of the whole tree for `dir:`.
    pub digest: Digest,
    /// Names it goes by, in familiar form; at least one.
    pub names: Vec<String>,
    source: Source,
    content: Content,
}

/// Where the layers are.
#[derive(Debug)]
enum Content {
    Remote(Box<Remote>),
    Layout {
        container: Container,
        manifest: Manifest,
        _scratch: Option<Staging>,
    },
    Docker {
        container: Container,
        saved: Saved,
        _scratch: Option<Staging>,
    },
    Tar {
        path: PathBuf,
        size: u64,
    },
    Directory(PathBuf),
}

/// What an import made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    /// As in [`Resolved::digest`].
    pub digest: Digest,
    /// As in [`Resolved::names`].
    pub names: Vec<String>,
    /// The source, as it is written.
    pub source: String,
    /// `amd64`, ...
    pub architecture: String,
    /// How a container of it would be run; empty for a plain root file system.
    pub config: ImageConfig,
    /// The image's own init, if it has one.
    pub init: Option<Init>,
    /// Size of the file system in bytes.
    pub size: u64,
    /// Bytes its files take up in it.
    pub content_size: u64,
}

/// The right to build one image. Others who want the same wait until it is dropped.
#[derive(Debug)]
pub struct ImportLock {
    path: PathBuf,
    _lock: Lock,
}

impl Drop for ImportLock {
    fn drop(&mut self) {
        // Those who wait for it notice that it is gone, and make it anew.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl<'a> Importer<'a> {
    /// Keeps its downloads and work in progress below `data`.
    pub fn new(data: &Path, progress: &'a dyn Progress) -> Self {
        Self {
            registry: registry::Options::default(),
            limits: Limits::default(),
            spare: SPARE,
            blobs: data.join("blobs/sha256"),
            staging: data.join("staging"),
            progress,
        }
    }

    /// Waits until nobody else builds the image `digest`.
    pub fn lock(&self, digest: &Digest) -> Result<ImportLock, Error> {
        private_directory(&self.staging)?;
        let path = self.staging.join(format!("{}.lock", digest.hex()));
        loop {
            if let Some(lock) = Lock::try_exclusive(&path)? {
                return Ok(ImportLock { path, _lock: lock });
            }
            self.check_cancelled()?;
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Removes what dead imports left, and old downloads.
    pub fn sweep(&self) -> Result<(), Error> {
        drop(Staging::create(&self.staging)?);
        Blobs::open_directory(self.blobs.clone())?;
        Ok(())
    }

    fn check_cancelled(&self) -> Result<(), Error> {
        if self.progress.cancelled() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }
}

impl std::fmt::Debug for Importer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Importer")
            .field("staging", &self.staging)
            .finish_non_exhaustive()
    }
}
