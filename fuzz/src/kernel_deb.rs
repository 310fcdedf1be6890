//! Debian packages.

use std::io::{Cursor, Read};

use ignite_image::kernel::deb;

/// The files' archive is a part of the package.
pub fn run(bytes: &[u8]) {
    match deb::data(Cursor::new(bytes)) {
        Ok(mut data) => {
            let mut content = Vec::new();
            data.reader.read_to_end(&mut content).expect("memory");
            assert_eq!(content.len() as u64, data.size);
            assert!(content.len() < bytes.len());
        }
        Err(error) => drop(error.to_string()),
    }
}
