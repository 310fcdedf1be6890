//! One daemon for a data directory.

use std::path::Path;

use ignite_host::fs::{self, Lock};

use ignite_program::Failure;

/// Most bytes of what a holder says of itself.
const MAX_WORDS: u64 = 64 << 10;

/// The right to be the only one; given back when the process ends, however it does.
#[derive(Debug)]
pub struct Instance {
    _lock: Lock,
}

impl Instance {
    /// Takes it, in the daemon's directory, and says for whom.
    pub fn only(directory: &Path, by: &str) -> Result<Self, Failure> {
        std::fs::create_dir_all(directory).map_err(|error| {
            let action = format!("make the directory {}", directory.display());
            let error = ignite_host::error::SystemError::new(action, error);
            let hint = error.hint();
            Failure::new(error, hint)
        })?;
        let path = directory.join("lock");
        let Some(lock) = Lock::try_exclusive(&path)? else {
            return Err(taken(&path));
        };
        let words = format!("process {}, for {by}", std::process::id());
        // Only words for people: the lock holds without them.
        if let Err(error) = std::fs::write(&path, words) {
            tracing::warn!("{} stays without words: {error}", path.display());
        }
        Ok(Self { _lock: lock })
    }
}

fn taken(path: &Path) -> Failure {
    let words = fs::read_bounded(path, MAX_WORDS).unwrap_or_default();
    let words = String::from_utf8_lossy(&words).into_owned();
    let holder = if words.is_empty() {
        String::new()
    } else {
        format!(": {words}")
    };
    Failure::new(
        format!(
            "another ignited keeps VMs in {} already{holder}",
            path.parent()
                .and_then(Path::parent)
                .unwrap_or(path)
                .display()
        ),
        Some("end that one first, or give this one another --data-dir".into()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_hears_of_the_first() {
        let directory = tempfile::tempdir().expect("a directory");
        let own = directory.path().join("ignited");
        let first = Instance::only(&own, "/etc/manifests").expect("alone");
        let error = Instance::only(&own, "/srv").expect_err("not alone");
        let words = format!("process {}, for /etc/manifests", std::process::id());
        assert!(error.line().contains(&words), "{}", error.line());
        drop(first);
        Instance::only(&own, "/srv").expect("alone again");
    }
}
