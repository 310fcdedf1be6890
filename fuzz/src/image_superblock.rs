//! Heads of disks that people give to their VMs.

use ignite_image::superblock::{Content, HEAD, identify};

/// The head is looked at; with zeros behind it, as a longer disk has them, it is the same file system,
/// unless one was found by its end.
pub fn run(bytes: &[u8]) {
    let found = identify(bytes);
    if let Content::FileSystem(found) = &found {
        assert!(!found.kind.is_empty());
        let length = found.uuid.as_ref().map(String::len);
        assert!(matches!(length, None | Some(9 | 36)));
    }
    let mut longer = bytes.to_vec();
    longer.resize(bytes.len().max(HEAD), 0);
    if let Content::FileSystem(found) = found {
        let Content::FileSystem(again) = identify(&longer) else {
            panic!("{found:?} is gone");
        };
        assert_eq!(found.kind, again.kind);
    }
}
