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

mod blobs;
mod container;
pub mod decompress;
pub mod digest;
mod directory;
mod error;
pub mod ext4;
mod import;
mod init;
pub mod initramfs;
pub mod kernel;
pub mod layer;
mod layout;
mod manifest;
mod platform;
mod progress;
pub mod registry;
mod source;
mod staging;
pub mod superblock;

pub use container::ContainerError;
pub use digest::Digest;
pub use error::Error;
pub use import::{ImportLock, Imported, Importer, Resolved};
pub use init::Init;
pub use layer::unpack_layers;
pub use layout::LayoutError;
pub use manifest::{DocumentError, ImageConfig, Platform};
pub use progress::{Progress, Silent};
pub use source::{Source, SourceError};
pub use staging::Staging;
