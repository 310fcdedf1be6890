//! OCI images and kernels made bootable.
//!
//! The only crate that speaks to registries and reads strangers' archives.

pub mod initramfs;
pub mod kernel;
