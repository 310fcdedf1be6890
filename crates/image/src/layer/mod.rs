//! Layers unpacked into a tree.

use std::io::Read;
use std::path::Path;

use crate::digest::Digest;
use crate::progress::Progress;

/// One layer: a tar, packed or not.
pub struct Layer {
    /// What messages call it.
    pub name: String,
    /// Its bytes as stored.
    pub reader: Box<dyn Read + Send>,
    /// Digest of the bytes as stored; checked if given.
    pub digest: Option<Digest>,
    /// Number of bytes as stored; checked if given.
    pub size: Option<u64>,
    /// Digest of the unpacked tar; checked if given.
    pub diff_id: Option<Digest>,
}

/// Bounds on what a stranger's layers may hold.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Entries of all layers together.
    pub entries: u64,
    /// Bytes of all files of all layers together.
    pub bytes: u64,
    /// Bytes that must stay free on the disk.
    pub reserve: u64,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {}

/// Unpacks `layers`, lowest first, into the empty directory `root`.
pub fn unpack_layers(
    layers: &mut (dyn Iterator<Item = Layer> + Send),
    root: &Path,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let _ = (layers, root, limits, progress);
    Ok(())
}
