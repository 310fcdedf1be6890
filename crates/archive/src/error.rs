//! Why an entry of an archive cannot be taken.

use std::io;
use std::path::PathBuf;

use ignite_host::fs;

/// Why one entry cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// `/etc/passwd`.
    #[error("the path is absolute")]
    Absolute,
    /// `../x`.
    #[error("the path goes up with `..`")]
    ParentDirectory,
    /// A NUL cannot be in a file name.
    #[error("the path holds a zero byte")]
    ZeroByte,
    /// Longer or deeper than a file system takes.
    #[error("the path is too long")]
    TooLong,
    /// `.wh...`.
    #[error("the whiteout names no file")]
    Whiteout,
    /// A symbolic link on the way points out of the tree.
    #[error(
        "its path goes through the symbolic link {link:?}, which leads out of the tree to {target:?}"
    )]
    LinkLeaves {
        /// The link.
        link: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// Symbolic links on the way lead in a circle.
    #[error("its path goes through too many symbolic links")]
    LinkLoop,
    /// Something on the way is a file.
    #[error("{0:?} on its path is not a directory")]
    NotDirectory(PathBuf),
    /// The target of a hard link breaks the rules of paths.
    #[error("it is a hard link out of the tree, to {target:?}")]
    HardLinkOutside {
        /// As the archive has it.
        target: PathBuf,
    },
    /// The target of a hard link is not there.
    #[error("it is a hard link to {target:?}, which is not in the tree")]
    HardLinkMissing {
        /// As the archive has it.
        target: PathBuf,
    },
    /// A directory is where something else should be, or the other way round.
    #[error("{0:?} is a directory already, and would have to be something else")]
    IsDirectory(PathBuf),
    /// A device, socket or pipe is where something else should be: whoever uses it means no file.
    #[error("{0:?} is a device, a socket or a named pipe, which nothing replaces")]
    IsSpecial(PathBuf),
    /// The data ends early.
    #[error("its data ends too early")]
    Cut,
    /// The archive cannot be read on.
    #[error("cannot read its data")]
    Read(#[source] io::Error),
    /// The file could not be written.
    #[error("cannot write it")]
    Write(#[source] io::Error),
    /// The file could not be made.
    #[error(transparent)]
    Tree(#[from] fs::Error),
}

impl EntryError {
    /// What is to be done, where the entry itself is not to blame.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Tree(source) => source.hint(),
            Self::Write(source) => ignite_host::error::hint(source),
            Self::IsDirectory(_) | Self::IsSpecial(_) => {
                Some("remove it first, or choose another destination".into())
            }
            _ => None,
        }
    }

    /// Whether no honest archive holds such an entry.
    pub fn is_dishonest(&self) -> bool {
        !matches!(
            self,
            Self::Tree(_)
                | Self::Write(_)
                | Self::Read(_)
                | Self::Cut
                | Self::IsDirectory(_)
                | Self::IsSpecial(_)
        )
    }

    /// The kernel's answer, where it is one.
    pub fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Write(source) | Self::Tree(fs::Error::Io { source, .. }) => Some(source),
            _ => None,
        }
    }
}
