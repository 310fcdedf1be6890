//! Where a kernel comes from, as people write it.

use std::fmt;
use std::path::{Path, PathBuf};

/// Word for the running host's kernel.
const HOST: &str = "host";

/// A source of a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelSource {
    /// `host`: the kernel this host runs, with its modules.
    Host,
    /// A kernel file; its modules and configuration are looked for around it.
    File(PathBuf),
    /// A directory with a kernel in it.
    Directory(PathBuf),
    /// A distribution's package.
    Deb(PathBuf),
    /// An OCI image with `/boot/vmlinux` or `/boot/vmlinuz`, in any form images come in.
    Image(String),
}

/// Text that is no source.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Nothing at all.
    #[error("the source of a kernel is empty")]
    Empty,
    /// A path that leads nowhere.
    #[error("cannot find the kernel {}", path.display())]
    NotFound {
        /// The path.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
}

impl ParseError {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(
            "a kernel is `host`, a path to a vmlinux or vmlinuz file, a directory or a .deb, or the \
             reference of an OCI image"
                .to_owned(),
        )
    }
}

impl KernelSource {
    /// What `text` means. A path begins with `/` or `.`, or ends with `.deb`; `dir:PATH` is a
    /// directory; anything else is an image.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        match text {
            "" => return Err(ParseError::Empty),
            HOST => return Ok(Self::Host),
            _ => {}
        }
        if let Some(path) = text.strip_prefix("dir:") {
            return Self::at(Path::new(path));
        }
        let is_path =
            text.starts_with(['/', '.']) || (text.ends_with(".deb") && !text.contains(':'));
        if is_path {
            return Self::at(Path::new(text));
        }
        Ok(Self::Image(text.to_owned()))
    }

    fn at(path: &Path) -> Result<Self, ParseError> {
        let found = std::fs::metadata(path).map_err(|source| ParseError::NotFound {
            path: path.to_owned(),
            source,
        })?;
        let path = path.to_owned();
        Ok(if found.is_dir() {
            Self::Directory(path)
        } else if path.extension().is_some_and(|extension| extension == "deb") {
            Self::Deb(path)
        } else {
            Self::File(path)
        })
    }
}

impl fmt::Display for KernelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str(HOST),
            Self::File(path) | Self::Directory(path) | Self::Deb(path) => path.display().fmt(f),
            Self::Image(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_by_its_form() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("vmlinuz"), "x").expect("a file");
        std::fs::write(at("linux.deb"), "x").expect("a file");
        let parse =
            |path: PathBuf| KernelSource::parse(path.to_str().expect("text")).expect("a source");
        assert_eq!(parse(at("vmlinuz")), KernelSource::File(at("vmlinuz")));
        assert_eq!(parse(at("linux.deb")), KernelSource::Deb(at("linux.deb")));
        assert_eq!(parse(at("")), KernelSource::Directory(at("")));
        assert_eq!(
            KernelSource::parse("host").expect("a source"),
            KernelSource::Host
        );
        for image in [
            "weaveworks/ignite-kernel:5.10.51",
            "oci:/some/dir",
            "registry:5000/x.deb",
        ] {
            assert_eq!(
                KernelSource::parse(image).expect("a source"),
                KernelSource::Image(image.into())
            );
        }
        for nothing in ["", "/no/such/kernel", "./nothing", "no-such.deb"] {
            let error = KernelSource::parse(nothing).expect_err(nothing);
            assert!(error.hint().is_some());
        }
    }
}
