//! A kernel's module tree: which modules there are, what they need, in which order they load.
//!
//! ```text
//!  <release>/kernel/**/*.ko[.xz|.gz|.zst]   the modules, each with its .modinfo
//!           /modules.builtin[.modinfo]      what the kernel has built in
//!           /modules.order                  precedence
//!           /modules.{dep,alias,...}[.bin]  what depmod writes for modprobe (depmod.rs)
//! ```
//!
//! The tree is one this crate has copied: it holds regular files and directories only. The files'
//! content is a stranger's all the same.

mod depmod;
mod index;
mod modinfo;
mod order;

pub use modinfo::{ModInfo, canonical};
pub use order::{Driver, When, load_order};

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ignite_host::fs::{self, read_bounded};

use super::compression::{self, Format};

/// The largest module taken, packed or unpacked, in bytes.
const MAX_MODULE: u64 = 128 * 1024 * 1024;
/// The largest list (`modules.alias` and its kind) taken, in bytes.
const MAX_LIST: u64 = 64 * 1024 * 1024;
/// More files than any kernel has modules.
const MAX_FILES: usize = 30_000;
/// Deeper directories and longer chains of dependencies exist in no module tree.
const MAX_DEPTH: usize = 64;

/// What can go wrong with a module tree.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot use the module tree")]
    File(#[from] fs::Error),
    /// A directory could not be listed.
    #[error("cannot list {}", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// More files or deeper directories than a module tree has.
    #[error("{} is no module tree: it has too many files or levels", path.display())]
    TooMany {
        /// The tree.
        path: PathBuf,
    },
    /// A module could not be decompressed.
    #[error("cannot unpack the module {path}")]
    Decompress {
        /// Path in the tree.
        path: String,
        /// Why.
        source: compression::Error,
    },
    /// A file that should be a module is none.
    #[error("{path} is not a kernel module")]
    NotModule {
        /// Path in the tree.
        path: String,
    },
    /// A module needs another one that is neither in the tree nor built in.
    #[error("the module {module} needs {needs}, which is neither in the module tree nor built in")]
    Dependency {
        /// The module.
        module: String,
        /// What it needs.
        needs: String,
    },
    /// Modules that need each other in a longer chain than there can be.
    #[error("the module {module} is at the end of too long a chain of dependencies")]
    TooDeep {
        /// The module.
        module: String,
    },
    /// A module is for another kernel.
    #[error("the module {module} is for the kernel {found}, not for {expected}")]
    OtherKernel {
        /// The module.
        module: String,
        /// The release it was built for.
        found: String,
        /// The kernel's release.
        expected: String,
    },
}

impl Error {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(source) => source.hint(),
            Self::Decompress {
                source: compression::Error::Unsupported { .. },
                ..
            } => Some("unpack the modules, or use the distribution's package".to_owned()),
            Self::Dependency { .. } | Self::OtherKernel { .. } => {
                Some("give the kernel and the module tree of one and the same package".to_owned())
            }
            _ => None,
        }
    }
}

/// A module tree on disk, its modules read as they are asked for.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    /// Path in the tree by name.
    files: BTreeMap<String, String>,
    builtin: BTreeSet<String>,
    /// (alias, module) of what is built in.
    builtin_aliases: Vec<(String, String)>,
    /// (alias, module) as `modules.alias` has them, where that exists.
    aliases: Vec<(String, String)>,
}

impl Tree {
    /// The tree at `root`, the directory called after the release.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let mut paths = Vec::new();
        walk(root, root, 0, &mut paths)?;
        let list = |name| read_list(&root.join(name));
        Ok(Self {
            files: by_name(paths),
            builtin: list("modules.builtin")?
                .lines()
                .filter_map(|line| module_name(line.trim()))
                .collect(),
            builtin_aliases: builtin_aliases(&list("modules.builtin.modinfo")?),
            aliases: alias_lines(&list("modules.alias")?),
            root: root.to_owned(),
        })
    }

    /// Whether there is no module at all.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether the module is a file of the tree.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(&canonical(name))
    }

    /// Whether the tree says that the kernel has the module built in.
    pub fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(&canonical(name))
    }

    /// Whether the tree says anything about what is built in.
    pub fn knows_builtin(&self) -> bool {
        !self.builtin.is_empty()
    }

    /// Writes the files modprobe needs, unless they are there.
    pub fn complete(&mut self) -> Result<(), Error> {
        if self.root.join("modules.dep.bin").exists()
            && self.root.join("modules.alias.bin").exists()
        {
            return Ok(());
        }
        let infos = self.read_all()?;
        depmod::write(self, &infos)?;
        self.aliases = alias_lines(&read_list(&self.root.join("modules.alias"))?);
        Ok(())
    }

    /// Bytes and description of a module of the tree.
    fn read(&self, path: &str) -> Result<(Vec<u8>, ModInfo), Error> {
        let mut bytes = read_bounded(&self.root.join(path), MAX_MODULE)?;
        if let Some(format) = Format::of(&bytes) {
            bytes = format
                .decompress(&bytes, MAX_MODULE)
                .map_err(|source| Error::Decompress {
                    path: path.to_owned(),
                    source,
                })?;
        }
        let info = ModInfo::of(&bytes).ok_or_else(|| Error::NotModule {
            path: path.to_owned(),
        })?;
        Ok((bytes, info))
    }

    /// The descriptions of all modules by name, read by as many threads as there are processors:
    /// a distribution's modules are compressed.
    fn read_all(&self) -> Result<BTreeMap<String, ModInfo>, Error> {
        let files: Vec<_> = self.files.iter().collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let read = |(name, path): &(&String, &String)| {
            self.read(path).map(|(_, info)| ((*name).clone(), info))
        };
        std::thread::scope(|scope| {
            let share = files.len().div_ceil(threads).max(1);
            let workers: Vec<_> = files
                .chunks(share)
                .map(|part| {
                    scope.spawn(move || part.iter().map(read).collect::<Result<Vec<_>, _>>())
                })
                .collect();
            let mut all = BTreeMap::new();
            for worker in workers {
                let part = worker.join().expect("reading a module does not panic");
                all.extend(part?);
            }
            Ok(all)
        })
    }

    /// The module that should be loaded for an alias, none if the kernel has it built in or nobody
    /// offers it. Of several the plain one (`..._generic`) is taken: the others are for processors
    /// the guest may not have.
    fn provider(&self, alias: &str) -> Option<String> {
        if self.is_builtin(alias) || self.builtin_aliases.iter().any(|(name, _)| name == alias) {
            return None;
        }
        if self.has(alias) {
            return Some(canonical(alias));
        }
        let mut offers: Vec<_> = self
            .aliases
            .iter()
            .filter(|(name, module)| name == alias && self.has(module))
            .map(|(_, module)| canonical(module))
            .collect();
        offers.sort_by_key(|module| (!module.ends_with("_generic"), module.clone()));
        offers.into_iter().next()
    }
}

/// All files of modules below `directory`, by their path below `root`.
fn walk(root: &Path, directory: &Path, depth: usize, paths: &mut Vec<String>) -> Result<(), Error> {
    let failed = |source| Error::List {
        path: directory.to_owned(),
        source,
    };
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() && depth < MAX_DEPTH {
            walk(root, &entry.path(), depth + 1, paths)?;
        } else if kind.is_file()
            && let Some(path) = entry.path().strip_prefix(root).ok().and_then(Path::to_str)
            && module_name(path).is_some()
        {
            paths.push(path.to_owned());
        }
        if paths.len() > MAX_FILES {
            return Err(Error::TooMany {
                path: root.to_owned(),
            });
        }
    }
    Ok(())
}

/// Paths by module name; where two files have one name, `updates/` goes first, as for depmod.
fn by_name(mut paths: Vec<String>) -> BTreeMap<String, String> {
    paths.sort_by_key(|path| {
        (
            path.starts_with("updates/"),
            std::cmp::Reverse(path.clone()),
        )
    });
    paths
        .into_iter()
        .filter_map(|path| Some((module_name(&path)?, path)))
        .collect()
}

/// `virtio_rng` for `kernel/drivers/char/hw_random/virtio-rng.ko.xz`; none for other files, and for
/// names that would break the lists.
fn module_name(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    let stem = [".ko", ".ko.xz", ".ko.gz", ".ko.zst"]
        .iter()
        .find_map(|suffix| file.strip_suffix(suffix))?;
    let plain =
        |text: &str| !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == ':');
    (!stem.is_empty() && plain(path)).then(|| canonical(stem))
}

fn read_list(path: &Path) -> Result<String, Error> {
    match read_bounded(path, MAX_LIST) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.is_not_found() => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}

/// (alias, module) of `modules.builtin.modinfo`: `module.alias=value`, NULs between.
fn builtin_aliases(text: &str) -> Vec<(String, String)> {
    text.split('\0')
        .filter_map(|line| {
            let (key, alias) = line.split_once('=')?;
            let module = key.strip_suffix(".alias")?;
            (!alias.contains('\n')).then(|| (alias.to_owned(), canonical(module)))
        })
        .collect()
}

/// (alias, module) of `modules.alias`: `alias <pattern> <module>`.
fn alias_lines(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.strip_prefix("alias ")?.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod sample {
    use super::Path;
    use crate::kernel::elf::sample::module;

    /// Writes a tree with the modules a guest needs; `ext4` and what it needs are built in but for
    /// the checksum.
    pub fn tree(root: &Path) {
        let write = |path: &str, info: &str| {
            let path = root.join("kernel").join(path);
            std::fs::create_dir_all(path.parent().expect("below root")).expect("a directory");
            let info = format!("vermagic=6.1.0 SMP\0{info}\0");
            std::fs::write(path, module(info.as_bytes())).expect("a file");
        };
        write("drivers/virtio/virtio.ko", "depends=virtio_ring");
        write("drivers/virtio/virtio_ring.ko", "depends=");
        write(
            "drivers/virtio/virtio_mmio.ko",
            "depends=virtio,virtio_ring",
        );
        write(
            "block/virtio_blk.ko",
            "depends=virtio_ring,virtio\0alias=virtio:d00000002v*",
        );
        write("net/failover.ko", "depends=");
        write("net/net_failover.ko", "depends=failover");
        write(
            "net/virtio_net.ko",
            "depends=virtio_ring,virtio,net_failover",
        );
        write(
            "char/virtio_console.ko",
            "depends=virtio_ring,virtio\0alias=char-major-9-1\0alias=devname:vport",
        );
        write("char/virtio-rng.ko", "depends=virtio_ring,virtio");
        write("net/vsock.ko", "depends=");
        write(
            "net/vmw_vsock_virtio_transport.ko",
            "depends=virtio_ring,virtio,vsock",
        );
        write("crypto/crc32c-intel.ko", "alias=crypto-crc32c");
        write("crypto/crc32c_generic.ko", "alias=crypto-crc32c");
        write("fs/jbd2.ko", "depends=\0softdep=pre: crypto-crc32c");
        std::fs::write(root.join("modules.builtin"), "kernel/fs/ext4/ext4.ko\n").expect("a file");
        std::fs::write(root.join("modules.builtin.modinfo"), "ext4.alias=fs-ext4\0")
            .expect("a file");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_knows_its_modules_and_what_is_built_in() {
        let directory = tempfile::tempdir().expect("a directory");
        sample::tree(directory.path());
        let mut tree = Tree::open(directory.path()).expect("a tree");
        assert!(tree.has("virtio-rng") && tree.has("virtio_rng") && !tree.has("ext4"));
        assert!(tree.is_builtin("ext4") && tree.knows_builtin() && !tree.is_empty());
        assert_eq!(tree.provider("fs-ext4"), None);
        assert_eq!(tree.provider("crypto-crc32c"), None);
        tree.complete().expect("written");
        assert_eq!(
            tree.provider("crypto-crc32c"),
            Some("crc32c_generic".into())
        );
    }

    #[test]
    fn names_come_from_paths() {
        assert_eq!(
            module_name("kernel/a/virtio-rng.ko.zst"),
            Some("virtio_rng".into())
        );
        assert_eq!(module_name("updates/x.ko"), Some("x".into()));
        for path in [
            "modules.dep",
            "a b/x.ko",
            "x.ko.bak",
            ".ko",
            "a:/x.ko",
            "a\n/x.ko",
        ] {
            assert_eq!(module_name(path), None, "{path}");
        }
        let files = by_name(vec!["kernel/x.ko".into(), "updates/x.ko".into()]);
        assert_eq!(files["x"], "updates/x.ko");
    }
}
