//! Layers: every entry and its data, as far as the archive goes.
#![no_main]

use std::io::Read as _;

use ignite_image::layer::Entries;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut entries = Entries::new(bytes);
    while let Ok(Some(_)) = entries.next() {
        let mut data = Vec::new();
        if entries.data().read_to_end(&mut data).is_err() {
            return;
        }
        assert!(data.len() <= bytes.len(), "data from nowhere");
    }
});
