//! By what a data directory knows its containers: a number in a file of its own.
//!
//! Its path would not do. A directory has many names, and one name is another directory in another
//! mount namespace, with the same Docker.

use std::io;
use std::path::{Path, PathBuf};

use ignite_api::Uid;
use ignite_host::fs::{self, Lock};
use ignite_store::Paths;

/// Bytes of the file.
const LIMIT: u64 = 64;

/// The identity of a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity(Uid);

impl Identity {
    /// The directory's; it gets one where it has none.
    pub fn of(paths: &Paths) -> Result<Self, fs::Error> {
        let path = file(paths);
        if let Some(known) = Self::known(paths)? {
            return Ok(known);
        }
        let _alone = Lock::exclusive(&path)?;
        if let Some(known) = Self::known(paths)? {
            return Ok(known);
        }
        let made = Uid::random();
        fs::write_atomic(&path, made.as_str().as_bytes(), 0o600)?;
        Ok(Self(made))
    }

    /// The directory's; none where it never had a container.
    pub fn known(paths: &Paths) -> Result<Option<Self>, fs::Error> {
        let path = file(paths);
        match fs::read_bounded(&path, LIMIT) {
            // The moment before it is written.
            Ok(bytes) if bytes.is_empty() => Ok(None),
            Ok(bytes) => parse(&path, &bytes).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As labels have it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

fn file(paths: &Paths) -> PathBuf {
    paths.data.join("identity")
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Identity, fs::Error> {
    let text = String::from_utf8_lossy(bytes);
    let uid = text.trim().parse();
    uid.map(Identity).map_err(|error| fs::Error::Io {
        action: "read",
        path: path.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidData, error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_by_all_its_names_and_another_has_another() {
        let root = tempfile::tempdir().expect("a directory");
        let of = |name: &str| {
            let paths = Paths::under(root.path()).with_data(root.path().join(name));
            Identity::of(&paths).expect("an identity")
        };
        for name in ["one", "two"] {
            std::fs::create_dir(root.path().join(name)).expect("mkdir");
        }
        std::os::unix::fs::symlink("one", root.path().join("link")).expect("a link");
        let one = of("one");
        assert_eq!([of("one"), of("link"), of("two/../one")], [one; 3]);
        assert_ne!(of("two"), one);
    }

    #[test]
    fn many_at_once_agree_on_one() {
        let root = tempfile::tempdir().expect("a directory");
        let paths = Paths::under(root.path()).with_data(root.path());
        assert_eq!(Identity::known(&paths).expect("none is fine"), None);
        // As left by who was killed before it was written.
        std::fs::write(file(&paths), "").expect("write");
        assert_eq!(Identity::known(&paths).expect("none is fine"), None);
        let all: Vec<Identity> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| Identity::of(&paths)))
                .collect();
            let ended = threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"));
            ended.map(|found| found.expect("an identity")).collect()
        });
        assert!(all.iter().all(|one| one == &all[0]), "{all:?}");
        assert_eq!(Identity::known(&paths).expect("readable"), Some(all[0]));
    }

    #[test]
    fn a_damaged_one_is_told_and_not_replaced() {
        let root = tempfile::tempdir().expect("a directory");
        let paths = Paths::under(root.path()).with_data(root.path());
        std::fs::write(file(&paths), "nonsense").expect("write");
        assert!(Identity::of(&paths).is_err());
        assert!(Identity::known(&paths).is_err());
    }
}
