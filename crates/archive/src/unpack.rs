//! A tar stream as a file or tree, where a person said it should be.
//!
//! | the source is | `DESTINATION` is | the result is |
//! |---|---|---|
//! | a file | a directory | `DESTINATION/NAME` |
//! | a file | a file, or nothing | `DESTINATION` |
//! | a directory | a directory of another name | `DESTINATION/NAME` |
//! | a directory | a directory of the same name, or nothing | `DESTINATION` |
//! | what is in a directory (`/.`) | a directory, or nothing | in `DESTINATION` |
//! | a directory | a file | an error |

use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io::{self, BufRead, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ignite_host::fs::{self, RootDir};

use crate::error::EntryError;
use crate::extract::{Applied, Extractor};
use crate::path::clean;
use crate::policy::Policy;
use crate::read::{Entries, Entry, Kind, TarError};

/// What was unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Entries applied.
    pub entries: u64,
    /// Bytes of files written.
    pub bytes: u64,
}

/// Where an archive goes.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// What the person said.
    pub destination: &'a Path,
    /// The only name that may come, or `.`; any where the sender is trusted with what is sent.
    pub expected: Option<&'a [u8]>,
    /// Whether links lead as they do in the whole file system; else they stay below what is unpacked.
    pub whole: bool,
    /// What entries may set.
    pub policy: Policy,
}

/// Why an archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archive itself.
    #[error("what came is no archive that can be read")]
    Tar(#[from] TarError),
    /// Nothing is in it.
    #[error("nothing came")]
    Empty,
    /// It holds what was not asked for.
    #[error("{entry:?} came, which was not asked for")]
    Unexpected {
        /// The entry.
        entry: PathBuf,
    },
    /// One entry.
    #[error("cannot write {entry:?}")]
    Entry {
        /// Its path in the archive.
        entry: PathBuf,
        /// What is wrong.
        source: EntryError,
    },
    /// The destination's directory is not there.
    #[error("there is no directory {}", path.display())]
    NoDirectory {
        /// Where it should be.
        path: PathBuf,
    },
    /// A directory would have to take the place of a file.
    #[error("{} is not a directory", path.display())]
    NotDirectory {
        /// What is there.
        path: PathBuf,
    },
    /// A link is where the sender's tree or file belongs: it may be of the sender's own making.
    #[error("{} is a symbolic link", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// The destination cannot be used.
    #[error("cannot use {}", path.display())]
    Destination {
        /// The destination.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The same, by a call below a root.
    #[error(transparent)]
    Tree(#[from] fs::Error),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoDirectory { .. } => {
                Some("make it first, or name a directory that is there".into())
            }
            Self::NotDirectory { .. } => {
                Some("remove it first, or choose another destination".into())
            }
            Self::Link { .. } => Some(
                "remove it, or name what it leads to (a directory also with a slash behind the link): a link may have come from a VM, with an earlier copy"
                    .into(),
            ),
            Self::Unexpected { .. } => {
                Some("the sender does not keep to what was asked of it".into())
            }
            Self::Entry { source, .. } => source.hint().or_else(|| {
                let rule = "names and hard links in an archive stay below where it is unpacked: make it again so, or do not trust its sender";
                source.is_dishonest().then(|| rule.into())
            }),
            Self::Destination { source, .. } => ignite_host::error::hint(source),
            Self::Tree(source) => source.hint(),
            Self::Tar(_) => Some(
                "send a plain tar archive, unpacked (gzip -d, xz -d), and all of it; what came is not that"
                    .into(),
            ),
            Self::Empty => Some("see whether the sender ended before its time".into()),
        }
    }

    /// Whether there is no room for what came.
    pub fn is_no_room(&self) -> bool {
        let io = match self {
            Self::Entry { source, .. } => source.io(),
            Self::Destination { source, .. } => Some(source),
            Self::Tree(fs::Error::Io { source, .. }) => Some(source),
            _ => None,
        };
        io.is_some_and(|io| matches!(io.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
    }
}

/// Unpacks one file or tree into its place. `tell` hears of what is left out.
pub fn unpack(
    reader: impl BufRead,
    place: &Place<'_>,
    tell: &mut dyn FnMut(&str),
) -> Result<Unpacked, Error> {
    let mut entries = Entries::new(reader);
    let first = entries.next_entry()?.ok_or(Error::Empty)?;
    let top = top(&first)?;
    let unexpected = || Error::Unexpected {
        entry: first.path.clone(),
    };
    let name = if top.as_os_str().is_empty() {
        OsStr::new(".")
    } else {
        top.as_os_str()
    };
    if top.iter().count() > 1
        || place
            .expected
            .is_some_and(|wanted| wanted != name.as_bytes())
    {
        return Err(unexpected());
    }
    let mut work = match first.kind {
        Kind::Directory => tree(place, &top)?,
        _ if top.as_os_str().is_empty() => return Err(unexpected()),
        // To whatever is there already, and not in what comes.
        Kind::HardLink(_) => return Err(unexpected()),
        _ => single(place, &top)?,
    };
    work.entry(&first, &mut entries, tell)?;
    while let Some(entry) = entries.next_entry()? {
        if !work.is_tree {
            return Err(Error::Unexpected { entry: entry.path });
        }
        work.entry(&entry, &mut entries, tell)?;
    }
    work.finish()
}

/// Unpacks any archive into the directory `base` of `root`.
pub fn unpack_into(
    reader: impl BufRead,
    root: RootDir,
    base: &Path,
    policy: Policy,
    tell: &mut dyn FnMut(&str),
) -> Result<Unpacked, Error> {
    let mut entries = Entries::new(reader);
    let mut work = Work {
        extractor: Extractor::new(root, base, policy),
        prefix: PathBuf::new(),
        rename: None,
        is_tree: true,
        made: false,
        done: Unpacked::default(),
    };
    while let Some(entry) = entries.next_entry()? {
        work.entry(&entry, &mut entries, tell)?;
    }
    work.finish()
}

struct Work {
    extractor: Extractor,
    /// What every path of the archive begins with.
    prefix: PathBuf,
    /// The name of the only file.
    rename: Option<OsString>,
    is_tree: bool,
    /// Whether the tree's directory was made for it.
    made: bool,
    done: Unpacked,
}

impl Work {
    fn entry<R: BufRead>(
        &mut self,
        entry: &Entry,
        entries: &mut Entries<R>,
        tell: &mut dyn FnMut(&str),
    ) -> Result<(), Error> {
        let failed = |source| Error::Entry {
            entry: entry.path.clone(),
            source,
        };
        let moved = self
            .moved(entry)
            .map_err(failed)?
            .ok_or_else(|| Error::Unexpected {
                entry: entry.path.clone(),
            })?;
        self.done.entries += 1;
        if moved.path.as_os_str().is_empty() {
            if self.made && moved.kind == Kind::Directory {
                self.extractor.dress_base(&moved).map_err(failed)?;
            }
            return Ok(());
        }
        let bytes = &mut self.done.bytes;
        let mut account = |length| {
            *bytes += length;
            Ok(())
        };
        let applied = self.extractor.apply(&moved, entries.data(), &mut account);
        if let Applied::Left(why) = applied.map_err(failed)? {
            tell(&format!("{:?}: left out: {why}", entry.path));
        }
        Ok(())
    }

    /// The entry by its path in its place; none if it belongs to something else.
    fn moved(&self, entry: &Entry) -> Result<Option<Entry>, EntryError> {
        let mut moved = entry.clone();
        if let Some(name) = &self.rename {
            moved.path = name.into();
            return Ok(Some(moved));
        }
        let path = clean(&entry.path)?;
        let Ok(rest) = path.strip_prefix(&self.prefix) else {
            return Ok(None);
        };
        moved.path = rest.to_owned();
        if let Kind::HardLink(target) = &entry.kind {
            let outside = |_| EntryError::HardLinkOutside {
                target: target.clone(),
            };
            let clean = clean(target).map_err(outside)?;
            let Ok(rest) = clean.strip_prefix(&self.prefix) else {
                return Err(EntryError::HardLinkOutside {
                    target: target.clone(),
                });
            };
            moved.kind = Kind::HardLink(rest.to_owned());
        }
        Ok(Some(moved))
    }

    fn finish(self) -> Result<Unpacked, Error> {
        self.extractor.finish()?;
        Ok(self.done)
    }
}

/// The name everything is under.
fn top(first: &Entry) -> Result<PathBuf, Error> {
    clean(&first.path).map_err(|source| Error::Entry {
        entry: first.path.clone(),
        source,
    })
}

/// A tree: into the destination, or below it.
fn tree(place: &Place<'_>, top: &Path) -> Result<Work, Error> {
    let destination = place.destination;
    no_link(place, destination)?;
    let (target, made) = match look(destination)? {
        Some(there) if !there.is_dir() => {
            return Err(Error::NotDirectory {
                path: destination.to_owned(),
            });
        }
        Some(_) if top.as_os_str().is_empty() || own_name(destination) == top.as_os_str() => {
            (destination.to_owned(), false)
        }
        Some(_) => {
            let target = destination.join(top);
            no_link(place, &target)?;
            let made = make_directory(&target)?;
            (target, made)
        }
        None => (destination.to_owned(), make_directory(destination)?),
    };
    let (root, base) = if place.whole {
        let whole = std::fs::canonicalize(&target).map_err(failed(&target))?;
        let base = whole.strip_prefix("/").unwrap_or(&whole).to_owned();
        (RootDir::open(Path::new("/"))?, base)
    } else {
        // Looked at above, and perhaps another's since.
        (RootDir::open_no_link(&target)?, PathBuf::new())
    };
    Ok(Work {
        extractor: Extractor::new(root, &base, place.policy),
        prefix: top.to_owned(),
        rename: None,
        is_tree: true,
        made,
        done: Unpacked::default(),
    })
}

/// A file: as the destination, or in it.
fn single(place: &Place<'_>, top: &Path) -> Result<Work, Error> {
    let destination = place.destination;
    let slash = destination.as_os_str().as_bytes().ends_with(b"/");
    no_link(place, destination)?;
    let target = match look(destination)? {
        Some(there) if there.is_dir() => destination.join(top),
        Some(_) if slash => {
            return Err(Error::NotDirectory {
                path: destination.to_owned(),
            });
        }
        // What a link leads to is replaced, not the link.
        Some(_) => std::fs::canonicalize(destination).map_err(failed(destination))?,
        None if slash => {
            return Err(Error::NoDirectory {
                path: destination.to_owned(),
            });
        }
        None => destination.to_owned(),
    };
    let name = target.file_name().ok_or_else(|| Error::NoDirectory {
        path: destination.to_owned(),
    })?;
    let parent = directory_of(&target)?;
    // The destination itself was looked at above, and may be another's since; what is above it is not
    // the sender's.
    let root = if parent == destination && !place.whole {
        RootDir::open_no_link(destination)?
    } else {
        RootDir::open(&parent)?
    };
    Ok(Work {
        extractor: Extractor::new(root, Path::new(""), place.policy),
        prefix: PathBuf::new(),
        rename: Some(name.to_owned()),
        is_tree: false,
        made: false,
        done: Unpacked::default(),
    })
}

/// Refuses a link, which leads where whoever made it wants, where the sender is not trusted. One that a
/// person wrote with a slash behind it is meant.
fn no_link(place: &Place<'_>, path: &Path) -> Result<(), Error> {
    let bytes = path.as_os_str().as_bytes();
    if place.whole || bytes.ends_with(b"/") || bytes.ends_with(b"/.") {
        return Ok(());
    }
    match std::fs::symlink_metadata(path) {
        Ok(there) if there.is_symlink() => Err(Error::Link {
            path: path.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Makes the directory of a tree, which nobody else may enter until it has its mode; whether it was
/// not there.
fn make_directory(path: &Path) -> Result<bool, Error> {
    use std::os::unix::fs::DirBuilderExt;
    directory_of(path)?;
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if look(path)?.is_some_and(|there| there.is_dir()) {
                return Ok(false);
            }
            Err(Error::NotDirectory {
                path: path.to_owned(),
            })
        }
        Err(error) => Err(failed(path)(error)),
    }
}

/// The directory that `path` is in, which must be there.
fn directory_of(path: &Path) -> Result<PathBuf, Error> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    match look(parent)? {
        Some(there) if there.is_dir() => Ok(parent.to_owned()),
        _ => Err(Error::NoDirectory {
            path: parent.to_owned(),
        }),
    }
}

/// The name a directory has itself, however it was named.
fn own_name(path: &Path) -> OsString {
    let whole = std::fs::canonicalize(path).unwrap_or_default();
    whole.file_name().unwrap_or_default().to_owned()
}

/// What on the way to `path` should be a directory, and is none.
fn file_on_the_way(path: &Path) -> &Path {
    let mut ways = path.components().as_path().ancestors();
    ways.find(|way| std::fs::metadata(way).is_ok_and(|it| !it.is_dir()))
        .unwrap_or(path)
}

fn look(path: &Path) -> Result<Option<Metadata>, Error> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotADirectory => Err(Error::NotDirectory {
            path: file_on_the_way(path).to_owned(),
        }),
        Err(error) => Err(failed(path)(error)),
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Destination {
        path: path.clone(),
        source,
    }
}
