//! The import of one kernel, from its source to the files a VMM boots.

use std::path::{Path, PathBuf};

use ignite_host::error::SystemError;
use ignite_host::fs::write_atomic;
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::drivers::{self, Feature, in_initramfs, in_modules};
use super::modules::{Driver, Tree};
use super::needs::{self, Evidence};
use super::opened::{Images, ModuleSource, Opened, package_digest};
use super::vmlinux::{self, Architecture, Vmlinux};
use super::{Error, KernelSource};
use crate::digest::{Digest, Hasher};
use crate::{Progress, ext4, initramfs};

/// File of the result: the uncompressed kernel.
pub const VMLINUX: &str = "vmlinux";
/// File of the result: an ext4 file system with the module tree, the content of
/// `/lib/modules/<version>`. Not there for a kernel without modules.
pub const MODULES: &str = "modules.ext4";

/// Directory for what the import needs on the way; not there any more when it ends.
const WORK: &str = "work";

/// What an import needs besides its source.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The directory to fill: empty, and on the disk the kernel will stay on.
    pub directory: &'a Path,
    /// The guest program for the initramfs.
    pub guest_program: &'a Path,
    /// Who gets images.
    pub images: &'a dyn Images,
    /// Who is told.
    pub progress: &'a dyn Progress,
}

/// A kernel made bootable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KernelImported {
    /// What [`identify`] says of the source.
    pub digest: Digest,
    /// The release, as `uname -r` will say.
    pub version: String,
    /// The processor it is for.
    pub architecture: Architecture,
    /// Size of `vmlinux` in bytes.
    pub vmlinux_size: u64,
    /// Whether it boots by the PVH protocol; QEMU boots no other `vmlinux`.
    pub pvh: bool,
    /// Size of `modules.ext4` in bytes; none if the kernel has no modules.
    pub modules_size: Option<u64>,
    /// The modules a guest loads, in order.
    pub drivers: Vec<String>,
    /// What a guest uses, and how the kernel has it.
    pub features: Vec<Feature>,
}

/// Which kernel an import of `source` would give: equal for an equal kernel with equal modules.
/// Reads the kernel or the package once; asks the registry for an image.
pub fn identify(source: &KernelSource, images: &dyn Images) -> Result<Digest, Error> {
    match source {
        KernelSource::Deb(path) => package_digest(path),
        KernelSource::Image(reference) => images.identify(reference),
        KernelSource::Host | KernelSource::File(_) | KernelSource::Directory(_) => {
            let opened = Opened::local(source)?.expect("these three are local");
            let packed = opened.read_kernel()?;
            let version = vmlinux::version(&packed).map_err(bad_kernel(&opened))?;
            Ok(digest(&packed, opened.modules(&version)?.as_ref()))
        }
    }
}

/// Makes the kernel of `source` bootable in `request.directory`: [`VMLINUX`], [`MODULES`],
/// [`initramfs::DRIVERS`], [`drivers::FEATURES`], [`initramfs::INITRAMFS`]. On failure the directory holds leftovers, which
/// are the caller's to remove with it.
pub fn import(source: &KernelSource, request: &Request<'_>) -> Result<KernelImported, Error> {
    let label = format!("kernel {source}");
    request.progress.begin("kernel", &label, None);
    let imported = Import { source, request }.run();
    request.progress.end("kernel");
    imported
}

struct Import<'a> {
    source: &'a KernelSource,
    request: &'a Request<'a>,
}

impl Import<'_> {
    fn run(&self) -> Result<KernelImported, Error> {
        let work = self.request.directory.join(WORK);
        let tree = work.join("tree");
        std::fs::create_dir_all(&tree)
            .map_err(|source| SystemError::new(format!("create {}", tree.display()), source))?;
        let opened = Opened::open(
            self.source,
            &tree,
            self.request.images,
            self.request.progress,
        )?;
        let imported = self.make(&opened, &work.join("modules"))?;
        std::fs::remove_dir_all(&work)
            .map_err(|source| SystemError::new(format!("remove {}", work.display()), source))?;
        Ok(imported)
    }

    fn make(&self, opened: &Opened, modules: &Path) -> Result<KernelImported, Error> {
        self.go_on()?;
        let packed = opened.read_kernel()?;
        let vmlinux = vmlinux::unpack(&packed).map_err(bad_kernel(opened))?;
        if vmlinux.architecture.name() != std::env::consts::ARCH {
            return Err(Error::OtherArchitecture {
                version: vmlinux.version,
                architecture: vmlinux.architecture.name(),
            });
        }
        let source = opened.modules(&vmlinux.version)?;
        let digest = opened
            .digest
            .unwrap_or_else(|| digest(&packed, source.as_ref()));
        drop(packed);
        write_atomic(&self.path(VMLINUX), &vmlinux.bytes, 0o644)?;

        self.go_on()?;
        let tree = module_tree(source.as_ref(), modules, &vmlinux.version)?;
        let config = config(opened, &vmlinux)?;
        let (drivers, features) = self.check(&vmlinux, tree.as_ref(), config.as_ref())?;

        self.go_on()?;
        let modules_size = match &tree {
            Some(_) => Some(self.modules_disk(modules, &vmlinux.version)?),
            None => None,
        };
        self.initramfs(&drivers, &features)
            .map_err(in_initramfs(&vmlinux.version))?;
        Ok(KernelImported {
            digest,
            architecture: vmlinux.architecture,
            vmlinux_size: vmlinux.bytes.len() as u64,
            pvh: vmlinux.pvh,
            modules_size,
            drivers: drivers.into_iter().map(|driver| driver.name).collect(),
            features,
            version: vmlinux.version,
        })
    }

    /// Refuses a kernel no guest runs on; gives the modules one loads.
    fn check(
        &self,
        vmlinux: &Vmlinux,
        tree: Option<&Tree>,
        config: Option<&Config>,
    ) -> Result<(Vec<Driver>, Vec<Feature>), Error> {
        let evidence = Evidence {
            tree,
            config,
            vmlinux: &vmlinux.bytes,
        };
        let mut missing = needs::missing(&evidence);
        if vmlinux.architecture == Architecture::Amd64 && !vmlinux.pvh {
            missing.push("the entry point QEMU boots a vmlinux by (CONFIG_PVH)".to_owned());
        }
        if !missing.is_empty() {
            return Err(Error::Missing {
                version: vmlinux.version.clone(),
                missing,
            });
        }
        drivers::choose(&evidence, &vmlinux.version)
    }

    fn modules_disk(&self, tree: &Path, version: &str) -> Result<u64, Error> {
        let options = ext4::Options {
            label: "modules".to_owned(),
            read_only: true,
            ..ext4::Options::default()
        };
        ext4::make(tree, &self.path(MODULES), &options).map_err(|source| Error::Disk {
            version: version.to_owned(),
            source,
        })
    }

    fn initramfs(&self, modules: &[Driver], features: &[Feature]) -> Result<(), initramfs::Error> {
        drivers::write(self.request.directory, modules, features)?;
        initramfs::ensure(self.request.directory, self.request.guest_program).map(drop)
    }

    fn go_on(&self) -> Result<(), Error> {
        if self.request.progress.cancelled() {
            return Err(Error::Cancelled);
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.request.directory.join(name)
    }
}

/// The copied tree with all that modprobe needs; none if there are no modules in it.
fn module_tree(
    source: Option<&ModuleSource<'_>>,
    target: &Path,
    version: &str,
) -> Result<Option<Tree>, Error> {
    let Some(source) = source else {
        return Ok(None);
    };
    source.copy(target)?;
    let mut tree = Tree::open(target).map_err(in_modules(version))?;
    if tree.is_empty() && !tree.knows_builtin() {
        return Ok(None);
    }
    tree.complete().map_err(in_modules(version))?;
    Ok(Some(tree))
}

fn config(opened: &Opened, vmlinux: &Vmlinux) -> Result<Option<Config>, Error> {
    let beside = opened.config(&vmlinux.version)?;
    let config = beside.and_then(|text| Config::parse(&text));
    Ok(config.or_else(|| Config::embedded(&vmlinux.bytes)))
}

fn digest(packed: &[u8], modules: Option<&ModuleSource<'_>>) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(packed);
    if let Some(modules) = modules {
        modules.identify(&mut hasher);
    }
    hasher.finish()
}

fn bad_kernel(opened: &Opened) -> impl FnOnce(vmlinux::Error) -> Error {
    let path = opened.kernel_path();
    |source| Error::Kernel { path, source }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
