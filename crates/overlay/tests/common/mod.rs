//! What the tests with a real etcd share.

use std::path::{Path, PathBuf};

/// etcd's program: the one unpacked beside the build, else the machine's.
pub fn etcd_program() -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let unpacked = top.join("build/tools/etcd-server/usr/bin/etcd");
    match unpacked.exists() {
        true => unpacked,
        false => "etcd".into(),
    }
}
