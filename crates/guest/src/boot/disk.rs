//! The root file system and the disk with the kernel's modules.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ignite_wire::guest::{self, Modules};
use rustix::mount::MountFlags;
use thiserror::Error;

use super::devices;
use crate::root::{Mount, Root};
use crate::{root, sys};

/// Why the disks cannot be used.
#[derive(Debug, Error)]
pub enum Error {
    /// The disk is not there.
    #[error(transparent)]
    Device(#[from] devices::Error),
    /// The root cannot be mounted.
    #[error("cannot mount the root file system from {device} ({filesystem})")]
    Root {
        /// Its device.
        device: String,
        /// Its type.
        filesystem: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The root is mounted, but is not what it should be.
    #[error(transparent)]
    InRoot(#[from] root::Error),
    /// The file system cannot be made as large as its disk.
    #[error("cannot grow the root file system to the size of {device}")]
    Grow {
        /// Its device.
        device: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// No file system that we can grow.
    #[error("cannot find the size of the file system on {}", path.display())]
    Superblock {
        /// Its device.
        path: PathBuf,
    },
}

/// Mounts the root file system at `target`.
pub fn mount_root(config: &guest::Root, target: &Path) -> Result<Root, Error> {
    devices::block_device(&config.device)?;
    let _ = std::fs::create_dir(target);
    let (device, filesystem) = (config.device.as_str(), config.filesystem.as_str());
    rustix::mount::mount(device, target, filesystem, MountFlags::empty(), None).map_err(
        |errno| Error::Root {
            device: device.to_owned(),
            filesystem: filesystem.to_owned(),
            source: errno.into(),
        },
    )?;
    Ok(Root::open(target)?)
}

/// Mounts the kernel's module tree where its programs look for it, `/lib` being a link or not.
pub fn mount_modules(modules: &Modules, root: &Root) -> Result<(), Error> {
    devices::block_device(&modules.device)?;
    root.mount(&Mount {
        source: &modules.device,
        filesystem: &modules.filesystem,
        target: &format!("/lib/modules/{}", modules.release),
        flags: MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV,
        options: c"",
    })?;
    Ok(())
}

/// Makes the root file system as large as its disk.
pub fn grow(device: &str, root: &Root) -> Result<(), Error> {
    let failed = |source| Error::Grow {
        device: device.to_owned(),
        source,
    };
    let disk = File::open(device).map_err(failed)?;
    let mut block = [0; SUPERBLOCK_LEN];
    disk.read_exact_at(&mut block, SUPERBLOCK_AT)
        .map_err(failed)?;
    let size = Size::of_ext4(&block).ok_or_else(|| Error::Superblock {
        path: device.into(),
    })?;
    let bytes = rustix::fs::seek(&disk, rustix::fs::SeekFrom::End(0));
    let blocks = bytes.map_err(|errno| failed(errno.into()))? / size.block;
    if blocks <= size.blocks {
        return Ok(());
    }
    sys::resize_ext4(&root.top().map_err(failed)?, blocks).map_err(failed)
}

/// Where a disk's ext4 superblock begins, and how much of it is of interest.
const SUPERBLOCK_AT: u64 = 1024;
const SUPERBLOCK_LEN: usize = 1024;

/// Size of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    /// Bytes of a block.
    block: u64,
    /// Blocks.
    blocks: u64,
}

impl Size {
    /// From an ext4 superblock (kernel documentation, `filesystems/ext4/super.rst`).
    fn of_ext4(superblock: &[u8; SUPERBLOCK_LEN]) -> Option<Self> {
        const MAGIC: u16 = 0xef53;
        const INCOMPAT_64BIT: u32 = 0x80;
        let word = |at: usize| {
            let bytes = superblock[at..]
                .first_chunk()
                .expect("offsets lie within the block");
            u32::from_le_bytes(*bytes)
        };
        if word(0x38) as u16 != MAGIC {
            return None;
        }
        let high = if word(0x60) & INCOMPAT_64BIT == 0 {
            0
        } else {
            word(0x150)
        };
        // No page is larger than 64 KiB, and no block than a page.
        let block = 1024 << Some(word(0x18)).filter(|shift| *shift <= 6)?;
        Some(Self {
            block,
            blocks: u64::from(high) << 32 | u64::from(word(0x4)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn superblock(words: &[(usize, u32)]) -> [u8; SUPERBLOCK_LEN] {
        let mut block = [0; SUPERBLOCK_LEN];
        for (at, word) in words {
            block[*at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        block
    }

    #[test]
    fn size_of_an_ext4() {
        let small = superblock(&[(0x4, 4096), (0x18, 2), (0x38, 0xef53), (0x150, 9)]);
        assert_eq!(
            Size::of_ext4(&small),
            Some(Size {
                block: 4096,
                blocks: 4096
            })
        );
        let large = superblock(&[
            (0x4, 1),
            (0x18, 2),
            (0x38, 0xef53),
            (0x60, 0x80),
            (0x150, 1),
        ]);
        assert_eq!(
            Size::of_ext4(&large),
            Some(Size {
                block: 4096,
                blocks: (1 << 32) + 1
            })
        );
    }

    #[test]
    fn no_ext4_has_no_size() {
        assert_eq!(Size::of_ext4(&superblock(&[])), None);
        assert_eq!(
            Size::of_ext4(&superblock(&[(0x38, 0xef53), (0x18, 60)])),
            None
        );
    }
}
