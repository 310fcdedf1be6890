//! What this host has: looked at, and left as it was.
//!
//! Each module is a parser of what the kernel says, and a thin reader in front of it. Nothing here
//! loads a module, changes a setting or leaves a file: what has to be tried is tried in a namespace
//! without a name, or on a file without one, which the kernel takes away with the last descriptor. A
//! source that is absent, unreadable or nonsense is a value like any other, never a failure.

pub mod accounts;
pub mod cgroup;
pub mod clock;
pub mod confinement;
pub mod disk;
pub mod filter;
pub mod memory;
pub mod module;
pub mod processor;
pub mod program;
pub mod sandbox;
pub mod system;

use std::path::Path;

/// Bytes of a file that is read whole: `/proc/cpuinfo` of the largest machines is the longest.
const MAX: u64 = 4 << 20;

/// A file as text; none where it cannot be read, or is longer than any that is meant.
pub(crate) fn text(path: impl AsRef<Path>) -> Option<String> {
    let bytes = crate::fs::read_bounded(path.as_ref(), MAX).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The field `name` of `name: value` lines, as `/proc` has them.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}
