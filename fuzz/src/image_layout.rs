//! OCI image layouts. The first byte says which document is foreign, all else is honest: `i`
//! `index.json`, `n` an index below it, `m` the manifest, `c` the configuration, `l` the layer.

use std::path::Path;

use ignite_image::kernel::Images;
use ignite_image::layer::Limits;
use ignite_image::{Digest, Importer, Silent};

use crate::{sample, scratch};

/// What the layout holds is unpacked, or refused.
pub fn run(bytes: &[u8]) {
    let Some((which, foreign)) = bytes.split_first() else {
        return;
    };
    let layout = scratch::directory().join("layout");
    scratch::empty(&layout.join("blobs/sha256"));
    let blob = |content: &[u8]| {
        let name = format!("blobs/sha256/{}", Digest::of(content).hex());
        scratch::write(&layout.join(name), content);
    };
    let pick = |name: u8, honest: Vec<u8>| match *which == name {
        true => foreign.to_vec(),
        false => honest,
    };
    let layer = pick(b'l', sample::tar(&[("a", b"b")]));
    let config = pick(b'c', sample::config(&layer));
    let manifest = pick(b'm', sample::manifest(&config, &layer));
    let nested = pick(b'n', manifest.clone());
    for content in [&layer, &config, &manifest, &nested] {
        blob(content);
    }
    let index = pick(b'i', sample::index(&nested));
    scratch::write(&layout.join("index.json"), &index);
    unpack(&format!("oci:{}", layout.display()));
}

/// Unpacks an image as far as it goes.
pub fn unpack(source: &str) {
    let data = scratch::directory();
    let tree = data.join("tree");
    scratch::empty(&tree);
    let importer = importer(data);
    match importer.unpack(source, &tree, &Silent) {
        Ok(digest) => {
            let again = importer.identify(source).expect("it was found before");
            assert_eq!(again, digest);
        }
        Err(error) => drop((error.to_string(), error.hint())),
    }
}

fn importer(data: &Path) -> Importer<'static> {
    let mut importer = Importer::new(data, &Silent);
    importer.limits = Limits {
        entries: 64,
        bytes: 1 << 20,
        reserve: 0,
    };
    importer
}
