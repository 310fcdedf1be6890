//! The control groups of a host's VMMs: a part of the machine's, of its own, which `enter.sh` makes and
//! puts where they are looked for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::wait_until;

/// Where hierarchies are mounted.
const MOUNTED: &str = "/sys/fs/cgroup";

/// The name of a host's part in every hierarchy, by the host's place on the disk.
pub(super) fn name(directory: &Path) -> String {
    let place = directory.file_name().unwrap_or_default();
    format!("ignite-e2e-{}", place.to_string_lossy())
}

/// Takes them away once the host's processes have ended.
///
/// # Errors
/// If a group has processes still.
pub(super) fn remove(name: &str) -> anyhow::Result<()> {
    let hierarchies = fs::read_dir(MOUNTED).into_iter().flatten().flatten();
    let mut roots: Vec<PathBuf> = hierarchies.map(|entry| entry.path()).collect();
    roots.push(MOUNTED.into());
    for root in roots {
        let group = root.join(name);
        wait_until("its control groups to go", Duration::from_secs(5), || {
            remove_tree(&group)
        })?;
    }
    Ok(())
}

fn remove_tree(group: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(group) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // A link to a hierarchy, or a file beside them.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries.flatten() {
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}
