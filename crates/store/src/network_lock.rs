//! One lock for each network: ADD and DEL share it, garbage collection has it alone.

use std::fmt::Write;
use std::path::PathBuf;

use ignite_host::fs::Lock;

use crate::objects::make_directory;
use crate::{Error, Paths};

/// A network's lock, held until dropped.
#[derive(Debug)]
pub struct NetworkLock {
    _lock: Lock,
}

impl NetworkLock {
    /// Waits until nobody has the network alone; others may share it.
    pub fn shared(paths: &Paths, network: &str) -> Result<Self, Error> {
        Ok(Self {
            _lock: Lock::shared(&path(paths, network)?)?,
        })
    }

    /// Waits until nobody else has the network.
    pub fn exclusive(paths: &Paths, network: &str) -> Result<Self, Error> {
        Ok(Self {
            _lock: Lock::exclusive(&path(paths, network)?)?,
        })
    }
}

fn path(paths: &Paths, network: &str) -> Result<PathBuf, Error> {
    let directory = paths.run.join("network");
    make_directory(&directory)?;
    Ok(directory.join(format!("{}.lock", file_name(network))))
}

/// A file name for any network's name: other characters than the CNI specification allows are
/// written `%xx`, so no two names share a file and none leaves the directory.
fn file_name(network: &str) -> String {
    let mut name = String::new();
    for byte in network.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(byte.into()),
            b'.' if !name.is_empty() => name.push('.'),
            _ => write!(name, "%{byte:02x}").expect("a String takes everything"),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_the_directory() {
        assert_eq!(file_name("ignite-cni-bridge"), "ignite-cni-bridge");
        assert_eq!(file_name("../a.b"), "%2e.%2fa.b");
        assert_ne!(file_name("a/b"), file_name("a%2fb"));
    }

    #[test]
    fn shared_by_many() {
        let root = tempfile::tempdir().expect("tempdir");
        let paths = Paths::under(root.path());
        let _one = NetworkLock::shared(&paths, "n").expect("one");
        let _two = NetworkLock::shared(&paths, "n").expect("two");
        let _other = NetworkLock::exclusive(&paths, "m").expect("another network");
    }
}
