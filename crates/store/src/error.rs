//! What can go wrong with state on disk.

use std::path::PathBuf;

use ignite_api::{Kind, Uid};

/// Errors of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the state could not be read or written.
    #[error("cannot work with the state of ignite")]
    File(#[from] ignite_host::fs::Error),
    /// A directory of the state could not be made, listed, moved or removed.
    #[error("cannot {action} {}", path.display())]
    Directory {
        /// What was attempted, to be read between "cannot" and the path.
        action: &'static str,
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// A record is not what its name says.
    #[error("the record {} cannot be understood", path.display())]
    Corrupt {
        /// The record.
        path: PathBuf,
        /// What the parser found.
        source: serde_json::Error,
    },
    /// Nothing has that uid or name.
    #[error("there is no {} {text:?}", noun(*kind))]
    NotFound {
        /// Kind looked for.
        kind: Kind,
        /// The text given.
        text: String,
    },
    /// More than one begins with that text.
    #[error("{text:?} is the beginning of more than one {}: {}", noun(*kind), matches.join(", "))]
    Ambiguous {
        /// Kind looked for.
        kind: Kind,
        /// The text given.
        text: String,
        /// Those it could be, by name (or uid) in order.
        matches: Vec<String>,
    },
    /// Nothing was given to look for.
    #[error("no {} is named", noun(*kind))]
    Nothing {
        /// Kind looked for.
        kind: Kind,
    },
    /// Another object has the name.
    #[error("the name {name:?} is taken by the {} {uid}", noun(*kind))]
    NameTaken {
        /// Kind of both.
        kind: Kind,
        /// The name.
        name: String,
        /// The one that has it.
        uid: Uid,
    },
    /// Another object has the uid.
    #[error("the uid {uid} is taken by another {}", noun(*kind))]
    UidTaken {
        /// Kind of both.
        kind: Kind,
        /// The uid.
        uid: Uid,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Directory { source, .. } => match source.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    Some("run this as root, or with sudo".into())
                }
                std::io::ErrorKind::StorageFull => {
                    Some("free some space on that file system, then try again".into())
                }
                _ => None,
            },
            Self::Corrupt { path, .. } => Some(format!(
                "nothing else depends on it: put a good copy in its place, or remove its directory {}",
                path.parent().unwrap_or(path).display()
            )),
            Self::NotFound { kind, .. } | Self::Nothing { kind } => {
                Some(format!("see what there is with: ignite {}", list(*kind)))
            }
            Self::Ambiguous { .. } => Some("give more of it, or the whole name or uid".into()),
            Self::NameTaken {
                kind: Kind::Vm,
                name,
                ..
            } => Some(format!(
                "choose another name, or remove that VM with: ignite rm {name}"
            )),
            Self::NameTaken { .. } | Self::UidTaken { .. } => None,
        }
    }

    /// Whether it says that there is no such object (any more).
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether it is a matter of permissions: then it is the same with every other object.
    pub(crate) fn is_permission_denied(&self) -> bool {
        let kind = match self {
            Self::File(error) => error.kind(),
            Self::Directory { source, .. } => source.kind(),
            _ => return false,
        };
        kind == std::io::ErrorKind::PermissionDenied
    }

    pub(crate) fn directory(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Directory {
            action,
            path,
            source,
        }
    }
}

/// How a kind is called in a sentence.
pub(crate) fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Vm => "VM",
        Kind::Image => "image",
        Kind::Kernel => "kernel",
        Kind::Configuration => "configuration",
    }
}

fn list(kind: Kind) -> &'static str {
    match kind {
        Kind::Vm | Kind::Configuration => "ps --all",
        Kind::Image => "image ls",
        Kind::Kernel => "kernel ls",
    }
}
