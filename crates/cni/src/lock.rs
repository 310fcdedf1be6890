//! Locks between processes, in a directory of the caller's. libcni takes none.
//!
//! * One operation at a time for a container, on whatever networks: [`container`].
//! * ADD, DEL and CHECK of a network beside each other, GC alone: [`network_shared`],
//!   [`network_exclusive`].
//!
//! Take the container's lock first. Both end with the process at the latest.

use std::path::{Path, PathBuf};

use ignite_host::fs::{Error, Lock};

/// Waits for the right to do anything to a container.
pub fn container(directory: &Path, container_id: &str) -> Result<Lock, Error> {
    Lock::exclusive(&path(directory, "container", container_id))
}

/// Lets go of a container, for all who inherited the lock, with its file: there would be one for each
/// container that ever was. Whoever waits for it makes another.
pub fn forget_container(directory: &Path, container_id: &str, held: &Lock) -> Result<(), Error> {
    held.remove(&path(directory, "container", container_id))
}

/// What came of trying for a container's lock.
#[derive(Debug)]
pub enum Tried {
    /// It is ours now.
    Taken(Lock),
    /// Somebody has it.
    Held,
    /// Nobody has it, nor died with it, and it is not made.
    Never,
}

/// The right to do anything to a container, if nobody has it, without waiting.
pub fn try_container(directory: &Path, container_id: &str) -> Result<Tried, Error> {
    let path = path(directory, "container", container_id);
    if !path.exists() {
        return Ok(Tried::Never);
    }
    Ok(Lock::try_exclusive(&path)?.map_or(Tried::Held, Tried::Taken))
}

/// Waits for the right to attach to, detach from or check a network.
pub fn network_shared(directory: &Path, network: &str) -> Result<Lock, Error> {
    Lock::shared(&path(directory, "network", network))
}

/// Waits for the right to collect garbage of a network, alone.
pub fn network_exclusive(directory: &Path, network: &str) -> Result<Lock, Error> {
    Lock::exclusive(&path(directory, "network", network))
}

/// Names that are no identifiers (of attachments made by others) are spelled in
/// hexadecimal; no identifier can look so, since none starts with `_`.
fn path(directory: &Path, kind: &str, name: &str) -> PathBuf {
    let plain = !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    let name = if plain {
        name.to_owned()
    } else {
        format!("_{}", crate::leak::digest(&[name], 32))
    };
    directory.join(format!("{kind}-{name}.lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leaves_the_directory() {
        let dir = Path::new("/run/locks");
        assert_eq!(path(dir, "network", "n-1"), dir.join("network-n-1.lock"));
        for bad in ["../x", "", "a/b", "_x", &"x".repeat(400)] {
            let made = path(dir, "network", bad);
            assert_eq!(made.parent(), Some(dir), "{bad}");
            assert!(
                made.file_name().is_some_and(|name| name.len() < 60),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_container_is_tried_for_without_waiting() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let tried = || try_container(dir.path(), "c").expect("asked");
        assert!(matches!(tried(), Tried::Never));
        let held = container(dir.path(), "c").expect("locked");
        assert!(matches!(tried(), Tried::Held));
        drop(held);
        assert!(matches!(tried(), Tried::Taken(_)));
    }

    #[test]
    fn a_container_that_is_forgotten_leaves_no_file() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let held = container(dir.path(), "c").expect("locked");
        forget_container(dir.path(), "c", &held).expect("removed");
        assert!(!path(dir.path(), "container", "c").exists());
        let again = container(dir.path(), "c").expect("locked");
        assert!(matches!(
            try_container(dir.path(), "c").expect("asked"),
            Tried::Held
        ));
        drop(again);
    }

    #[test]
    fn collecting_waits_for_attaching() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let first = network_shared(dir.path(), "n").expect("locked");
        let second = network_shared(dir.path(), "n").expect("beside it");
        let file = path(dir.path(), "network", "n");
        assert!(Lock::try_exclusive(&file).expect("asked").is_none());
        drop((first, second));
        assert!(Lock::try_exclusive(&file).expect("asked").is_some());
    }
}
