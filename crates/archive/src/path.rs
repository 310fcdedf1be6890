//! Names inside an archive: which ones an honest archive has.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::EntryError;

/// The kernel's bounds on a path and a name.
const LONGEST_PATH: usize = 4095;
const LONGEST_NAME: usize = 255;
/// Deeper trees than this only occur in attacks on recursion.
const DEEPEST: usize = 256;

/// The path relative to the root, without `.` and empty components; empty for the root itself.
pub fn clean(path: &Path) -> Result<PathBuf, EntryError> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.first() == Some(&b'/') {
        return Err(EntryError::Absolute);
    }
    if bytes.contains(&0) {
        return Err(EntryError::ZeroByte);
    }
    let mut clean = PathBuf::new();
    let mut depth = 0;
    for name in bytes.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => continue,
            b".." => return Err(EntryError::ParentDirectory),
            name if name.len() > LONGEST_NAME => return Err(EntryError::TooLong),
            name => clean.push(OsStr::from_bytes(name)),
        }
        depth += 1;
    }
    if bytes.len() > LONGEST_PATH || depth > DEEPEST {
        return Err(EntryError::TooLong);
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn honest_names_pass() {
        for (given, expected) in [
            ("./", ""),
            (".", ""),
            ("./a//b/", "a/b"),
            ("a/./b", "a/b"),
            ("..a/b..", "..a/b.."),
        ] {
            assert_eq!(clean(Path::new(given)).expect(given), Path::new(expected));
        }
    }

    #[test]
    fn names_that_leave_are_refused() {
        for given in [
            "..",
            "../a",
            "a/..",
            "a/../b",
            "/etc/passwd",
            "/",
            "a\0b",
            "//a",
        ] {
            assert!(clean(Path::new(given)).is_err(), "{given}");
        }
        assert!(clean(Path::new(&"a/".repeat(300))).is_err(), "depth");
        assert!(clean(Path::new(&"a".repeat(256))).is_err(), "name");
    }

    proptest! {
        #[test]
        fn what_passes_stays_inside(path in "[a./]{0,40}") {
            if let Ok(path) = clean(Path::new(&path)) {
                prop_assert!(path.is_relative());
                prop_assert!(path.iter().all(|name| name != ".." && name != "."));
            }
        }
    }
}
