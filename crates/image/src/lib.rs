//! OCI images and kernels made bootable.
//!
//! The only crate that speaks to registries and reads strangers' archives.
//!
//! ```text
//!  reference -> Source -> manifest -> layers -> tree -> ext4
//!               source    registry    layer     layer   ext4
//!                         layout                unpack
//! ```
//!
//! [`Importer`] is the whole way. It keeps no records: it makes the file system where the caller says
//! and returns what the record needs.

mod container;
pub mod decompress;
pub mod digest;
pub mod ext4;
mod init;
pub mod initramfs;
pub mod kernel;
pub mod layer;
mod layout;
mod manifest;
mod platform;
mod progress;
mod source;
mod staging;

pub use digest::Digest;
pub use layer::unpack_layers;
pub use progress::{Progress, Silent};
