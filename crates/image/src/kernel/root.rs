//! Files below the directory a kernel is taken from: an unpacked archive, whose links lead nowhere
//! else, or the host's own root.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ignite_host::error::SystemError;
use ignite_host::fs::{self, Kind, RootDir};

/// As many links one behind the other as the kernel follows.
const MAX_LINKS: usize = 40;
/// Bounds on a module tree: the largest of a distribution has some 6,000 files and 600 MB.
const MAX_FILES: usize = 60_000;
const MAX_BYTES: u64 = 8 * 1024 * 1024 * 1024;
const MAX_DEPTH: usize = 32;
/// What packages keep beside the directories of modules and no guest reads.
const LEFT_OUT: &[&str] = &[
    "vmlinuz",
    "vmlinux",
    "System.map",
    "build",
    "source",
    "vdso",
    "debug",
];

/// What can go wrong below a root.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the source.
    #[error("cannot take the kernel's files")]
    File(#[from] fs::Error),
    /// A file of the source or of its copy.
    #[error("cannot take the kernel's files")]
    System(#[from] SystemError),
    /// A file larger than any of its kind.
    #[error("{} has more than {max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound in bytes.
        max: u64,
    },
    /// More than a module tree holds.
    #[error("{} has more files than a module tree", path.display())]
    TooMany {
        /// The directory.
        path: PathBuf,
    },
}

impl Error {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(source) => source.hint(),
            Self::System(source) => source.hint(),
            Self::TooLarge { .. } | Self::TooMany { .. } => None,
        }
    }
}

/// The directory.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    directory: RootDir,
}

/// One file of a module tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Path below the tree.
    pub path: PathBuf,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change, nanoseconds since the epoch.
    pub modified: i128,
}

impl Root {
    /// The directory at `path`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self {
            path: path.to_owned(),
            directory: RootDir::open(path)?,
        })
    }

    /// Where it is, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The regular file at `path`, links followed inside the root; its content, at most `max` bytes.
    /// None if there is none.
    pub fn read(&self, path: &Path, max: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some((path, Kind::File)) = self.follow(path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let file = self.directory.open_file(&path)?;
        file.take(max.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|source| self.failed("read", &path, source))?;
        if bytes.len() as u64 > max {
            let path = self.path.join(path);
            return Err(Error::TooLarge { path, max });
        }
        Ok(Some(bytes))
    }

    /// Whether `path` is a regular file, links followed.
    pub fn has_file(&self, path: &Path) -> Result<bool, Error> {
        Ok(matches!(self.follow(path)?, Some((_, Kind::File))))
    }

    /// Whether `path` is a directory, links followed.
    pub fn has_directory(&self, path: &Path) -> Result<bool, Error> {
        Ok(matches!(self.follow(path)?, Some((_, Kind::Directory))))
    }

    /// The names in a directory, sorted; none if it is not there. Names that are not UTF-8 are left
    /// out: no kernel has them.
    pub fn names(&self, path: &Path) -> Result<Vec<String>, Error> {
        if !path.as_os_str().is_empty() && !self.has_directory(path)? {
            return Ok(Vec::new());
        }
        let entries = self.directory.list(path)?;
        let mut names: Vec<String> = entries
            .into_iter()
            .filter_map(|entry| entry.name.into_string().ok())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The regular files of the module tree at `path`, sorted; links are left out, and so is what no
    /// guest reads.
    pub fn tree(&self, path: &Path) -> Result<Vec<Listed>, Error> {
        let mut files = Vec::new();
        self.collect(path, Path::new(""), 0, &mut files)?;
        files.sort_unstable_by(|one, two| one.path.cmp(&two.path));
        Ok(files)
    }

    /// Copies `files` of the module tree at `path` to the new directory `target`.
    pub fn copy(&self, path: &Path, files: &[Listed], target: &Path) -> Result<(), Error> {
        if files.iter().map(|file| file.size).sum::<u64>() > MAX_BYTES {
            let path = self.path.join(path);
            return Err(Error::TooLarge {
                path,
                max: MAX_BYTES,
            });
        }
        let copy = RootDir::open_new(target)?;
        for file in files {
            let parent = file.path.parent().unwrap_or(Path::new(""));
            if !parent.as_os_str().is_empty() {
                copy.create_dir_all(parent, 0o755)?;
            }
            let from = self.directory.open_file(&path.join(&file.path))?;
            let mut to = copy.create_file(&file.path, 0o644)?;
            // One file may have grown since it was listed: its listed size was what was counted.
            io::copy(&mut from.take(file.size), &mut to)
                .map_err(|source| self.failed("copy", &path.join(&file.path), source))?;
        }
        Ok(())
    }

    fn collect(
        &self,
        tree: &Path,
        below: &Path,
        depth: usize,
        files: &mut Vec<Listed>,
    ) -> Result<(), Error> {
        let directory = tree.join(below);
        for entry in self.directory.list(&directory)? {
            let left_out = || LEFT_OUT.iter().any(|name| entry.name == OsStr::new(name));
            if depth == 0 && left_out() {
                continue;
            }
            let path = below.join(&entry.name);
            match entry.kind {
                Kind::Directory if depth < MAX_DEPTH => {
                    self.collect(tree, &path, depth + 1, files)?
                }
                Kind::File => files.push(self.listed(tree, path)?),
                _ => {}
            }
            if files.len() > MAX_FILES {
                let path = self.path.join(tree);
                return Err(Error::TooMany { path });
            }
        }
        Ok(())
    }

    fn listed(&self, tree: &Path, path: PathBuf) -> Result<Listed, Error> {
        let full = tree.join(&path);
        let found = self
            .directory
            .open_file(&full)?
            .metadata()
            .map_err(|source| self.failed("look at", &full, source))?;
        Ok(Listed {
            path,
            size: found.size(),
            modified: i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec()),
        })
    }

    /// Where `path` leads when links are followed, each inside the root, and what is there.
    fn follow(&self, path: &Path) -> Result<Option<(PathBuf, Kind)>, Error> {
        let mut path = path.to_owned();
        for _ in 0..MAX_LINKS {
            match self.directory.kind(&path)? {
                Some(Kind::Symlink) => {
                    let target = PathBuf::from(self.directory.read_link(&path)?);
                    // An absolute target replaces the path: it counts from the root, too.
                    path = path.parent().unwrap_or(Path::new("")).join(target);
                    if path.file_name().is_none() {
                        return Ok(None);
                    }
                }
                Some(kind) => return Ok(Some((path, kind))),
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    fn failed(&self, action: &str, path: &Path, source: io::Error) -> Error {
        let path = self.path.join(path);
        SystemError::new(format!("{action} {}", path.display()), source).into()
    }
}

/// A directory just made.
trait OpenNew: Sized {
    fn open_new(path: &Path) -> Result<Self, Error>;
}

impl OpenNew for RootDir {
    fn open_new(path: &Path) -> Result<Self, Error> {
        std::fs::create_dir(path)
            .map_err(|source| SystemError::new(format!("create {}", path.display()), source))?;
        Ok(Self::open(path)?)
    }
}

/// Reads all of `file` into a digest, for files that need not be in memory.
pub fn digest_of(path: &Path) -> Result<crate::digest::Digest, Error> {
    let failed = |source| SystemError::new(format!("read {}", path.display()), source);
    let mut reader = crate::digest::Hashing::new(File::open(path).map_err(failed)?);
    io::copy(&mut reader, &mut io::sink()).map_err(failed)?;
    Ok(reader.finish().0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn write(root: &Path, path: &str, content: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("below root")).expect("a directory");
        std::fs::write(path, content).expect("a file");
    }

    #[test]
    fn links_are_followed_and_stay_inside() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("root");
        write(&path, "boot/vmlinuz-6.1", "kernel");
        write(directory.path(), "secret", "no");
        symlink("/boot/vmlinuz-6.1", path.join("boot/vmlinuz")).expect("a link");
        symlink("boot/vmlinuz", path.join("vmlinuz")).expect("a link");
        symlink("../secret", path.join("out")).expect("a link");
        symlink("/", path.join("slash")).expect("a link");
        symlink("loop", path.join("loop")).expect("a link");
        let root = Root::open(&path).expect("a root");
        let read = |name: &str| root.read(Path::new(name), 100).expect("readable");
        assert_eq!(read("vmlinuz"), Some(b"kernel".to_vec()));
        assert_eq!(
            (read("out"), read("slash"), read("loop"), read("boot")),
            (None, None, None, None)
        );
        assert!(matches!(
            root.read(Path::new("vmlinuz"), 5),
            Err(Error::TooLarge { max: 5, .. })
        ));
    }

    #[test]
    fn a_tree_is_copied_without_links_and_what_no_guest_reads() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("root");
        write(&path, "usr/lib/modules/6.1/kernel/a.ko", "a");
        write(&path, "usr/lib/modules/6.1/modules.order", "kernel/a.ko\n");
        write(&path, "usr/lib/modules/6.1/build/Makefile", "x");
        write(&path, "usr/lib/modules/6.1/vmlinuz", "x");
        symlink("/etc/passwd", path.join("usr/lib/modules/6.1/kernel/b.ko")).expect("a link");
        symlink("usr/lib", path.join("lib")).expect("a link");
        let root = Root::open(&path).expect("a root");
        let tree = Path::new("lib/modules/6.1");
        let files = root.tree(tree).expect("listed");
        let names: Vec<_> = files
            .iter()
            .map(|file| file.path.to_str().expect("text"))
            .collect();
        assert_eq!(names, ["kernel/a.ko", "modules.order"]);
        let target = directory.path().join("copy");
        root.copy(tree, &files, &target).expect("copied");
        assert_eq!(
            std::fs::read(target.join("kernel/a.ko")).expect("a file"),
            b"a"
        );
    }
}
