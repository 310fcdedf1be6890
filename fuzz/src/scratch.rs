//! A directory for targets whose parser reads files. `tools/fuzz.sh` puts it into memory and removes
//! it in the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// This process' own directory; the same one at each call.
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let name = format!("ignite-fuzz-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the directory for temporary files takes one more");
        path
    })
}

/// The file `name` of it, with that content.
pub fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = directory().join(name);
    write(&path, content);
    path
}

/// Writes one file below it.
pub fn write(path: &Path, content: &[u8]) {
    fs::write(path, content).expect("there is room for a small file");
}

/// Makes a directory below it empty, whatever it was.
pub fn empty(path: &Path) {
    if path.symlink_metadata().is_ok() {
        fs::remove_dir_all(path).expect("what was made can be removed");
    }
    fs::create_dir_all(path).expect("there is room for a directory");
}
