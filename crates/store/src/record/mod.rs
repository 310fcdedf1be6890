//! What is kept of each object, one file each.

pub(crate) mod image;
pub(crate) mod kernel;
pub(crate) mod network;
pub(crate) mod status;
pub(crate) mod vm;
