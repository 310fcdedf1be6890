//! What a VM sends to be unpacked on the host, or anybody in a VM: it may lie in everything.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use ignite_archive::{Place, Policy, unpack};

use crate::{sample, scratch};

/// Where the destination is, and what no VM may touch.
static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = scratch::directory().join("files");
    scratch::empty(&place);
    scratch::write(&place.join("beside"), b"untouched");
    place
});

/// As a tree of one name into a directory that holds another, and again over what came of it. The first
/// byte decides whose archive it is, and whether owners are kept.
pub fn run(bytes: &[u8]) {
    let Some((first, archive)) = bytes.split_first() else {
        return;
    };
    let archive = sample::with_checksums(archive);
    let destination = PLACE.join("destination");
    scratch::empty(&destination);
    scratch::write(&destination.join("mine"), b"untouched");
    let place = Place {
        destination: &destination,
        expected: Some(b"tree"),
        whole: false,
        policy: match first % 3 {
            0 => Policy::onto_host(true),
            1 => Policy::onto_host(false),
            _ => Policy::into_guest(),
        },
    };
    for _ in 0..2 {
        match unpack(&archive[..], &place, &mut |_| {}) {
            Ok(done) => assert!(done.bytes <= archive.len() as u64),
            Err(error) => drop((error.to_string(), error.hint())),
        }
    }
    for kept in [PLACE.join("beside"), destination.join("mine")] {
        assert_eq!(fs::read(&kept).expect("it is there"), b"untouched");
    }
    names(&PLACE, &["beside", "destination"]);
    names(&destination, &["mine", "tree"]);
}

/// Nothing else is there.
fn names(directory: &std::path::Path, known: &[&str]) {
    for entry in fs::read_dir(directory).expect("it is there") {
        let name = entry.expect("readable").file_name();
        assert!(known.iter().any(|known| name == *known), "{name:?}");
    }
}
