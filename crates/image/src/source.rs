//! Where an image comes from, as people write it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ignite_api::{Reference, ReferenceError};

/// A place an image is imported from.
///
/// ```text
/// debian:12                     a reference in a registry, normalised as Docker does
/// oci:DIR[:TAG]                 an OCI image layout
/// oci-archive:FILE[:TAG]        the same as a tar file, packed or not
/// docker-archive:FILE[:REF]     what `docker save` writes
/// tar:FILE                      a tar of the root file system, packed or not
/// dir:PATH                      a directory that is the root file system
/// ```
/// As with other tools, a path in front of a tag cannot hold a colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A registry.
    Registry(Reference),
    /// An OCI image layout.
    OciDirectory(PathBuf, Option<String>),
    /// An OCI image layout in a tar file.
    OciArchive(PathBuf, Option<String>),
    /// What `docker save` writes.
    DockerArchive(PathBuf, Option<String>),
    /// A tar of a root file system.
    Tar(PathBuf),
    /// A directory that is a root file system.
    Directory(PathBuf),
}

/// Text that names no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Neither a scheme nor a reference.
    #[error("{text:?} names no image")]
    Reference {
        /// The text.
        text: String,
        /// Why it is no reference.
        source: ReferenceError,
    },
    /// A scheme with nothing behind it.
    #[error("{text:?} names no file")]
    NoPath {
        /// The text.
        text: String,
    },
}

impl SourceError {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoPath { .. } => {
                Some("write the path behind the colon, like tar:./rootfs.tar".into())
            }
            Self::Reference { text, .. } if Path::new(text).is_dir() => Some(format!(
                "for a directory write dir:{text}, or oci:{text} if it is an OCI layout"
            )),
            Self::Reference { text, .. } if text.contains(".tar") || Path::new(text).exists() => {
                Some(format!(
                    "for a file write tar:{text}, oci-archive:{text} or docker-archive:{text}"
                ))
            }
            Self::Reference { source, .. } => source.hint(),
        }
    }
}

impl Source {
    /// Reads what a person wrote. Whether it is there is not looked at.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return reference(text);
        };
        let no_path = || SourceError::NoPath {
            text: text.to_owned(),
        };
        let path = || {
            Some(rest)
                .filter(|rest| !rest.is_empty())
                .map(PathBuf::from)
                .ok_or_else(no_path)
        };
        let path_and_tag = || {
            let (path, tag) = rest.split_once(':').unwrap_or((rest, ""));
            let tag = Some(tag).filter(|tag| !tag.is_empty()).map(str::to_owned);
            if path.is_empty() {
                Err(no_path())
            } else {
                Ok((PathBuf::from(path), tag))
            }
        };
        match scheme {
            "oci" => path_and_tag().map(|(path, tag)| Self::OciDirectory(path, tag)),
            "oci-archive" => path_and_tag().map(|(path, tag)| Self::OciArchive(path, tag)),
            "docker-archive" => path_and_tag().map(|(path, tag)| Self::DockerArchive(path, tag)),
            "tar" => path().map(Self::Tar),
            "dir" => path().map(Self::Directory),
            _ => reference(text),
        }
    }

    /// A name for the image where it brings none: `rootfs:latest` for `tar:/srv/RootFS.tar.gz`.
    pub(crate) fn default_name(&self) -> String {
        match self {
            Self::Registry(reference) => reference.familiar(),
            Self::OciDirectory(path, tag) | Self::OciArchive(path, tag) => {
                name(path, tag.as_deref())
            }
            Self::DockerArchive(path, reference) => match reference.as_deref().map(str::parse) {
                Some(Ok(reference)) => Reference::familiar(&reference),
                _ => name(path, None),
            },
            Self::Tar(path) | Self::Directory(path) => name(path, None),
        }
    }
}

fn reference(text: &str) -> Result<Source, SourceError> {
    let error = |source| SourceError::Reference {
        text: text.to_owned(),
        source,
    };
    text.parse().map(Source::Registry).map_err(error)
}

/// A valid name from a file's: lower case, and nothing but letters, digits and single dashes.
fn name(path: &Path, tag: Option<&str>) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let stem = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let stem = stem.split(".tar").next().unwrap_or_default();
    let words = stem
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let repository = words.collect::<Vec<_>>().join("-");
    let repository = if repository.is_empty() {
        "image".to_owned()
    } else {
        repository
    };
    let named = format!("{repository}:{}", tag.unwrap_or("latest"));
    match named.parse::<Reference>() {
        Ok(reference) => reference.familiar(),
        Err(_) => format!("{repository}:latest"),
    }
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        Self::parse(text)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut local = |scheme: &str, path: &Path, tag: &Option<String>| {
            write!(f, "{scheme}:{}", path.display())?;
            tag.iter().try_for_each(|tag| write!(f, ":{tag}"))
        };
        match self {
            Self::OciDirectory(path, tag) => local("oci", path, tag),
            Self::OciArchive(path, tag) => local("oci-archive", path, tag),
            Self::DockerArchive(path, tag) => local("docker-archive", path, tag),
            Self::Tar(path) => local("tar", path, &None),
            Self::Directory(path) => local("dir", path, &None),
            // A repository may be called like a scheme; in full it is not taken for one.
            Self::Registry(reference) => match Self::parse(&reference.familiar()) {
                Ok(Self::Registry(_)) => f.write_str(&reference.familiar()),
                _ => f.write_str(&reference.canonical()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_and_writes_it_back() {
        for text in [
            "debian:12",
            "localhost:5000/team/app:1",
            "oci:/srv/layout",
            "oci:/srv/layout:v1",
            "oci-archive:a.tar:v1",
            "docker-archive:a.tar:team/app:v1",
            "tar:/srv/a:b.tar.gz",
            "dir:.",
        ] {
            assert_eq!(Source::parse(text).expect(text).to_string(), text);
        }
        let expected = Source::DockerArchive("a.tar".into(), Some("team/app:v1".into()));
        assert_eq!(
            Source::parse("docker-archive:a.tar:team/app:v1"),
            Ok(expected)
        );
        assert_eq!(
            Source::parse("oci:x:"),
            Ok(Source::OciDirectory("x".into(), None))
        );
    }

    #[test]
    fn a_repository_called_like_a_scheme_stays_one() {
        let shown = Source::parse("oci").expect("a reference").to_string();
        assert_eq!(shown, "docker.io/library/oci:latest");
        assert_eq!(Source::parse(&shown), Source::parse("oci"));
    }

    #[test]
    fn refuses_what_names_nothing() {
        for text in ["", "tar:", "oci::tag", "./rootfs.tar", "a/UPPER"] {
            let error = Source::parse(text).expect_err(text);
            assert!(error.hint().is_some(), "{text}");
        }
        let error = Source::parse("./rootfs.tar").expect_err("no reference");
        assert!(
            error
                .hint()
                .is_some_and(|hint| hint.contains("tar:./rootfs.tar"))
        );
    }

    #[test]
    fn names_what_has_no_name() {
        let named = |text: &str| Source::parse(text).expect(text).default_name();
        assert_eq!(named("tar:/srv/My Root_fs.tar.gz"), "my-root-fs:latest");
        assert_eq!(named("oci:/srv/layout:v1"), "layout:v1");
        assert_eq!(named("dir:/"), "image:latest");
        assert_eq!(named("docker-archive:x.tar:docker.io/library/a:b"), "a:b");
        assert_eq!(named("debian"), "debian:latest");
    }
}
