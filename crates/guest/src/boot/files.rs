//! Files that are copied into the root before anything runs in it: an archive on a disk of its own.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use ignite_archive::{Policy, unpack_into};
use ignite_host::fs::RootDir;
use thiserror::Error;

use super::devices;
use crate::console;

/// Bytes read at once.
const BUFFER: usize = 128 << 10;

/// Why the files cannot be copied.
#[derive(Debug, Error)]
pub enum Error {
    /// The disk is not there.
    #[error(transparent)]
    Device(#[from] devices::Error),
    /// It cannot be read.
    #[error("cannot read the files to copy from {device}")]
    Open {
        /// The disk.
        device: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// They do not reach the disk.
    #[error("cannot write the files that were given to the VM to its disk")]
    Sync(#[source] std::io::Error),
    /// The root does not take them.
    #[error("cannot copy the files that were given to the VM")]
    Unpack(#[from] ignite_archive::Error),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unpack(error) if error.is_no_room() => {
                Some("give the VM a larger disk: ignite create --size SIZE".to_owned())
            }
            Self::Unpack(error) => error.hint(),
            _ => None,
        }
    }
}

/// Unpacks what is on `device` into the root at `top`, where links lead as they do in the VM. What is
/// there already is written again: the start may have been broken off.
pub fn copy(device: &str, top: &Path) -> Result<(), Error> {
    devices::block_device(device)?;
    let disk = File::open(device).map_err(|source| Error::Open {
        device: device.to_owned(),
        source,
    })?;
    let root = RootDir::open(top).map_err(ignite_archive::Error::from)?;
    let reader = BufReader::with_capacity(BUFFER, disk);
    let mut tell = |remark: &str| console::say(&format!("warning: {remark}"));
    unpack_into(reader, root, Path::new(""), Policy::into_guest(), &mut tell)?;
    // The host forgets the archive once the guest is ready.
    let synced = File::open(top).and_then(|top| Ok(rustix::fs::syncfs(top)?));
    synced.map_err(Error::Sync)
}
