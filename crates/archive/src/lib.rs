//! Trees as tar streams, and tar streams as trees.
//!
//! ```text
//!   Source --pack--> Writer ==bytes==> Entries --unpack--> Extractor --> files below a root
//!                                               `--(layers of images: the crate `image`)--'
//! ```
//!
//! Used where files go between a host and a VM, on both sides, and where the layers of an image become
//! a tree. What an archive says is believed nowhere: names ([`clean`]), numbers and memory
//! ([`Entries`]), places ([`Extractor`]) and rights ([`Policy`]) are bounded on the way.

mod data;
mod direct;
mod error;
mod extract;
mod pack;
mod path;
mod pax;
mod policy;
mod read;
mod source;
mod sparse;
mod unpack;
mod write;

pub use data::Account;
pub use error::EntryError;
pub use extract::{Applied, Extractor};
pub use pack::{Packed, pack, pack_as};
pub use path::clean;
pub use policy::Policy;
pub use read::{Data, Entries, Entry, Kind, TarError};
pub use source::{Source, SourceError};
pub use sparse::SparseMap;
pub use unpack::{Error, Place, Unpacked, unpack, unpack_into};
pub use write::{Body, Meta, Writer};
