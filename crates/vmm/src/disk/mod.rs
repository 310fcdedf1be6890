//! A VM's disk, made from the image it shares with others.
//!
//! ```text
//!   overlay   qcow2 above the image: nothing is copied, QEMU alone reads it
//!   reflink   raw, sharing the image's blocks until they are written: xfs, btrfs
//!   copy      raw, the image's data without its holes: any other file system
//! ```
//! All three are complete and on the disk when they have their name, or there is nothing.

mod error;
pub mod qcow2;
pub mod raw;

pub use error::Error;

use std::path::Path;

/// How a raw disk was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It shares the image's blocks.
    Reflink,
    /// It has a copy of the image's data.
    Copy,
}

/// The image's length, which the disk must have at least.
fn image_length(image: &Path, size: u64) -> Result<u64, Error> {
    let length = std::fs::metadata(image)
        .map_err(Error::at("look at", image))?
        .len();
    if size < length {
        return Err(Error::TooSmall {
            size,
            backing: length,
        });
    }
    Ok(length)
}

/// Whole sectors.
fn sectors(size: u64) -> Result<u64, Error> {
    const SECTOR: u64 = 512;
    size.checked_next_multiple_of(SECTOR)
        .ok_or(Error::TooLarge { size })
}
