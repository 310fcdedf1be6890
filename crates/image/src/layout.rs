//! Images in OCI layouts and in what `docker save` writes.

use std::path::{Path, PathBuf};

use ignite_api::Reference;
use serde::Deserialize;

use crate::container::{Container, ContainerError};
use crate::digest::Digest;
use crate::manifest::{
    Descriptor, Document, DocumentError, LARGEST_CONFIG, LARGEST_MANIFEST, Manifest, json,
};
use crate::platform;

/// Indexes in indexes.
const DEEPEST: usize = 4;
/// Names an image's tag in an index.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// containerd's annotation with the full name.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Errors of finding the image in a local file.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file could not be read.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// A document could not be read.
    #[error("cannot use the image in {}", path.display())]
    Document {
        /// The directory or archive.
        path: PathBuf,
        /// What is wrong.
        source: DocumentError,
    },
    /// A blob has other content than its name says.
    #[error("{} holds a blob with the digest {found} where {expected} should be", path.display())]
    WrongDigest {
        /// The directory or archive.
        path: PathBuf,
        /// Its name.
        expected: Digest,
        /// Its content.
        found: Digest,
    },
    /// No image of that name.
    #[error("{} holds no image {wanted:?}; it holds {}", path.display(), list(found))]
    UnknownName {
        /// The directory or archive.
        path: PathBuf,
        /// The tag or reference asked for.
        wanted: String,
        /// Those there are.
        found: Vec<String>,
    },
    /// Several images and no choice.
    #[error("{} holds several images: {}", path.display(), list(found))]
    Ambiguous {
        /// The directory or archive.
        path: PathBuf,
        /// Their names.
        found: Vec<String>,
    },
    /// None for this machine.
    #[error("the image is not there for {wanted}, only for {}", list(found))]
    Platform {
        /// What is needed.
        wanted: String,
        /// What there is.
        found: Vec<String>,
    },
}

impl LayoutError {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Container(ContainerError::Missing { path, member }) if path.is_dir() => {
                Some(match member.as_os_str() == "index.json" {
                    true => format!("for a root file system write dir:{}", path.display()),
                    false => "the layout is incomplete: copy the image again".into(),
                })
            }
            Self::Container(ContainerError::Missing { path, .. }) => Some(format!(
                "oci-archive: and docker-archive: are different formats; for a root file system write tar:{}",
                path.display()
            )),
            Self::UnknownName { .. } | Self::Ambiguous { .. } => {
                Some("write one of the names behind the path and a colon".into())
            }
            Self::WrongDigest { .. } => Some("the layout is damaged: copy the image again".into()),
            Self::Document { .. } | Self::Container(_) => None,
            Self::Platform { .. } => Some("build or choose an image for this machine".into()),
        }
    }
}

pub(crate) fn list(names: &[String]) -> String {
    if names.is_empty() {
        "nothing with a name".to_owned()
    } else {
        names.join(", ")
    }
}

/// An image found in an OCI layout.
#[derive(Debug)]
pub(crate) struct Found {
    pub digest: Digest,
    pub manifest: Manifest,
    /// A full name, if the layout has one.
    pub name: Option<String>,
}

/// Where a blob is in a layout.
pub(crate) fn blob(digest: &Digest) -> PathBuf {
    Path::new("blobs/sha256").join(digest.hex())
}

/// A small blob, checked.
pub(crate) fn read_blob(
    container: &Container,
    descriptor: &Descriptor,
    max: u64,
) -> Result<Vec<u8>, LayoutError> {
    let bytes = container.read(&blob(&descriptor.digest), max)?;
    let found = Digest::of(&bytes);
    if found != descriptor.digest {
        let path = container.path().to_owned();
        return Err(LayoutError::WrongDigest {
            path,
            expected: descriptor.digest,
            found,
        });
    }
    Ok(bytes)
}

/// The image `tag` of an OCI layout for this machine; the only one where no tag is given.
pub(crate) fn find(container: &Container, tag: Option<&str>) -> Result<Found, LayoutError> {
    let document = |source| LayoutError::Document {
        path: container.path().to_owned(),
        source,
    };
    let bytes = container.read(Path::new("index.json"), LARGEST_MANIFEST)?;
    let Document::Index(manifests) = Document::parse(&bytes).map_err(document)? else {
        return Err(document(DocumentError::NotAnImage {
            media_type: "manifest as index.json".into(),
        }));
    };
    let mut descriptor = by_tag(container, &manifests, tag)?;
    let name = descriptor.annotations.get(CONTAINERD_NAME).cloned();
    for _ in 0..DEEPEST {
        let bytes = read_blob(container, &descriptor, LARGEST_MANIFEST)?;
        match Document::parse(&bytes).map_err(document)? {
            Document::Manifest(manifest) => {
                return Ok(Found {
                    digest: descriptor.digest,
                    manifest,
                    name,
                });
            }
            Document::Index(manifests) => descriptor = for_here(&manifests)?.clone(),
        }
    }
    Err(document(DocumentError::NotAnImage {
        media_type: "index of indexes of indexes".into(),
    }))
}

/// The manifest for this machine.
pub(crate) fn for_here(manifests: &[Descriptor]) -> Result<&Descriptor, LayoutError> {
    let wanted = platform::host();
    platform::choose(manifests, &wanted).ok_or_else(|| LayoutError::Platform {
        wanted: wanted.to_string(),
        found: platform::names(manifests),
    })
}

fn by_tag(
    container: &Container,
    manifests: &[Descriptor],
    tag: Option<&str>,
) -> Result<Descriptor, LayoutError> {
    let names = |descriptor: &Descriptor| -> Vec<String> {
        [REF_NAME, CONTAINERD_NAME]
            .iter()
            .filter_map(|key| descriptor.annotations.get(*key).cloned())
            .collect()
    };
    let found = || {
        manifests
            .iter()
            .filter_map(|one| names(one).into_iter().next())
            .collect()
    };
    let path = || container.path().to_owned();
    if let Some(tag) = tag {
        let mut fitting = manifests
            .iter()
            .filter(|one| names(one).iter().any(|name| name == tag));
        let wanted = tag.to_owned();
        let first = fitting.next();
        let first = first.ok_or_else(|| LayoutError::UnknownName {
            path: path(),
            wanted,
            found: found(),
        })?;
        // The same tag for several platforms is an index spread out.
        return match fitting.next() {
            None => Ok(first.clone()),
            Some(_) => {
                let same: Vec<_> = manifests
                    .iter()
                    .filter(|one| names(one).iter().any(|name| name == tag))
                    .cloned()
                    .collect();
                for_here(&same).cloned()
            }
        };
    }
    match manifests {
        [] => Err(LayoutError::UnknownName {
            path: path(),
            wanted: String::new(),
            found: Vec::new(),
        }),
        [only] => Ok(only.clone()),
        several
            if several
                .iter()
                .all(|one| names(one).is_empty() && one.platform.is_some()) =>
        {
            for_here(several).cloned()
        }
        _ => Err(LayoutError::Ambiguous {
            path: path(),
            found: found(),
        }),
    }
}

/// One image of what `docker save` writes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Saved {
    config: PathBuf,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    pub layers: Vec<PathBuf>,
    /// The configuration itself.
    #[serde(skip)]
    pub document: Vec<u8>,
}

impl Saved {
    /// The image `wanted` of an archive; the only one where none is named.
    pub fn find(container: &Container, wanted: Option<&str>) -> Result<Self, LayoutError> {
        let path = || container.path().to_owned();
        let document = |source| LayoutError::Document {
            path: path(),
            source,
        };
        let bytes = container.read(Path::new("manifest.json"), LARGEST_MANIFEST)?;
        let mut images: Vec<Self> = json("manifest.json", &bytes).map_err(document)?;
        let found: Vec<String> = images.iter().flat_map(Self::names).collect();
        if let Some(wanted) = wanted {
            images.retain(|image| image.is_named(wanted));
            images.truncate(1);
        }
        let mut image = match (images.pop(), images.is_empty()) {
            (Some(image), true) => image,
            (Some(_), false) => {
                return Err(LayoutError::Ambiguous {
                    path: path(),
                    found,
                });
            }
            (None, _) => {
                let wanted = wanted.unwrap_or_default().to_owned();
                return Err(LayoutError::UnknownName {
                    path: path(),
                    wanted,
                    found,
                });
            }
        };
        image.document = container.read(&image.config, LARGEST_CONFIG)?;
        Ok(image)
    }

    /// The references it was saved by, in familiar form.
    pub fn names(&self) -> Vec<String> {
        let parsed = self
            .repo_tags
            .iter()
            .flatten()
            .filter_map(|name| name.parse::<Reference>().ok());
        parsed.map(|reference| reference.familiar()).collect()
    }

    fn is_named(&self, wanted: &str) -> bool {
        let wanted = wanted
            .parse::<Reference>()
            .map(|reference| reference.familiar());
        wanted.is_ok_and(|wanted| self.names().contains(&wanted))
    }
}
