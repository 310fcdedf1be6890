//! What can go wrong with an import.

use std::io;
use std::path::PathBuf;

use ignite_host::fs;

use crate::container::ContainerError;
use crate::layout::LayoutError;
use crate::manifest::DocumentError;
use crate::{ext4, layer, registry};

/// Errors of an import.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registry.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The local layout or archive.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A layer.
    #[error(transparent)]
    Layer(#[from] layer::Error),
    /// The file system.
    #[error(transparent)]
    Ext4(#[from] ext4::Error),
    /// The directories of work in progress.
    #[error("cannot prepare the import")]
    Staging(#[from] fs::Error),
    /// A local file or directory.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file of another kind.
    #[error("{} is not {expected}", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// The configuration of the image.
    #[error("cannot use the image {image}")]
    Document {
        /// The source.
        image: String,
        /// What is wrong.
        source: DocumentError,
    },
    /// Built for another machine.
    #[error("the image {image} is for {found}, not for {wanted}")]
    Platform {
        /// The source.
        image: String,
        /// What the image is for.
        found: String,
        /// What guests here are.
        wanted: String,
    },
    /// The caller called it off.
    #[error("interrupted")]
    Cancelled,
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(source) => source.hint(),
            Self::Layout(source) => source.hint(),
            Self::Layer(source) => source.hint(),
            Self::Ext4(source) => source.hint(),
            Self::Staging(source) => source.hint(),
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("check the path".into())
            }
            Self::Kind { path, .. } if path.is_dir() => Some(format!(
                "for a directory write dir:{0} or oci:{0}",
                path.display()
            )),
            Self::Kind { path, .. } => Some(format!(
                "for a file write tar:{0}, oci-archive:{0} or docker-archive:{0}",
                path.display()
            )),
            Self::Platform { .. } => Some("build or choose an image for this machine".into()),
            Self::Read { .. } | Self::Document { .. } | Self::Cancelled => None,
        }
    }

    /// Whether the caller called it off.
    pub fn is_cancelled(&self) -> bool {
        let registry = matches!(self, Self::Registry(registry::Error::Cancelled));
        let layer = matches!(self, Self::Layer(layer::Error::Cancelled));
        registry || layer || matches!(self, Self::Cancelled)
    }
}

impl From<ContainerError> for Error {
    fn from(source: ContainerError) -> Self {
        Self::Layout(source.into())
    }
}
