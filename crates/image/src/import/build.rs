//! Layers become a tree, the tree a file system.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use super::{Content, Imported, Importer, Resolved};
use crate::blobs::Blobs;
use crate::digest::Digest;
use crate::layer::{self, Layer, unpack_layers};
use crate::layout;
use crate::manifest::{Descriptor, DocumentError, ImageDocument, LARGEST_CONFIG, Platform};
use crate::progress::Progress;
use crate::registry::{self, Remote};
use crate::staging::Staging;
use crate::{Error, ext4, init, platform};

/// Label of the file systems made.
const LABEL: &str = "ignite-root";
/// Its steps for the progress.
const FILE_SYSTEM: &str = "ext4";

impl Importer<'_> {
    /// Makes the image the new file `out`, an ext4 file system. On any failure `out` is not there, and
    /// nothing else is left but verified layers of a registry.
    pub fn build(&self, resolved: &Resolved, out: &Path) -> Result<Imported, Error> {
        match &resolved.content {
            Content::Directory(path) => self.finish(resolved, path, None, out),
            content => {
                let staging = Staging::create(&self.staging)?;
                let tree = staging.path().join("tree");
                fs::create_dir(&tree).map_err(|source| Error::Read {
                    path: tree.clone(),
                    source,
                })?;
                let document = self.unpack(resolved, content, &tree)?;
                let imported = self.finish(resolved, &tree, document, out)?;
                self.forget_layers(content);
                Ok(imported)
            }
        }
    }

    /// Fills `tree`. The image's configuration, if it has one.
    pub(super) fn unpack(
        &self,
        resolved: &Resolved,
        content: &Content,
        tree: &Path,
    ) -> Result<Option<ImageDocument>, Error> {
        match content {
            Content::Remote(remote) => self.unpack_remote(resolved, remote, tree).map(Some),
            Content::Layout {
                container,
                manifest,
                ..
            } => {
                let bytes = layout::read_blob(container, &manifest.config, LARGEST_CONFIG)?;
                let document = self.document(resolved, &bytes)?;
                let diff_ids = diff_ids(resolved, &document, manifest.layers.len())?;
                let mut layers = Vec::new();
                for (index, layer) in manifest.layers.iter().enumerate() {
                    let (reader, _) = container.open(&layout::blob(&layer.digest))?;
                    layers.push(described(layer, index, diff_ids, reader));
                }
                unpack_layers(&mut layers.into_iter(), tree, &self.limits, self.progress)?;
                Ok(Some(document))
            }
            Content::Docker {
                container, saved, ..
            } => {
                let document = self.document(resolved, &saved.document)?;
                let diff_ids = diff_ids(resolved, &document, saved.layers.len())?;
                let mut layers = Vec::new();
                for (index, path) in saved.layers.iter().enumerate() {
                    let (reader, size) = container.open(path)?;
                    let name = name(&diff_ids[index], index, diff_ids.len());
                    let diff_id = Some(diff_ids[index]);
                    layers.push(Layer {
                        name,
                        reader,
                        digest: None,
                        size: Some(size),
                        diff_id,
                    });
                }
                unpack_layers(&mut layers.into_iter(), tree, &self.limits, self.progress)?;
                Ok(Some(document))
            }
            Content::Tar { path, size } => {
                let file = File::open(path);
                let file = file.map_err(|source| Error::Read {
                    path: path.clone(),
                    source,
                })?;
                let layer = Layer {
                    name: path.display().to_string(),
                    reader: Box::new(file),
                    digest: Some(resolved.digest),
                    size: Some(*size),
                    diff_id: None,
                };
                let mut layers = std::iter::once(layer);
                unpack_layers(&mut layers, tree, &self.limits, self.progress)?;
                Ok(None)
            }
            Content::Directory(_) => Ok(None),
        }
    }

    /// Layers are unpacked while those above them are still on their way.
    fn unpack_remote(
        &self,
        resolved: &Resolved,
        remote: &Remote,
        tree: &Path,
    ) -> Result<ImageDocument, Error> {
        let manifest = &remote.manifest;
        let bytes = remote.small_blob(
            &manifest.config,
            "configuration",
            LARGEST_CONFIG,
            self.progress,
        )?;
        let document = self.document(resolved, &bytes)?;
        let diff_ids = diff_ids(resolved, &document, manifest.layers.len())?;
        let blobs = Blobs::open_directory(self.blobs.clone())?;
        let progress = Stoppable {
            inner: self.progress,
            stop: AtomicBool::new(false),
        };
        let (out, ready) = channel();
        let (fetched, unpacked) = std::thread::scope(|scope| {
            let fetch = scope.spawn(|| {
                let out = out;
                let mut index = 0;
                remote.layers(&blobs, &progress, |layer, file| {
                    let layer = described(layer, index, diff_ids, Box::new(file));
                    index += 1;
                    // Nobody takes it when unpacking failed; then this ends soon, too.
                    let _ = out.send(layer);
                })
            });
            let unpacked = unpack_layers(&mut ready.into_iter(), tree, &self.limits, &progress);
            progress.stop.store(unpacked.is_err(), Ordering::Relaxed);
            (
                fetch.join().expect("the fetching thread does not panic"),
                unpacked,
            )
        });
        match (fetched, unpacked) {
            // Fetching was stopped because unpacking failed, or never had a problem.
            (Ok(()) | Err(registry::Error::Cancelled), Err(error)) => {
                if is_damage(&error) {
                    manifest
                        .layers
                        .iter()
                        .for_each(|layer| blobs.remove(&layer.digest));
                }
                Err(error.into())
            }
            (Err(error), _) => Err(error.into()),
            (Ok(()), Ok(_)) => Ok(document),
        }
    }

    fn document(&self, resolved: &Resolved, bytes: &[u8]) -> Result<ImageDocument, Error> {
        let document = ImageDocument::parse(bytes).map_err(unusable(resolved))?;
        let wanted = platform::host();
        let known = !document.architecture.is_empty();
        if known && (document.architecture != wanted.architecture || document.os != wanted.os) {
            let found = Platform {
                os: document.os,
                architecture: document.architecture,
                variant: None,
            };
            return Err(Error::Platform {
                image: resolved.source.to_string(),
                found: found.to_string(),
                wanted: wanted.to_string(),
            });
        }
        Ok(document)
    }

    fn finish(
        &self,
        resolved: &Resolved,
        tree: &Path,
        document: Option<ImageDocument>,
        out: &Path,
    ) -> Result<Imported, Error> {
        self.check_cancelled()?;
        let init = init::find(tree)?;
        let options = ext4::Options {
            label: LABEL.into(),
            spare: self.spare,
            read_only: false,
            uuid: Some(uuid(&resolved.digest)),
        };
        self.progress
            .begin(FILE_SYSTEM, "making the file system", None);
        let made = ext4::make_measured(tree, out, &options);
        self.progress.end(FILE_SYSTEM);
        let made = made?;
        let architecture = document
            .as_ref()
            .map(|document| document.architecture.clone());
        let config = document.map(|document| document.image_config());
        Ok(Imported {
            digest: resolved.digest,
            names: resolved.names.clone(),
            source: resolved.source.to_string(),
            architecture: architecture
                .filter(|text| !text.is_empty())
                .unwrap_or_else(|| platform::host().architecture),
            config: config.unwrap_or_default(),
            init,
            size: made.size,
            content_size: made.content,
        })
    }

    /// The image is there: its downloads are not needed any more.
    pub(super) fn forget_layers(&self, content: &Content) {
        if let Content::Remote(remote) = content
            && let Ok(blobs) = Blobs::open_directory(self.blobs.clone())
        {
            remote
                .manifest
                .layers
                .iter()
                .for_each(|layer| blobs.remove(&layer.digest));
        }
    }
}

fn unusable(resolved: &Resolved) -> impl Fn(DocumentError) -> Error {
    let image = resolved.source.to_string();
    move |source| Error::Document {
        image: image.clone(),
        source,
    }
}

fn diff_ids<'a>(
    resolved: &Resolved,
    document: &'a ImageDocument,
    layers: usize,
) -> Result<&'a [Digest], Error> {
    document.diff_ids(layers).map_err(unusable(resolved))
}

fn described(
    layer: &Descriptor,
    index: usize,
    diff_ids: &[Digest],
    reader: Box<dyn Read + Send>,
) -> Layer {
    Layer {
        name: name(&layer.digest, index, diff_ids.len()),
        reader,
        digest: Some(layer.digest),
        size: Some(layer.size),
        diff_id: Some(diff_ids[index]),
    }
}

/// `sha256:0123456789ab (2 of 3)`.
fn name(digest: &Digest, index: usize, count: usize) -> String {
    format!("sha256:{} ({} of {count})", digest.short(), index + 1)
}

/// Whether the stored bytes themselves are at fault, so that keeping them would keep the fault.
fn is_damage(error: &layer::Error) -> bool {
    use layer::Error;
    matches!(
        error,
        Error::WrongDigest { .. }
            | Error::WrongDiffId { .. }
            | Error::CutShort { .. }
            | Error::TooLong { .. }
            | Error::Read { .. }
            | Error::Tar { .. }
    )
}

/// The same image gets the same UUID, marked as a random one (RFC 9562, version 4).
fn uuid(digest: &Digest) -> [u8; 16] {
    let mut uuid = digest.first16();
    uuid[6] = uuid[6] & 0x0f | 0x40;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

/// The caller's progress, with a way for one thread to stop the other.
struct Stoppable<'a> {
    inner: &'a dyn Progress,
    stop: AtomicBool,
}

impl Progress for Stoppable<'_> {
    fn begin(&self, id: &str, label: &str, total: Option<u64>) {
        self.inner.begin(id, label, total);
    }

    fn advance(&self, id: &str, bytes: u64) {
        self.inner.advance(id, bytes);
    }

    fn end(&self, id: &str) {
        self.inner.end(id);
    }

    fn cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.inner.cancelled()
    }
}
