//! Why a kernel could not be imported.

use std::path::PathBuf;

use ignite_host::error::SystemError;
use ignite_host::fs;

use super::{deb, modules, root, vmlinux};
use crate::{ext4, initramfs, layer};

/// Where most people should get a kernel.
const GOOD_KERNEL: &str = "use a distribution's kernel with its modules, Debian's cloud kernel for \
     instance: `apt-get download` a package linux-image-*-cloud-amd64, then `ignite kernel import` \
     the .deb; nothing is installed";

/// Errors of an import.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source's files.
    #[error("cannot take a kernel from {from}")]
    Root {
        /// The source.
        from: String,
        /// Why.
        source: root::Error,
    },
    /// There is no kernel in the source.
    #[error("there is no kernel in {from}")]
    NoKernel {
        /// The source.
        from: String,
    },
    /// This host's own kernel is not on its disk.
    #[error("the kernel this host runs, {release}, is not among its files")]
    NoHostKernel {
        /// What `uname -r` says.
        release: String,
    },
    /// What should be the kernel is none, or cannot be unpacked.
    #[error("cannot use the kernel {}", path.display())]
    Kernel {
        /// The file.
        path: PathBuf,
        /// Why.
        source: vmlinux::Error,
    },
    /// A kernel for another processor.
    #[error(
        "the kernel {version} is for {architecture}, this host is {}",
        std::env::consts::ARCH
    )]
    OtherArchitecture {
        /// The kernel's release.
        version: String,
        /// What it is for, as `uname -m` names it.
        architecture: &'static str,
    },
    /// The modules are another kernel's.
    #[error("the kernel in {from} is {version}, but its modules are for {}", found.join(", "))]
    OtherModules {
        /// The source.
        from: String,
        /// The kernel's release.
        version: String,
        /// The releases there are modules for.
        found: Vec<String>,
    },
    /// A guest needs more than this kernel has.
    #[error("the kernel {version} lacks what a guest needs: {}", missing.join("; "))]
    Missing {
        /// The kernel's release.
        version: String,
        /// What it lacks.
        missing: Vec<String>,
    },
    /// The package cannot be read.
    #[error("cannot use the package {}", path.display())]
    Package {
        /// The package.
        path: PathBuf,
        /// Why.
        source: deb::Error,
    },
    /// The package's files cannot be unpacked.
    #[error("cannot unpack {from}")]
    Unpack {
        /// The source.
        from: String,
        /// Why.
        source: Box<layer::Error>,
    },
    /// The image cannot be had.
    #[error("cannot get the image {from}")]
    Image {
        /// The source.
        from: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// What can be done about it.
        hint: Option<String>,
    },
    /// The modules.
    #[error("cannot use the modules of the kernel {version}")]
    Modules {
        /// The kernel's release.
        version: String,
        /// Why.
        source: modules::Error,
    },
    /// The disk with the modules.
    #[error("cannot make the disk with the modules of the kernel {version}")]
    Disk {
        /// The kernel's release.
        version: String,
        /// Why.
        source: ext4::Error,
    },
    /// A guest whose machine has no virtio console needs vsock, and this kernel has none.
    #[error(
        "the kernel {version} has no virtio vsock ({}), without which a guest of this VMM cannot \
         reach the host",
        if *module_is_missing { "its module is missing" } else { super::needs::VSOCK_OPTION }
    )]
    NoVsock {
        /// The kernel's release.
        version: String,
        /// Whether the kernel would have it as a module.
        module_is_missing: bool,
    },
    /// A guest that is to have a balloon needs a driver for it, and this kernel has none.
    #[error(
        "the kernel {version} has no virtio balloon ({}), and the VM is to have one",
        if *module_is_missing { "its module is missing" } else { super::needs::BALLOON_OPTION }
    )]
    NoBalloon {
        /// The kernel's release.
        version: String,
        /// Whether the kernel would have it as a module.
        module_is_missing: bool,
    },
    /// The modules cannot be had from their disk.
    #[error("cannot take the modules of the kernel {version} from their disk")]
    ModulesDisk {
        /// The kernel's release.
        version: String,
        /// Why.
        source: ext4::ExtractError,
    },
    /// The initramfs.
    #[error("cannot make the kernel {version} bootable")]
    Initramfs {
        /// The kernel's release.
        version: String,
        /// Why.
        source: initramfs::Error,
    },
    /// A file of the result.
    #[error("cannot store the kernel")]
    Store(#[from] fs::Error),
    /// A directory of the import.
    #[error("cannot store the kernel")]
    Work(#[from] SystemError),
    /// The caller called it off.
    #[error("interrupted")]
    Cancelled,
}

impl Error {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Root { source, .. } => source.hint(),
            Self::NoKernel { from } if from.ends_with(".deb") => Some(
                "a meta-package holds no files: give the linux-image package it depends on"
                    .to_owned(),
            ),
            Self::NoKernel { .. } => Some(
                "boot/vmlinux or boot/vmlinuz[-<release>] is looked for, with its modules in \
                 lib/modules/<release>"
                    .to_owned(),
            ),
            Self::NoHostKernel { .. } | Self::Missing { .. } => Some(GOOD_KERNEL.to_owned()),
            Self::NoBalloon { .. } => {
                Some(format!("{GOOD_KERNEL}; or run the VM without a balloon"))
            }
            Self::NoVsock { .. } => Some(format!("{GOOD_KERNEL}; or run the VM with QEMU")),
            Self::ModulesDisk { source, .. } => source.hint(),
            Self::Kernel { source, .. } => source.hint(),
            Self::OtherArchitecture { .. } => Some("give a kernel built for this host".to_owned()),
            Self::OtherModules { .. } => {
                Some("give a kernel and the modules of the same package".to_owned())
            }
            Self::Package { .. } => Some("get the package again, or give another one".to_owned()),
            Self::Unpack { source, .. } => source.hint(),
            Self::Image { hint, .. } => hint.clone(),
            Self::Modules { source, .. } => source.hint(),
            Self::Disk { source, .. } => source.hint(),
            Self::Initramfs { source, .. } => source.hint(),
            Self::Store(source) => source.hint(),
            Self::Work(source) => source.hint(),
            Self::Cancelled => None,
        }
    }
}
