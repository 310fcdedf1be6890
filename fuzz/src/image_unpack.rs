//! Layers unpacked into a tree, on a file system in memory. As root it goes further: owners and
//! devices are set.

use std::fs;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::LazyLock;

use ignite_image::layer::{Layer, Limits};
use ignite_image::{Silent, unpack_layers};

use crate::{sample, scratch};

const LIMITS: Limits = Limits {
    entries: 64,
    bytes: 1 << 20,
    reserve: 0,
};

/// Where the tree is, and a file beside it that no layer may touch.
static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = scratch::directory().join("place");
    scratch::empty(&place);
    scratch::write(&place.join("beside"), b"untouched");
    place
});

/// The same layer twice, so that it meets what it made itself: the limits hold, and nothing outside
/// of the tree changes.
pub fn run(bytes: &[u8]) {
    let tree = PLACE.join("tree");
    scratch::empty(&tree);
    let bytes = sample::with_checksums(bytes);
    let mut layers = ["lower", "upper"].into_iter().map(|name| Layer {
        name: name.into(),
        reader: Box::new(Cursor::new(bytes.clone())),
        digest: None,
        size: None,
        diff_id: None,
    });
    match unpack_layers(&mut layers, &tree, &LIMITS, &Silent) {
        Ok(done) => assert!(done.entries <= LIMITS.entries && done.bytes <= LIMITS.bytes),
        Err(error) => drop((error.to_string(), error.hint())),
    }
    let mut names: Vec<_> = fs::read_dir(&*PLACE)
        .expect("the place is there")
        .map(|entry| entry.expect("readable").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["beside", "tree"]);
    let beside = fs::read(PLACE.join("beside")).expect("the file beside the tree");
    assert_eq!(beside, b"untouched");
}
