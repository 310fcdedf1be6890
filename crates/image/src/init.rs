//! Whether a tree has an init of its own.

use std::path::{Path, PathBuf};

use ignite_host::fs::{Error, Kind, RootDir};
use serde::{Deserialize, Serialize};

/// Where an init is looked for, the kernel's own places and systemd's.
const PLACES: [&str; 6] = [
    "/sbin/init",
    "/usr/sbin/init",
    "/lib/systemd/systemd",
    "/usr/lib/systemd/systemd",
    "/etc/init",
    "/bin/init",
];
const MOST_LINKS: usize = 40;

/// The init of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Init {
    /// The path to run it by.
    pub path: PathBuf,
    /// The file it is when all symbolic links are followed, inside the image.
    pub program: PathBuf,
}

/// The first place that leads to an executable file inside `tree`.
pub(crate) fn find(tree: &Path) -> Result<Option<Init>, Error> {
    let root = RootDir::open(tree)?;
    for place in PLACES {
        if let Some(program) = follow(&root, Path::new(place))?
            && is_executable(&root, &program)
        {
            return Ok(Some(Init {
                path: place.into(),
                program,
            }));
        }
    }
    Ok(None)
}

/// The file behind `path` when links are followed within the root; none if it leads nowhere.
fn follow(root: &RootDir, path: &Path) -> Result<Option<PathBuf>, Error> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match root.kind(&path)? {
            Some(Kind::File) => return Ok(Some(path)),
            Some(Kind::Symlink) => {
                let target = PathBuf::from(root.read_link(&path)?);
                // An absolute target replaces the whole; the root keeps both kinds inside.
                path = path.parent().unwrap_or(Path::new("/")).join(target);
            }
            _ => return Ok(None),
        }
    }
    Ok(None)
}

fn is_executable(root: &RootDir, path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let metadata = root.open_file(path).and_then(|file| {
        file.metadata().map_err(|source| Error::Io {
            action: "look at",
            path: path.into(),
            source,
        })
    });
    metadata.is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().expect("tempdir");
        for directory in ["usr/lib/systemd", "usr/sbin"] {
            fs::create_dir_all(tree.path().join(directory)).expect("mkdir");
        }
        symlink("usr/sbin", tree.path().join("sbin")).expect("symlink");
        tree
    }

    fn program(path: &Path, mode: u32) {
        fs::write(path, "").expect("write");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    }

    #[test]
    fn follows_links_inside_the_image() {
        let tree = tree();
        assert_eq!(find(tree.path()).expect("search"), None);
        program(&tree.path().join("usr/lib/systemd/systemd"), 0o755);
        symlink(
            "/lib/systemd/../systemd/systemd",
            tree.path().join("usr/sbin/init"),
        )
        .expect("link");
        let found = find(tree.path()).expect("search").expect("systemd");
        assert_eq!(
            found.path,
            Path::new("/usr/lib/systemd/systemd"),
            "/lib is not there"
        );
        symlink("usr/lib", tree.path().join("lib")).expect("symlink");
        let found = find(tree.path()).expect("search").expect("an init");
        assert_eq!(found.path, Path::new("/sbin/init"));
        assert!(found.program.ends_with("lib/systemd/../systemd/systemd"));
    }

    #[test]
    fn never_takes_one_of_the_host() {
        let tree = tree();
        symlink("/bin/sh", tree.path().join("usr/sbin/init")).expect("symlink");
        assert_eq!(find(tree.path()).expect("search"), None);
        fs::remove_file(tree.path().join("usr/sbin/init")).expect("remove");
        program(&tree.path().join("usr/sbin/init"), 0o644);
        assert_eq!(find(tree.path()).expect("search"), None, "not executable");
    }
}
