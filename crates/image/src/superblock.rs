//! Which file system is on a disk, by its superblock.
//!
//! The bytes are a stranger's: only fixed places of a fixed head are looked at, and nothing is computed
//! from what is there. That a disk looks like a file system says nothing of its health.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

/// How much of a disk is looked at: the farthest superblock, btrfs's, begins at 64 KiB.
pub const HEAD: usize = 68 << 10;

/// What is on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A file system that a guest can mount.
    FileSystem(FileSystem),
    /// Something that is known, and that nobody can mount as it is.
    Other(Other),
    /// Nothing that is known.
    Unknown,
}

/// A file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// Its type, as mount(2) takes it.
    pub kind: &'static str,
    /// What it is known by, where it has such: a UUID, or a serial number.
    pub uuid: Option<String>,
}

/// What is no file system, and often in the place of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// A table of partitions.
    Partitions,
    /// An encrypted disk.
    Luks,
    /// A part of a volume group.
    Lvm,
    /// Swap space.
    Swap,
    /// A qcow2 image.
    Qcow2,
}

impl Other {
    /// What it is, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Partitions => "a table of partitions",
            Self::Luks => "an encrypted disk (LUKS)",
            Self::Lvm => "a part of a volume group (LVM)",
            Self::Swap => "swap space",
            Self::Qcow2 => "a qcow2 image",
        }
    }
}

/// Looks at the head of an open disk.
pub fn look(disk: &OwnedFd) -> io::Result<Content> {
    let disk = File::from(disk.try_clone()?);
    let mut head = vec![0; HEAD];
    let mut filled = 0;
    while filled < head.len() {
        match disk.read_at(&mut head[filled..], filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(identify(&head[..filled]))
}

/// What the head of a disk says; it may be shorter than [`HEAD`].
pub fn identify(head: &[u8]) -> Content {
    let at = |place: usize, magic: &[u8]| head.get(place..place + magic.len()) == Some(magic);
    let uuid = |place: usize| head.get(place..place + 16).and_then(uuid);
    let serial = |place: usize| head.get(place..place + 4).map(serial);
    let found = |kind, uuid| Content::FileSystem(FileSystem { kind, uuid });
    // Who formats a disk often leaves what was before: these write over the others' first sectors.
    if at(0, b"XFSB") {
        return found("xfs", uuid(32));
    }
    if at(0, b"LUKS\xba\xbe") {
        return Content::Other(Other::Luks);
    }
    if at(0, b"QFI\xfb") {
        return Content::Other(Other::Qcow2);
    }
    if at(0, b"hsqs") {
        return found("squashfs", None);
    }
    if at(0x438, &0xef53_u16.to_le_bytes()) {
        // The driver of ext4 mounts ext2 and ext3, too.
        return found("ext4", uuid(0x468));
    }
    if at(1024, &0xf2f5_2010_u32.to_le_bytes()) {
        return found("f2fs", uuid(1024 + 108));
    }
    if at(1024, &0xe0f5_e1e2_u32.to_le_bytes()) {
        return found("erofs", uuid(1024 + 48));
    }
    if at(0x1_0040, b"_BHRfS_M") {
        return found("btrfs", uuid(0x1_0020));
    }
    if at(0x8001, b"CD001") {
        return found("iso9660", None);
    }
    if at(3, b"EXFAT   ") {
        return found("exfat", serial(100));
    }
    if at(3, b"NTFS    ") {
        return found("ntfs3", serial(72));
    }
    if at(82, b"FAT32   ") {
        return found("vfat", serial(67));
    }
    if at(54, b"FAT16   ") || at(54, b"FAT12   ") {
        return found("vfat", serial(39));
    }
    other(at)
}

fn other(at: impl Fn(usize, &[u8]) -> bool) -> Content {
    const PAGE: usize = 4096;
    const SECTOR: usize = 512;
    let swap = |word: &[u8]| at(PAGE - word.len(), word);
    if swap(b"SWAPSPACE2") || swap(b"SWAP-SPACE") {
        return Content::Other(Other::Swap);
    }
    if (0..4).any(|sector| at(sector * SECTOR, b"LABELONE")) {
        return Content::Other(Other::Lvm);
    }
    if at(SECTOR, b"EFI PART") || at(510, &[0x55, 0xaa]) {
        return Content::Other(Other::Partitions);
    }
    Content::Unknown
}

/// As `blkid` writes it; none where all bytes are zero.
fn uuid(bytes: &[u8]) -> Option<String> {
    if bytes.iter().all(|byte| *byte == 0) {
        return None;
    }
    let digits = hex::encode(bytes);
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    let parts: Vec<&str> = parts.into_iter().map(|part| &digits[part]).collect();
    Some(parts.join("-"))
}

/// Likewise, of those who have four bytes for it.
fn serial(bytes: &[u8]) -> String {
    let bytes: Vec<u8> = bytes.iter().rev().copied().collect();
    let digits = hex::encode_upper(bytes);
    format!("{}-{}", &digits[..4], &digits[4..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    fn with(pieces: &[(usize, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; HEAD];
        for (place, piece) in pieces {
            head[*place..place + piece.len()].copy_from_slice(piece);
        }
        head
    }

    fn kind(pieces: &[(usize, &[u8])]) -> Option<&'static str> {
        match identify(&with(pieces)) {
            Content::FileSystem(found) => Some(found.kind),
            _ => None,
        }
    }

    #[test]
    fn each_is_known_by_its_mark() {
        assert_eq!(kind(&[(0x438, &[0x53, 0xef])]), Some("ext4"));
        assert_eq!(kind(&[(0, b"XFSB")]), Some("xfs"));
        assert_eq!(kind(&[(0x1_0040, b"_BHRfS_M")]), Some("btrfs"));
        assert_eq!(
            kind(&[(82, b"FAT32   "), (510, &[0x55, 0xaa])]),
            Some("vfat")
        );
        assert_eq!(kind(&[(0, b"hsqs")]), Some("squashfs"));
        let other = |pieces: &[(usize, &[u8])]| match identify(&with(pieces)) {
            Content::Other(other) => Some(other),
            _ => None,
        };
        assert_eq!(other(&[(510, &[0x55, 0xaa])]), Some(Other::Partitions));
        assert_eq!(other(&[(512, b"LABELONE")]), Some(Other::Lvm));
        assert_eq!(other(&[(4086, b"SWAPSPACE2")]), Some(Other::Swap));
        assert_eq!(identify(&[]), Content::Unknown);
        assert_eq!(identify(&with(&[])), Content::Unknown);
    }

    #[test]
    fn a_file_system_is_known_by_what_made_it() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("disk");
        let file = File::create_new(&path).expect("created");
        file.set_len(4 << 20).expect("sparse");
        let wanted = "6c2dd7a4-43f1-4c2a-b9a1-0d0a54b9e3c1";
        let made = Command::new("mkfs.ext4")
            .args(["-q", "-U", wanted])
            .arg(&path)
            .status();
        assert!(made.expect("mkfs.ext4").success());
        let opened = File::open(&path).expect("there").into();
        let expected = FileSystem {
            kind: "ext4",
            uuid: Some(wanted.to_owned()),
        };
        assert_eq!(look(&opened).expect("read"), Content::FileSystem(expected));
    }

    proptest! {
        #[test]
        fn no_head_is_too_odd(head in prop::collection::vec(any::<u8>(), 0..2048)) {
            identify(&head);
        }
    }
}
