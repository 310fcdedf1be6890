//! Layers as tar streams.

use std::io::Read;

use ignite_image::layer::{Entries, Entry, Kind};

use crate::sample;

/// As they come, and with checksums put right, without which few changes get past a header.
pub fn run(bytes: &[u8]) {
    read(bytes);
    read(&sample::with_checksums(bytes));
}

/// Every entry and its data: no more comes out than went in, and a cut archive is noticed.
fn read(bytes: &[u8]) {
    let mut entries = Entries::new(bytes);
    let (mut count, mut total) = (0, 0);
    loop {
        let entry = match entries.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(error) => return drop(error.to_string()),
        };
        let mut data = Vec::new();
        entries.data().read_to_end(&mut data).expect("memory");
        if (data.len() as u64) < entry.size {
            assert!(entries.next_entry().is_err(), "the end was not noticed");
            return;
        }
        check(&entry, data.len() as u64);
        count += 1;
        total += data.len();
    }
    assert!(count * 512 + total <= bytes.len(), "entries from nowhere");
}

/// All data is the entry's own, and the map of a sparse file adds up.
fn check(entry: &Entry, length: u64) {
    assert_eq!(length, entry.size);
    if let Kind::File(Some(map)) = &entry.kind {
        let stored: u64 = map.parts.iter().map(|(_, length)| length).sum();
        assert_eq!(stored, entry.size);
        let end = map
            .parts
            .last()
            .map_or(0, |(offset, length)| offset + length);
        assert!(end <= map.real_size);
    }
}
