//! A source opened: a root to look below, and which file of it is the kernel.

use std::path::{Path, PathBuf};

use super::root::{self, Root};
use super::{Error, KernelSource, deb, locate, vmlinux};
use crate::digest::{Digest, Hasher};
use crate::layer::{self, Layer, Limits};
use crate::{Progress, unpack_layers};

/// Who gets the files of OCI images; the importer of images.
pub trait Images {
    /// What identifies the image: the digest of its manifest. May ask a registry.
    fn identify(&self, reference: &str) -> Result<Digest, Error>;

    /// Unpacks the image's files into the empty directory `root`, and gives its digest.
    fn unpack(
        &self,
        reference: &str,
        root: &Path,
        progress: &dyn Progress,
    ) -> Result<Digest, Error>;
}

/// A kernel file below a root.
#[derive(Debug)]
pub(super) struct Opened {
    /// The source, for messages.
    from: String,
    root: Root,
    /// Path of the kernel below the root.
    kernel: PathBuf,
    /// What identifies the source, where that is known before the kernel is read.
    pub(super) digest: Option<Digest>,
    /// Whether modules of other releases beside the kernel mean a mistake: not where the root is
    /// nobody's package.
    strict: bool,
}

impl Opened {
    /// A source on this host's disk; none for the others.
    pub(super) fn local(source: &KernelSource) -> Result<Option<Self>, Error> {
        Ok(Some(match source {
            KernelSource::Host => Self::host()?,
            KernelSource::File(path) => Self::beside(path)?,
            KernelSource::Directory(path) => Self::below(source, path, None)?,
            KernelSource::Deb(_) | KernelSource::Image(_) => return Ok(None),
        }))
    }

    /// Any source; packed ones are unpacked into the new directory `tree`.
    pub(super) fn open(
        source: &KernelSource,
        tree: &Path,
        images: &dyn Images,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        if let Some(opened) = Self::local(source)? {
            return Ok(opened);
        }
        let digest = match source {
            KernelSource::Deb(path) => {
                unpack_package(path, tree, progress)?;
                package_digest(path)?
            }
            KernelSource::Image(reference) => images.unpack(reference, tree, progress)?,
            _ => unreachable!("the others are local"),
        };
        Self::below(source, tree, Some(digest))
    }

    /// The kernel, packed as it is.
    pub(super) fn read_kernel(&self) -> Result<Vec<u8>, Error> {
        let bytes = self.at(self.root.read(&self.kernel, vmlinux::MAX_SIZE))?;
        bytes.ok_or_else(|| Error::NoKernel {
            from: self.from.clone(),
        })
    }

    /// The kernel's file, for messages.
    pub(super) fn kernel_path(&self) -> PathBuf {
        self.root.path().join(&self.kernel)
    }

    /// The kernel's module tree.
    pub(super) fn modules(&self, version: &str) -> Result<Option<ModuleSource<'_>>, Error> {
        let Some(path) = self.at(locate::modules(&self.root, version))? else {
            let found = self.at(locate::releases(&self.root))?;
            if self.strict && !found.is_empty() {
                return Err(Error::OtherModules {
                    from: self.from.clone(),
                    version: version.to_owned(),
                    found,
                });
            }
            return Ok(None);
        };
        let files = self.at(self.root.tree(&path))?;
        Ok(Some(ModuleSource {
            opened: self,
            path,
            files,
        }))
    }

    /// The text of the kernel's configuration.
    pub(super) fn config(&self, version: &str) -> Result<Option<String>, Error> {
        for path in locate::configs(version) {
            match self.root.read(&path, super::config::MAX_SIZE) {
                Ok(Some(text)) => return Ok(Some(String::from_utf8_lossy(&text).into_owned())),
                Ok(None) | Err(root::Error::TooLarge { .. }) => {}
                Err(source) => return self.at(Err(source)),
            }
        }
        Ok(None)
    }

    fn host() -> Result<Self, Error> {
        let release = rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned();
        let from = KernelSource::Host.to_string();
        let open = || {
            let root = Root::open(Path::new("/"))?;
            let kernel = locate::kernel(&root, Some(&release))?;
            Ok((root, kernel))
        };
        let (root, kernel) = open().map_err(in_source(&from))?;
        Ok(Self {
            root,
            kernel: kernel.ok_or(Error::NoHostKernel { release })?,
            from,
            digest: None,
            strict: false,
        })
    }

    fn beside(path: &Path) -> Result<Self, Error> {
        let from = path.display().to_string();
        let real = path.canonicalize().map_err(|source| {
            ignite_host::error::SystemError::new(format!("open {from}"), source)
        })?;
        let no_kernel = || Error::NoKernel { from: from.clone() };
        let name = Path::new(real.file_name().ok_or_else(no_kernel)?);
        let directory = real.parent().ok_or_else(no_kernel)?;
        // /boot/vmlinuz-6.1 has its modules in /lib/modules/6.1.
        let (root, kernel) = match directory.parent() {
            Some(root) if directory.ends_with("boot") => (root, Path::new("boot").join(name)),
            _ => (directory, name.to_owned()),
        };
        Ok(Self {
            root: Root::open(root).map_err(in_source(&from))?,
            kernel,
            from,
            digest: None,
            strict: false,
        })
    }

    fn below(source: &KernelSource, path: &Path, digest: Option<Digest>) -> Result<Self, Error> {
        let from = source.to_string();
        let open = || {
            let root = Root::open(path)?;
            let kernel = locate::kernel(&root, None)?;
            Ok((root, kernel))
        };
        let (root, kernel) = open().map_err(in_source(&from))?;
        Ok(Self {
            root,
            kernel: kernel.ok_or_else(|| Error::NoKernel { from: from.clone() })?,
            from,
            digest,
            strict: true,
        })
    }

    fn at<T>(&self, result: Result<T, root::Error>) -> Result<T, Error> {
        result.map_err(in_source(&self.from))
    }
}

/// A module tree in its source.
#[derive(Debug)]
pub(super) struct ModuleSource<'a> {
    opened: &'a Opened,
    path: PathBuf,
    files: Vec<root::Listed>,
}

impl ModuleSource<'_> {
    /// Copies the tree to the new directory `target`.
    pub(super) fn copy(&self, target: &Path) -> Result<(), Error> {
        self.opened
            .at(self.opened.root.copy(&self.path, &self.files, target))
    }

    /// Takes the names, sizes and times of its files into a digest: enough to notice a change.
    pub(super) fn identify(&self, hasher: &mut Hasher) {
        for file in &self.files {
            let line = format!("{} {} {}\n", file.path.display(), file.size, file.modified);
            hasher.update(line.as_bytes());
        }
    }
}

/// The digest of a package is that of its bytes.
pub(super) fn package_digest(path: &Path) -> Result<Digest, Error> {
    root::digest_of(path).map_err(in_source(&path.display().to_string()))
}

fn unpack_package(path: &Path, tree: &Path, progress: &dyn Progress) -> Result<(), Error> {
    let data = deb::open(path).map_err(|source| Error::Package {
        path: path.to_owned(),
        source,
    })?;
    let from = path.display().to_string();
    let layer = Layer {
        name: from.clone(),
        reader: Box::new(data.reader),
        digest: None,
        size: Some(data.size),
        diff_id: None,
    };
    unpack_layers(
        &mut std::iter::once(layer),
        tree,
        &Limits::default(),
        progress,
    )
    .map(drop)
    .map_err(|source| match source {
        layer::Error::Cancelled => Error::Cancelled,
        source => Error::Unpack {
            from,
            source: Box::new(source),
        },
    })
}

fn in_source(from: &str) -> impl FnOnce(root::Error) -> Error {
    move |source| Error::Root {
        from: from.to_owned(),
        source,
    }
}
