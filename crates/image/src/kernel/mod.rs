//! Kernels made bootable.
//!
//! ```text
//!  host, file, directory ------------------.
//!  .deb -- deb, layer --> unpacked tree ---+- locate --> vmlinuz --- vmlinux ---> vmlinux
//!  OCI image -- Images -> unpacked tree ---'         `-> modules --- modules ---> drivers.cpio, modules.ext4
//!                                                    `-> config ---- needs ----> features.json; refused, if a guest lacks something
//! ```
//!
//! [`import`] fills a directory the caller gives; [`identify`] says cheaply which kernel it would be,
//! so that the caller can look whether that one is there. Nothing here keeps records.

pub mod compression;
pub mod config;
pub mod deb;
mod drivers;
pub mod elf;
mod error;
mod import;
mod locate;
pub mod modules;
pub mod needs;
mod opened;
mod root;
mod source;
pub mod vmlinux;

pub use drivers::{FEATURES, Feature, ensure_balloon, ensure_vsock};
pub use error::Error;
pub use import::{KernelImported, MODULES, Request, VMLINUX, identify, import};
pub use opened::Images;
pub use root::Error as RootError;
pub use source::{KernelSource, ParseError};
pub use vmlinux::{Architecture, Vmlinux, unpack};
