//! References to OCI images, normalised as Docker does.
//!
//! ```text
//! alpine                     -> docker.io/library/alpine:latest
//! weaveworks/ignite-ubuntu   -> docker.io/weaveworks/ignite-ubuntu:latest
//! localhost:5000/a@sha256:…  -> as it is: a digest needs no tag
//! ```
//! Grammar and length limits are those of the distribution project's `reference` package.

use std::fmt;
use std::str::FromStr;

use crate::text::serde_as_text;

const DEFAULT_REGISTRY: &str = "docker.io";
const LEGACY_REGISTRY: &str = "index.docker.io";
const DEFAULT_NAMESPACE: &str = "library/";
const DEFAULT_TAG: &str = "latest";
/// Longest `registry/repository`.
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

/// A reference to an image in a registry; always holds a tag, a digest, or both.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// Text that is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing there.
    #[error("an image reference is empty")]
    Empty,
    /// The registry is no host name.
    #[error("{part:?} in the image reference {text:?} is not a registry")]
    Registry {
        /// The text given.
        text: String,
        /// The part at fault.
        part: String,
    },
    /// The repository has an upper-case letter.
    #[error("the repository of the image reference {text:?} is not in lower case")]
    UpperCase {
        /// The text given.
        text: String,
    },
    /// The repository is malformed.
    #[error("{part:?} in the image reference {text:?} is not a repository")]
    Repository {
        /// The text given.
        text: String,
        /// The part at fault.
        part: String,
    },
    /// The tag is malformed.
    #[error("{part:?} in the image reference {text:?} is not a tag")]
    Tag {
        /// The text given.
        text: String,
        /// The part at fault.
        part: String,
    },
    /// The digest is malformed.
    #[error("{part:?} in the image reference {text:?} is not a digest")]
    Digest {
        /// The text given.
        text: String,
        /// The part at fault.
        part: String,
    },
    /// Registry and repository are too long together.
    #[error("the name in the image reference {text:?} has more than {MAX_NAME} characters")]
    TooLong {
        /// The text given.
        text: String,
    },
}

impl ReferenceError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Empty | Self::Repository { .. } => "write [REGISTRY/]REPOSITORY[:TAG][@DIGEST], such as debian:12 or registry.example/team/app:1.0".into(),
            Self::Registry { .. } => "a registry is a host name with an optional port, such as registry.example:5000".into(),
            Self::UpperCase { text } => format!("write it in lower case: {}", text.to_lowercase()),
            Self::Tag { .. } => format!("a tag has up to {MAX_TAG} letters, digits, '_', '.' and '-', and begins with neither '.' nor '-'"),
            Self::Digest { .. } => "a digest is sha256: and 64 hexadecimal digits in lower case".into(),
            Self::TooLong { .. } => return None,
        })
    }
}

impl Reference {
    /// Host name and optional port of the registry.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Path of the repository in its registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; none only where there is a digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest with its algorithm, `sha256:…`.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// In full: `docker.io/library/alpine:latest`.
    pub fn canonical(&self) -> String {
        format!("{}/{}{}", self.registry, self.repository, self.suffix())
    }

    /// As people write it, without Docker's default registry and namespace: `alpine:latest`.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_name(), self.suffix())
    }

    fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return format!("{}/{}", self.registry, self.repository);
        }
        match self.repository.strip_prefix(DEFAULT_NAMESPACE) {
            // `library/localhost` or `library/a/b` would mean something else when shortened.
            Some(short) if !short.contains('/') => short.into(),
            _ if is_registry(self.repository.split('/').next().unwrap_or_default()) => {
                format!("{}/{}", self.registry, self.repository)
            }
            _ => self.repository.clone(),
        }
    }

    fn suffix(&self) -> String {
        let tag = self.tag.iter().map(|tag| format!(":{tag}"));
        let digest = self.digest.iter().map(|digest| format!("@{digest}"));
        tag.chain(digest).collect()
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        let (rest, digest) = split_digest(text)?;
        let (name, tag) = split_tag(text, rest)?;
        let (registry, repository) = split_registry(text, name)?;
        check_repository(text, &repository)?;
        if registry.len() + 1 + repository.len() > MAX_NAME {
            return Err(ReferenceError::TooLong { text: text.into() });
        }
        let tag = match (&tag, &digest) {
            (None, None) => Some(DEFAULT_TAG.into()),
            _ => tag,
        };
        Ok(Self {
            registry,
            repository,
            tag,
            digest,
        })
    }
}

fn split_digest(text: &str) -> Result<(&str, Option<String>), ReferenceError> {
    let Some((rest, digest)) = text.split_once('@') else {
        return Ok((text, None));
    };
    let length = match digest.split_once(':') {
        Some(("sha256", _)) => 64,
        Some(("sha384", _)) => 96,
        Some(("sha512", _)) => 128,
        _ => 0,
    };
    let hex = digest.split_once(':').map_or("", |(_, hex)| hex);
    if length == 0 || hex.len() != length || !is_lower_hex(hex) {
        return Err(ReferenceError::Digest {
            text: text.into(),
            part: digest.into(),
        });
    }
    Ok((rest, Some(digest.into())))
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A colon after the last slash begins a tag; one before belongs to a registry's port.
fn split_tag<'a>(text: &str, rest: &'a str) -> Result<(&'a str, Option<String>), ReferenceError> {
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let Some(colon) = rest[last..].find(':') else {
        return Ok((rest, None));
    };
    let (name, tag) = (&rest[..last + colon], &rest[last + colon + 1..]);
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if tag.is_empty()
        || tag.len() > MAX_TAG
        || tag.starts_with(['.', '-'])
        || !tag.chars().all(valid)
    {
        return Err(ReferenceError::Tag {
            text: text.into(),
            part: tag.into(),
        });
    }
    Ok((name, Some(tag.into())))
}

fn split_registry(text: &str, name: &str) -> Result<(String, String), ReferenceError> {
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest)) if is_registry(first) => (first, rest),
        _ => (DEFAULT_REGISTRY, name),
    };
    let registry = if registry == LEGACY_REGISTRY {
        DEFAULT_REGISTRY
    } else {
        registry
    };
    if !is_host(registry) {
        return Err(ReferenceError::Registry {
            text: text.into(),
            part: registry.into(),
        });
    }
    let repository = match registry {
        DEFAULT_REGISTRY if !repository.contains('/') => format!("{DEFAULT_NAMESPACE}{repository}"),
        _ => repository.into(),
    };
    Ok((registry.into(), repository))
}

/// Whether the first component of a name is a registry rather than a namespace.
fn is_registry(first: &str) -> bool {
    first == "localhost"
        || first.contains(['.', ':'])
        || first.contains(|c: char| c.is_ascii_uppercase())
}

fn is_host(registry: &str) -> bool {
    let (host, port) = match registry.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => {
                return address.parse::<std::net::Ipv6Addr>().is_ok()
                    && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
            }
            None => return false,
        },
        None => match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        },
    };
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty()
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn check_repository(text: &str, repository: &str) -> Result<(), ReferenceError> {
    if let Some(part) = repository.split('/').find(|part| !is_component(part)) {
        if is_component(&part.to_ascii_lowercase()) {
            return Err(ReferenceError::UpperCase { text: text.into() });
        }
        let part = part.into();
        return Err(ReferenceError::Repository {
            text: text.into(),
            part,
        });
    }
    // A bare name of this shape is an image's id everywhere else: refused, as Docker does.
    let short = repository
        .strip_prefix(DEFAULT_NAMESPACE)
        .unwrap_or_default();
    if short.len() == 64 && is_lower_hex(short) {
        return Err(ReferenceError::Repository {
            text: text.into(),
            part: short.into(),
        });
    }
    Ok(())
}

/// Alphanumeric runs, joined by `.`, `_`, `__` or any number of `-`.
fn is_component(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separator =
        |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    part.starts_with(alphanumeric)
        && part.ends_with(alphanumeric)
        && part.split(alphanumeric).all(separator)
}

impl fmt::Display for Reference {
    /// The familiar form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.familiar())
    }
}

serde_as_text!(Reference);

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
