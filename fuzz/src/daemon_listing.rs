//! git's list of the files of a commit, whose names and sizes are its author's.

use ignite_daemon::source::MAX_FILES;
use ignite_daemon::source::git::weigh_listing;

/// Most bytes of all manifests.
const MAX_TOTAL: u64 = 64 << 20;

/// Whatever is taken is within bounds.
pub fn run(bytes: &[u8]) {
    if let Some((files, total)) = weigh_listing(bytes) {
        assert!(files <= MAX_FILES, "{files} files");
        assert!(total <= MAX_TOTAL, "{total} bytes");
    }
}
