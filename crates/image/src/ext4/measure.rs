//! How large the file system for a tree must be.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::SeekFrom;

use super::Options;

const BLOCK: u64 = 4096;
/// Blocks one bitmap block describes.
const GROUP: u64 = 8 * BLOCK;
/// As many inodes in each group as an ext4 made with its defaults has, however few the tree needs: the
/// groups that are added when it grows get as many.
const INODES_A_GROUP: u64 = 8192;
const INODES_A_BLOCK: u64 = 16;
/// Small file systems get the smallest journal there is.
const JOURNAL_MIB: u64 = 16;
const SMALL_JOURNAL_MIB: u64 = 4;
const SMALL: u64 = (64 << 20) / BLOCK;
/// Descriptors and their reserve for 1 TiB, in each group that has a copy.
const DESCRIPTOR_BLOCKS: u64 = 130;
/// Longest target of a symbolic link that needs no block.
const FAST_LINK: u64 = 59;

/// What a tree takes up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub blocks: u64,
    pub inodes: u64,
}

/// What `mkfs.ext4` is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub blocks: u64,
    pub inodes: u64,
    pub journal_mib: u64,
}

impl Usage {
    /// Walks `tree`, following no links.
    pub(super) fn of(tree: &Path) -> io::Result<Self> {
        Self::up_to(tree, u64::MAX)
    }

    /// Walks `tree` until it takes up more than that many bytes.
    pub(super) fn up_to(tree: &Path, most: u64) -> io::Result<Self> {
        let mut usage = Self::default();
        let mut seen = HashSet::new();
        let mut pending = vec![tree.to_owned()];
        usage.inodes += 1;
        while let Some(directory) = pending.pop().filter(|_| usage.bytes() <= most) {
            let mut names = 0;
            for entry in fs::read_dir(&directory)? {
                let entry = entry?;
                // An entry of a directory takes 8 bytes, the name, and padding.
                names += 12 + entry.file_name().as_bytes().len() as u64;
                let metadata = entry.metadata()?;
                if metadata.is_dir() {
                    pending.push(entry.path());
                } else if metadata.nlink() > 1 && !seen.insert((metadata.dev(), metadata.ino())) {
                    continue;
                }
                usage.inodes += 1;
                usage.blocks += data_blocks(&entry.path(), &metadata)?;
            }
            // Hash trees leave a third of their leaves empty.
            usage.blocks += (names * 3 / 2).div_ceil(BLOCK).max(1);
        }
        Ok(usage)
    }

    /// Bytes the host's disk must have for it.
    pub(super) fn bytes(self) -> u64 {
        (self.blocks + self.inodes / INODES_A_BLOCK) * BLOCK + (JOURNAL_MIB << 20)
    }
}

impl Layout {
    /// Room for `usage` and the spare bytes; each further attempt is more generous.
    pub(super) fn new(usage: Usage, options: &Options, attempt: u32) -> Self {
        // Extent trees, blocks of extended attributes, and what was estimated too low.
        let slack = usage.blocks / 50 + usage.inodes / 16 + 256;
        let content = usage.blocks + (slack << (2 * attempt)) + options.spare.div_ceil(BLOCK);
        let journal_mib = match options.read_only {
            true => 0,
            false if content < SMALL => SMALL_JOURNAL_MIB,
            false => JOURNAL_MIB,
        };
        let journal = (journal_mib << 20) / BLOCK;
        // mkfs.ext4 refuses a journal that takes more than half of the free blocks.
        let content = content.max(journal + 64);
        let mut blocks = content + journal;
        // The overhead grows with the size it makes larger; the second round is exact enough.
        for _ in 0..2 {
            let groups = blocks.div_ceil(GROUP);
            blocks = content + journal + overhead(groups, inodes(usage, groups));
        }
        // Whole MiB, and no last group so small that it is left out.
        let blocks = blocks.next_multiple_of(256);
        let blocks = if blocks % GROUP < 1024 {
            blocks + 1024
        } else {
            blocks
        };
        let inodes = inodes(usage, blocks.div_ceil(GROUP));
        Self {
            blocks,
            inodes,
            journal_mib,
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.blocks * BLOCK
    }
}

fn inodes(usage: Usage, groups: u64) -> u64 {
    (usage.inodes + usage.inodes / 4 + 64).max(groups * INODES_A_GROUP)
}

fn overhead(groups: u64, inodes: u64) -> u64 {
    let bitmaps = 2 * groups;
    // The first group, the second, and the powers of 3, 5 and 7.
    let copies = (0..groups).filter(|group| has_copy(*group)).count() as u64;
    bitmaps + inodes.div_ceil(INODES_A_BLOCK) + groups + copies * (DESCRIPTOR_BLOCKS + 1)
}

fn has_copy(group: u64) -> bool {
    let power_of = |base: u64| {
        let mut power = base;
        while power < group {
            power *= base;
        }
        power == group
    };
    group < 2 || power_of(3) || power_of(5) || power_of(7)
}

fn data_blocks(path: &Path, metadata: &Metadata) -> io::Result<u64> {
    if metadata.is_symlink() {
        return Ok(u64::from(metadata.len() > FAST_LINK));
    }
    if !metadata.is_file() {
        return Ok(0);
    }
    // Fewer blocks than bytes: it has holes, or the host's file system packs it.
    if metadata.blocks() * 512 >= metadata.len() {
        return Ok(metadata.len().div_ceil(BLOCK));
    }
    written_blocks(&File::open(path)?, metadata.len())
}

/// Blocks of the parts of a file that are not holes.
fn written_blocks(file: &File, length: u64) -> io::Result<u64> {
    let mut blocks = 0;
    let mut position = 0;
    while position < length {
        let start = match rustix::fs::seek(file, SeekFrom::Data(position)) {
            Ok(start) => start,
            Err(rustix::io::Errno::NXIO) => break,
            Err(errno) => return Err(errno.into()),
        };
        let end = rustix::fs::seek(file, SeekFrom::Hole(start))?;
        blocks += (end - start).div_ceil(BLOCK) + 1;
        position = end.max(start + 1);
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_names_once_and_holes_not_at_all() {
        let tree = tempfile::tempdir().expect("tempdir");
        let at = |name: &str| tree.path().join(name);
        fs::write(at("five"), vec![1; 5000]).expect("write");
        fs::hard_link(at("five"), at("again")).expect("link");
        File::create(at("hole"))
            .and_then(|file| file.set_len(1 << 40))
            .expect("hole");
        std::os::unix::fs::symlink("x".repeat(100), at("long")).expect("symlink");
        fs::create_dir(at("sub")).expect("mkdir");
        let usage = Usage::of(tree.path()).expect("walk");
        // Two blocks of data, one of the link's target, one for each directory.
        assert_eq!(
            usage,
            Usage {
                blocks: 2 + 1 + 2,
                inodes: 5
            }
        );
    }

    #[test]
    fn leaves_the_spare_bytes_and_room_for_many_small_files() {
        let usage = Usage {
            blocks: 100,
            inodes: 50_000,
        };
        let none = Options::default();
        let spare = Options {
            spare: 1 << 30,
            ..Options::default()
        };
        let (small, large) = (Layout::new(usage, &none, 0), Layout::new(usage, &spare, 0));
        assert!(large.bytes() - small.bytes() >= 1 << 30);
        assert!(small.inodes > 60_000);
        assert!(Layout::new(usage, &none, 1).blocks > small.blocks);
    }

    #[test]
    fn copies_of_the_superblock() {
        let groups: Vec<u64> = (0..50).filter(|group| has_copy(*group)).collect();
        assert_eq!(groups, [0, 1, 3, 5, 7, 9, 25, 27, 49]);
    }
}
